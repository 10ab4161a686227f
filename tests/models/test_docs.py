import doctest
import inspect
import re
from pathlib import Path

from mmsnn.models import ESpikeFormer, MetaSpikeFormer
from mmsnn.models.backbones.base import SpikingBackbone

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
                for kind in (ESpikeFormer, MetaSpikeFormer)
                for name, arch in kind.arch_zoo.items()}


def test_keys_of_the_page():
    text = (DOCS / 'models.md').read_text()
    table = text.split('## Config keys of the backbones')[1]
    table = table.split('| key of an `arch` dict')[0]
    keys = set(re.findall(r'^\| `(\w+)` \|', table, re.M))
    assert keys == {
        key for kind in (ESpikeFormer, MetaSpikeFormer, SpikingBackbone)
        for key in inspect.signature(kind).parameters} - {'kwargs', 'unknown'}
