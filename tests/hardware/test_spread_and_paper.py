import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.hardware import estimate
from mmsnn.hardware.operations.paper import (
    hidden_multiplications,
    implied_count,
)
from mmsnn.hardware.operations.spread import energy_spreads, rate_spreads
from mmsnn.hardware.operations.traffic import memory_traffic
from mmsnn.layers import SpikeConv2d, SpikeLinear
from mmsnn.trace import OpRecord, OpTrace

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=4)


def record(model, *batches):
    with to_spike_train(model.eval(), 'counts') as spiking:
        for x in batches:
            spiking(x)
    return spiking.trace


def test_energy_and_rates_over_images():
    # 1 and 3 spikes, 2 outputs: 2 and 6 additions of 0.9 pJ.
    fc = SpikeLinear(1, 2, bias=False, neuron=NEURON)
    trace = record(fc, torch.tensor([[1.]]), torch.tensor([[3.]]))
    found = energy_spreads(trace, estimate(trace))['spiking_fp32']
    assert found.mean == pytest.approx(4 * 0.9e-9)
    assert found.std == pytest.approx(0.9e-9 * 8**0.5)
    # t = 12.706 for one degree of freedom.
    assert found.high - found.mean == pytest.approx(
        12.7062 * 0.9e-9 * 8**0.5 / 2**0.5, rel=1e-5)
    rates = rate_spreads(trace)
    assert rates['network'].mean == rates['(model)'].mean == 2
    assert rates['network'].std == pytest.approx(2**0.5)
    assert rates['(model)'].std == pytest.approx(2**0.5)


def test_one_run_has_no_deviation():
    fc = SpikeLinear(1, 2, neuron=NEURON)
    trace = record(fc, torch.tensor([[1.], [3.]]))
    found = energy_spreads(trace, estimate(trace))['spiking_fp32']
    assert found.std is None and 'one run' in str(found)
    assert rate_spreads(trace)['network'].low is None


def test_implied_count_of_what_was_measured_is_the_measured_one():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3), SpikeConv2d(3, 4, 3, padding=1, neuron=NEURON),
        SpikeConv2d(4, 2, 1, neuron=NEURON))
    trace = record(net, 4 * torch.rand(2, 1, 8, 8))
    energy = estimate(trace)['formula_fp32'].energy_mj
    found = implied_count(trace, energy)
    assert found.implied == pytest.approx(found.measured) and found.most == 4
    less = implied_count(trace, energy * 1e-6)
    assert less.implied < 0 and 'they imply no spike count' in str(less)
    with pytest.raises(ValueError, match='must be positive'):
        implied_count(trace, 0.)
    assert found.formula_mj == pytest.approx(energy)
    assert found.exact < found.measured  # of padding
    assert 'as reported, imply' in str(found)


class Hidden(nn.Module):

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.fire = SpikeConv2d(4, 4, 3, groups=4, neuron=NEURON)
        self.pointwise = nn.Conv2d(4, 5, 1)  # no neuron in front
        self.norm = nn.GroupNorm(1, 5)
        self.last = SpikeConv2d(5, 6, 1, neuron=NEURON)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.norm(self.pointwise(self.fire(self.stem(x))))
        x = nn.functional.interpolate(
            self.last(x), scale_factor=2, mode='bilinear')
        return self.head(0.5 * x.mean((2, 3)))


def test_hidden_multiplications_by_kind():
    trace = record(Hidden(), torch.rand(1, 1, 6, 6))
    found = {c.kind: c for c in hidden_multiplications(trace)}
    assert {k: (c.modules, c.macs) for k, c in found.items()} == {
        'first layer': (('stem', ), 4 * 16 * 9),
        'chain': (('pointwise', ), 5 * 4 * 4),
        'head on membranes': (('head', ), 18),
        'norm': (('norm', ), 3 * 5 * 4),
        'interpolation': (('(model)', ), 4 * 6 * 16),
        'scaling': (('(model)', ), 6),
    }
    assert found['chain'].energy_mj == pytest.approx(80 * 4.6e-9)
    assert sum(c.macs for c in found.values()) == trace.total('macs')


def test_traffic():
    conv = SpikeConv2d(1, 5, 3, padding=1, neuron=dict(NEURON, max_spikes=2))
    trace = record(conv, torch.tensor([[[[2., 1., 0., 0.]]]]))
    neuron, synapse = memory_traffic(trace)
    assert neuron.state_reads == neuron.state_writes == 4 * 2
    assert neuron.state_bytes == 16 and neuron.messages == 0
    assert synapse.messages == 3
    assert synapse.weight_reads == synapse.state_writes == 35
    assert synapse.touched == 25
    assert synapse.weight_bytes == 4 * (45 + 5)


def test_attention_holds_accumulators():
    product = OpRecord(
        'a', 'matmul', 'bmm', spiking=True, static=False, sops=10,
        in_spikes=2, accumulators=64, accumulator_max=100)
    found, = memory_traffic(OpTrace([product], 1))
    assert found.accumulator_bits == 8 and found.state_bytes == 64
    assert found.weight_reads == 0
    assert found.state_reads == found.activation_reads == 10
