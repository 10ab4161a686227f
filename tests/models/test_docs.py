import doctest
import re
from pathlib import Path

from mmsnn.models import ESpikeFormer

DOCS = Path(__file__).parents[2] / 'docs'


def test_examples_of_the_page():
    page = DOCS / 'models.md'
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 5 and not failed


def test_archs_of_the_page():
    text = (DOCS / 'models.md').read_text()
    rows = re.findall(r'^\| `([\w.]+)` \| ([\d, ]+) \| [\d,]+ \|$', text, re.M)
    assert {name: tuple(map(int, widths.split(',')))
            for name, widths in rows} == {
                name: tuple(arch['embed_dims'])
                for name, arch in ESpikeFormer.arch_zoo.items()}
