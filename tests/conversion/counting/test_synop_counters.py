"""SOPs against two independent counters, on expanded trains: exact.

Neither SpikingJelly's counter nor NeuroBench's takes spike counts, so each
sees the binary train of each sub-step on its own.
"""

import pytest
import torch
from torch import nn

from mmsnn.conversion import SpikeTensor, to_spike_train
from mmsnn.layers import SpikeConv2d, SpikeLinear
from mmsnn.neurons import SFANeuron

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=3)


def spikingjelly(layer, train):
    counter_module = pytest.importorskip(
        'spikingjelly.activation_based.op_counter')
    counter = counter_module.SynOpCounter()
    with counter_module.DispatchCounterMode([counter]):
        layer(train)
    return counter.get_total()


def neurobench(layer, train):
    utils = pytest.importorskip('neurobench.metrics.utils.layers')
    operations, spiking = utils.single_layer_MACs(train, layer)
    assert spiking or not train.any()
    return operations


COUNTERS = [spikingjelly, neurobench]


def plain(layer):
    """The same weights in a layer of PyTorch's own, without neuron or bias."""
    if isinstance(layer, nn.Linear):
        same = nn.Linear(layer.in_features, layer.out_features, bias=False)
    else:
        kind = (nn.ConvTranspose2d
                if isinstance(layer, nn.ConvTranspose2d) else nn.Conv2d)
        same = kind(
            layer.in_channels, layer.out_channels, layer.kernel_size,
            stride=layer.stride, padding=layer.padding,
            dilation=layer.dilation, groups=layer.groups, bias=False)
    same.weight = layer.weight
    return same


def watch(spiking):
    """Layers with weights by path, and the spikes that each was given."""
    given = {}

    def keep(name, layer):

        def hook(module, args, output=None):
            x = args[0] if output is None else output
            if isinstance(x, SpikeTensor):
                given[name or '(model)'] = layer, x

        return hook

    for name, module in spiking.module.named_modules():
        if isinstance(module, (nn.modules.conv._ConvNd, nn.Linear)):
            module.register_forward_pre_hook(keep(name, module))
            neuron = getattr(module, 'neuron', None)
            if neuron is not None:  # fires inside of the layer
                neuron.register_forward_hook(keep(name, module))
    return given


def check(model, images, counter):
    """Compare every layer that spikes drive; returns the sum of SOPs."""
    spiking = to_spike_train(model, 'spikes')
    given = watch(spiking)
    with spiking:
        spiking(images)
    found = {
        r.module: r.sops for r in spiking.trace
        if r.spiking and r.kind in ('conv', 'linear')
    }
    assert set(given) == set(found)
    for name, (layer, x) in given.items():
        expected = sum(counter(plain(layer), part) for part in x.parts)
        assert found[name] == expected, name
    return sum(found.values())


@pytest.mark.parametrize('counter', COUNTERS)
def test_every_layer_of_a_classifier(classifiers, make_images, counter):
    assert check(classifiers(4), make_images(2), counter) > 1e6


@pytest.mark.parametrize('counter', COUNTERS)
@pytest.mark.parametrize('keys', [
    dict(kernel_size=3, padding=1), dict(kernel_size=(1, 3), stride=2),
    dict(kernel_size=3, padding=2, dilation=2),
    dict(kernel_size=3, groups=2, padding=(1, 0)),
])
def test_convolutions(keys, counter):
    conv = SpikeConv2d(4, 6, neuron=NEURON, **keys)
    assert check(conv.eval(), 3 * torch.rand(2, 4, 7, 9), counter) > 0


@pytest.mark.parametrize('counter', COUNTERS)
def test_linear_layers(counter):
    fc = SpikeLinear(5, 7, neuron=NEURON)
    assert check(fc.eval(), 3 * torch.rand(4, 5), counter) > 0


@pytest.mark.parametrize('counter', COUNTERS)
def test_over_time(counter):
    neuron = dict(type='mmsnn.SFANeuron', max_spikes=2, timesteps=3)

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = SpikeConv2d(2, 3, 3, padding=1, neuron=neuron)

        def forward(self, x):
            return self.conv(x.flatten(0, 1))

    assert check(Net().eval(), torch.rand(2, 3, 2, 5, 5), counter) > 0


def test_a_transposed_convolution():
    # Outputs are cut off by the padding. NeuroBench does not take these.
    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron(3)
            self.up = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1)

        def forward(self, x):
            return self.up(self.neuron(x))

    x = 3 * torch.rand(2, 4, 5, 6)
    assert check(Net().eval(), x, spikingjelly) > 0


def test_products_of_attention():
    # K^T V is the counter's product of each binary K with the integers V;
    # it adds zeros of V too, which ours leaves out.
    counters = pytest.importorskip('spikingjelly.activation_based.op_counter')

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.q = SFANeuron(2, scale=1.)

        def forward(self, x):
            return self.q(x) @ (1 + x.abs())

    x = 2 * torch.rand(2, 4, 4)
    spiking = to_spike_train(Net().eval(), 'spikes')
    with spiking:
        spiking(x)
    product, = [r for r in spiking.trace if r.kind == 'matmul']
    counter = counters.SynOpCounter()
    counts = SFANeuron(2, scale=1.)(x)
    with counters.DispatchCounterMode([counter]):
        for d in (1, 2):
            (counts >= d).float() @ (1 + x.abs())
    assert product.sops == counter.get_total() > 0
