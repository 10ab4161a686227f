import doctest
import inspect
import re
from pathlib import Path

import pytest

from mmsnn.models.dense import spiking_module

PAGE = Path(__file__).parents[3] / 'docs' / 'dense_prediction.md'


def test_examples_of_the_page():
    pytest.importorskip('mmdet.models')
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried == 3 and not failed


def test_keys_of_the_page():
    table = PAGE.read_text().split('| key of `mmsnn.SpikingModule`')[1]
    table = table.split('Other keys')[0]
    assert re.findall(r'^\| `(\w+)` \|', table, re.M) == [
        key for key in inspect.signature(spiking_module).parameters
        if key != 'kwargs']
