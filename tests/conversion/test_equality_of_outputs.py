"""What no neuron stands behind is compared too."""

import copy
from math import inf, isinf

import pytest
import torch
from mmengine.structures import InstanceData
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.conversion.equality import _difference, _results
from mmsnn.layers import SpikeLinear

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=4)


def compare(change, dtype=torch.float64):
    torch.manual_seed(0)
    model = nn.Sequential(
        SpikeLinear(3, 4, neuron=NEURON), SpikeLinear(4, 2, neuron=NEURON))
    model = model.to(dtype).eval()
    spiking = to_spike_train(model)
    change(spiking.module)
    check = EqualityCheck(model, spiking)
    check.compare(4 * torch.rand(5, 3, dtype=dtype))
    return check.report


def break_last_bias(module):
    module[1].bias.data *= 4  # as if it had been added D times


def test_a_fault_behind_the_last_neuron_is_reported():
    assert compare(lambda module: None).equal
    report = compare(break_last_bias)
    assert report.total_differences == 0
    assert not report.equal and not report.outputs_agree
    assert 'results differ by up to' in str(report)


def test_only_counts_decide_in_shorter_types():
    report = compare(break_last_bias, torch.float32)
    assert report.equal and not report.outputs_agree


@pytest.mark.parametrize('first, second, expected', [
    ([2., -4.], [2., -3.], 0.25),
    ([0., 0.], [0., 0.5], 0.5),  # nothing to relate it to
    ([1., inf], [1., inf], 0.),
    ([1., inf], [1., 2.], inf),
    ([float('nan')], [float('nan')], 0.),
    ([float('nan')], [1.], inf),
    ([1], [2], inf),  # labels
    ([True], [True], 0.),
    ([1.], [1., 2.], inf),  # another shape
])
def test_difference_by_hand(first, second, expected):
    found = _difference([torch.tensor(first)], [torch.tensor(second)])
    assert found == expected or (isinf(found) and isinf(expected))


def test_results_are_found_in_whatever_a_model_returns():
    sample = InstanceData(bboxes=torch.ones(2, 4), labels=torch.arange(2))
    found = list(_results([dict(a=(torch.zeros(1), )), sample, None, 'x']))
    assert [tuple(x.shape) for x in found] == [(1, ), (2, 4), (2, )]


def test_a_converted_model_can_not_be_copied():
    spiking = to_spike_train(SpikeLinear(3, 2, neuron=NEURON))
    with pytest.raises(TypeError, match='convert the trained model'):
        copy.deepcopy(spiking)


def test_a_child_called_predict():
    model = nn.Module()
    model.predict = SpikeLinear(3, 2, neuron=NEURON)
    model.forward = model.predict.forward
    assert to_spike_train(model)(torch.ones(1, 3)).shape == (1, 2)
