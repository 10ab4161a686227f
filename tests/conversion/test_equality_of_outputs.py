"""What no neuron stands behind is compared too."""

import copy

import pytest
import torch
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
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


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_rounding_of_shorter_types_is_told_from_faults(dtype):
    assert compare(lambda module: None, dtype).equal
    report = compare(break_last_bias, dtype)
    assert report.total_differences == 0
    assert not report.equal and not report.outputs_agree
    assert 'results differ by up to' in str(report)


def test_a_converted_model_can_not_be_copied():
    spiking = to_spike_train(SpikeLinear(3, 2, neuron=NEURON))
    with pytest.raises(TypeError, match='neither copied nor saved'):
        copy.deepcopy(spiking)


def test_a_child_called_predict():
    model = nn.Module()
    model.predict = SpikeLinear(3, 2, neuron=NEURON)
    model.forward = model.predict.forward
    assert to_spike_train(model)(torch.ones(1, 3)).shape == (1, 2)


class Returns(nn.Module):
    """A network that returns its output in whatever ``wrap`` makes."""

    def __init__(self, wrap):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            SpikeLinear(3, 4, neuron=NEURON), SpikeLinear(4, 2, neuron=NEURON))
        self.wrap = wrap

    def forward(self, x):
        return self.wrap(self.layers(x))


def returned(wrap, change=lambda layers: None):
    model = Returns(wrap).double().eval()
    spiking = to_spike_train(model)
    change(spiking.module.layers)
    check = EqualityCheck(model, spiking)
    check.compare(4 * torch.rand(5, 3, dtype=torch.float64))
    return check.report


class Result:

    def __init__(self, y):
        self.y = y


WRAPS = dict(
    sentinel=lambda y: torch.cat([y, torch.full_like(y, -1e10)], 1),
    lowest=lambda y: torch.cat(
        [y, torch.full_like(y, torch.finfo(y.dtype).min)], 1),
    object=Result,
    number=lambda y: dict(loss=y.sum().item()),
    text=lambda y: [f'{y.sum().item():.3f}'],
    set=lambda y: {round(y.sum().item(), 3)},
    array=lambda y: (None, y.numpy(force=True)))


@pytest.mark.parametrize('wrap', WRAPS.values(), ids=WRAPS)
def test_whatever_holds_the_output_is_compared(wrap):
    assert returned(wrap).equal
    report = returned(wrap, break_last_bias)
    assert report.total_differences == 0 and not report.equal
    assert f'at {report.output_path}' in str(report)
    assert report.output_path.startswith('results')


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_what_can_not_be_compared_is_named_and_not_equal(dtype):
    model = Returns(lambda y: dict(rows=iter(y), y=y)).to(dtype).eval()
    check = EqualityCheck(model, to_spike_train(model))
    for _ in range(2):
        check.compare(4 * torch.rand(5, 3, dtype=dtype))
    kind = type(iter(torch.ones(1))).__name__
    assert check.report.not_compared == [f"results['rows'] ({kind})"]
    assert not check.report.equal and check.report.total_differences == 0
    assert (f"; 1 results not compared: results['rows'] ({kind})" in
            str(check.report))


def test_both_forms_write_into_the_same_results():
    """As detectors write into the samples that they are given."""
    samples = [Result(None)]

    def write(y):
        samples[0].y = y
        return samples

    assert returned(write).equal
    assert not returned(write, break_last_bias).equal


def test_both_forms_write_into_the_same_tensor():
    total = torch.zeros(5, 2, dtype=torch.float64)

    def write(y):
        return total.copy_(y)

    report = returned(write, break_last_bias)
    assert not report.equal
    assert report.not_compared[0].startswith('results (the spike-train form')
