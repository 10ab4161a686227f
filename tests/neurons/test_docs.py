import ast
import doctest
import re
from pathlib import Path

from mmsnn.neurons import LIFNeuron, SFANeuron, build_neuron

PAGE = Path(__file__).parents[2] / 'docs' / 'neurons.md'


def test_examples_of_the_page():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 5 and not failed


def test_defaults_of_the_page():
    rows = re.findall(r'^\| `(\w+)` \| (\S.*?) \| (\S.*?) \| .*\|$',
                      PAGE.read_text(), re.M)
    assert len(rows) == 11
    for kind, column in ((SFANeuron, 1), (LIFNeuron, 2)):
        neuron = kind()
        for row in rows:
            value = row[column].strip('`')
            found = getattr(neuron, row[0])
            if value == '1 / max_spikes':
                assert found == 1 / neuron.max_spikes
            else:
                assert found == ast.literal_eval(value), row


def test_presets_of_the_page():
    configs = re.findall(r"`(dict\(type='mmsnn.*?\))` \|", PAGE.read_text())
    assert len(configs) == 6
    for config in configs:
        build_neuron(eval(config, dict(dict=dict)))
