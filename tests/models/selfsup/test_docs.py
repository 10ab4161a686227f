import doctest
import inspect
import re
from pathlib import Path

from mmsnn.engine.hooks import EffectiveRankHook, ReconstructionHook
from mmsnn.models import (
    MaskedESpikeFormer,
    MultiScaleDecoder,
    PlainDecoder,
    SpikeSparK,
)

PAGE = Path(__file__).parents[3] / 'docs' / 'pretraining.md'


def test_examples_of_the_page():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 10 and not failed


def test_keys_of_the_page():
    text = PAGE.read_text()
    for kind in (SpikeSparK, MaskedESpikeFormer, PlainDecoder,
                 MultiScaleDecoder):
        table = text.split(f'| key of `mmsnn.{kind.__name__}`')[1]
        rows = re.findall(r'^\| ([^|]*) \|', table.split('\n\n')[0], re.M)
        keys = {key for row in rows for key in re.findall(r'`(\w+)`', row)}
        assert keys == set(inspect.signature(kind).parameters) - {
            'args', 'kwargs'}


def test_methods_of_the_page():
    table = PAGE.read_text().split('| method of `SpikeSparK`')[1]
    for row in re.findall(r'^\| `(\w+)\((.*?)\)`', table, re.M):
        parameters = inspect.signature(getattr(SpikeSparK, row[0])).parameters
        names = {x.split('=')[0] for x in row[1].split(', ')}
        assert names - {'name'} <= set(parameters)


def test_hooks_of_the_page():
    hooks = (EffectiveRankHook, ReconstructionHook)
    table = PAGE.read_text().split('| of `ReconstructionHook` |')[1]
    rows = re.findall(r'^\| `(\w+)` \| (\S+).* \| (\S+?)[;:]? .*\|$',
                      table.split('\n\n')[0], re.M)
    stated = [{row[0]: row[i] for row in rows if row[i] != '-'}
              for i in (1, 2)]
    for kind, defaults in zip(hooks, stated):
        assert defaults == {
            name: str(parameter.default) for name, parameter in
            inspect.signature(kind).parameters.items()}
