import pytest
import torch

from mmsnn.hardware.operations.estimate import estimate_operations
from mmsnn.hardware.operations.spread import energy_spreads, rate_spreads
from mmsnn.layers import SpikeLinear

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=4)


def test_energy_and_rates_over_images(record):
    # 1 and 3 spikes, 2 outputs: 2 and 6 additions of 0.9 pJ.
    fc = SpikeLinear(1, 2, bias=False, neuron=NEURON)
    trace = record(fc, torch.tensor([[1.]]), torch.tensor([[3.]]))
    found = energy_spreads(trace, estimate_operations(trace))['spiking_fp32']
    assert found.mean == pytest.approx(4 * 0.9e-9)
    assert found.std == pytest.approx(0.9e-9 * 8**0.5)
    # t = 12.706 for one degree of freedom.
    assert found.high - found.mean == pytest.approx(
        12.7062 * 0.9e-9 * 8**0.5 / 2**0.5, rel=1e-5)
    rates = rate_spreads(trace)
    assert rates['network'].mean == rates['(model)'].mean == 2
    assert rates['network'].std == pytest.approx(2**0.5)
    assert rates['(model)'].std == pytest.approx(2**0.5)


def test_one_run_has_no_deviation(record):
    fc = SpikeLinear(1, 2, neuron=NEURON)
    trace = record(fc, torch.tensor([[1.], [3.]]))
    found = energy_spreads(trace, estimate_operations(trace))['spiking_fp32']
    assert found.std is None and 'one run' in str(found)
    assert rate_spreads(trace)['network'].low is None
