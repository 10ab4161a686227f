"""Calls that are run once more, since a fold or a plan turned out wrong."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.neurons import SFANeuron

FORMS = ['spikes', 'counts']


class Net(nn.Module):
    """Leaves its norm out where the input is negative on the whole."""

    def __init__(self, prepare=lambda x: x):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            SFANeuron(), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), SFANeuron(),
            nn.Conv2d(4, 2, 1))
        self.layers[2].running_mean.fill_(.5)
        self.prepare = prepare

    def forward(self, x):
        x = self.prepare(x)
        if (x['image'] if isinstance(x, dict) else x).mean() < 0:
            return self.layers[3:](self.layers[:2](x))
        return self.layers(x['image'] if isinstance(x, dict) else x)


def images(seed):
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(2, 3, 6, 6, generator=generator)
    return (x - x.mean()).double()


@pytest.mark.parametrize('form', FORMS)
def test_each_image_is_counted_and_compared_once(form):
    net = Net().double().eval()
    spiking = to_spike_train(net, form)
    check = EqualityCheck(net, spiking)
    with spiking:
        for shift in (1., -1., 1.):
            check.compare(images(0) + shift)
    assert spiking.unfolded  # on the second call
    assert check.report.equal
    assert spiking.trace.images == 6
    # Two neuron layers of 3 x 6 x 6 and 4 x 4 x 4 neurons.
    assert check.report.total_neurons == 6 * (108 + 64)
    assert spiking.trace.total('emitted') == sum(
        row.training_spikes for row in check.report.rows)


@pytest.mark.parametrize('recorded', [False, True])
@pytest.mark.parametrize('form', FORMS)
def test_an_input_that_was_written_into_is_not_used_again(form, recorded):
    net = Net(lambda x: x.mul_(2)).double().eval()
    spiking = to_spike_train(net, form)
    if recorded:
        spiking.start_recording()
    spiking(images(0) + 1)
    with pytest.raises(RuntimeError, match='written into its input'):
        spiking(images(0) - 1)
    with torch.no_grad():
        expected = net(images(0) - 1)
    assert torch.allclose(spiking(images(0) - 1), expected, rtol=1e-12)


class LeavesItOut(Net):

    def forward(self, x):
        return self.layers(x) * self.layers[:2](x).shape[1]


@pytest.mark.parametrize('form', FORMS)
def test_an_output_of_which_only_the_shape_is_read(form):
    net = LeavesItOut().double().eval()
    spiking = to_spike_train(net, form)
    check = EqualityCheck(net, spiking)
    with spiking:
        check.compare(images(0))
    assert check.report.equal
    assert spiking.unfolded == ['layers.2: a call leaves it out']
    assert spiking.session.attempt == 0  # the trial has seen it
