import doctest
from pathlib import Path

DOCS = Path(__file__).parents[2] / 'docs'


def test_examples_of_the_page():
    page = DOCS / 'hardware.md'
    failed, tried = doctest.testfile(
        str(page), module_relative=False,
        optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried > 5 and not failed
