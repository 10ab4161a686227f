"""Autocast around a comparison is refused; inside a model it is told."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.neurons import SFANeuron


class Net(nn.Module):
    """A network that may use autocast itself, all through or at its end."""

    def __init__(self, inside=''):
        super().__init__()
        torch.manual_seed(0)
        self.inside = inside
        self.body = nn.Sequential(
            SFANeuron(4), nn.Linear(3, 16), SFANeuron(4))
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        with torch.autocast('cpu', torch.bfloat16, self.inside == 'all'):
            x = self.body(x)
        with torch.autocast('cpu', torch.bfloat16, bool(self.inside)):
            return self.head(x)


def check_of(inside, dtype, change=0., form='spikes'):
    model = Net(inside).to(dtype).eval()
    spiking = to_spike_train(model, form)
    spiking.module.head.bias.data += change
    return EqualityCheck(model, spiking)


def images(dtype):
    return 4 * torch.rand(50, 3, generator=torch.Generator().manual_seed(
        1)).to(dtype)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_around_a_comparison_it_is_refused(dtype):
    check = EqualityCheck(*(f(Plain().to(dtype)) for f in (
        lambda m: m, to_spike_train)))
    with torch.autocast('cpu', torch.bfloat16), pytest.raises(
            ValueError, match=r'under torch.autocast, which rounds .* to '
            r'bfloat16 .* call it outside of autocast, or .*double\(\)'):
        check.compare(images(dtype))
    assert not check.report.rows
    with torch.autocast('cpu', torch.bfloat16, enabled=False):
        check.compare(images(dtype))
    assert check.report.rounded_to == '' and check.report.rows


class Plain(nn.Sequential):

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(SFANeuron(4), nn.Linear(3, 16), SFANeuron(4),
                         nn.Linear(16, 3))


def test_around_a_comparison_in_float64_it_changes_nothing():
    model = Plain().double().eval()
    check = EqualityCheck(model, to_spike_train(model))
    with torch.autocast('cpu', torch.bfloat16):
        expected, _ = check.compare(images(torch.float64))
    assert expected.dtype == torch.float64 and check.report.equal


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_inside_a_model_its_rounding_is_no_difference(form):
    check = check_of('head', torch.float32, form=form)
    expected, actual = check.compare(images(torch.float32))
    # More than float32 may differ, and less than what bfloat16 may.
    gap = (expected - actual).abs().max() / expected.abs().max()
    assert 1e-3 < gap < 0.05 and expected.dtype == torch.bfloat16
    assert check.report.equal and check.report.rounded_to == 'bfloat16'
    assert ' in float32, rounded to bfloat16 by autocast (2 ' in str(
        check.report)


@pytest.mark.parametrize('inside', ['head', 'all'])
def test_inside_a_model_a_fault_is_a_difference(inside):
    check = check_of(inside, torch.float32, change=0.5)
    check.compare(images(torch.float32))
    assert not check.report.outputs_agree and not check.report.equal


def test_inside_a_model_in_float64_it_changes_nothing():
    check = check_of('all', torch.float64)
    check.compare(images(torch.float64))
    assert check.report.equal and check.report.rounded_to == ''
    check = check_of('all', torch.float64, change=1e-6)
    check.compare(images(torch.float64))
    assert not check.report.equal
