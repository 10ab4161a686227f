import doctest
from pathlib import Path

DOCS = Path(__file__).parents[2] / 'docs'


def test_examples_of_the_page():
    page = DOCS / 'spike_driven_inference.md'
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 10 and not failed


def test_examples_of_the_page_on_energy():
    page = DOCS / 'energy.md'
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried >= 4 and not failed
