"""Folds that a model's way does not prove are undone, and named."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.conversion.fold import FoldedNorm
from mmsnn.layers import SpikeConv2d
from mmsnn.neurons import SFANeuron

DOUBLE = torch.float64
NEURON = dict(type='mmsnn.SFANeuron', max_spikes=4)


def fire():
    return SFANeuron(max_spikes=4)


def conv(*args, **kwargs):
    return nn.Conv2d(*args, **{'kernel_size': 3, 'padding': 1, **kwargs})


def images(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = shape or (2, 3, 6, 6)
    return 4 * torch.randn(shape, generator=generator, dtype=DOUBLE)


def randomised(model, seed=0):
    """Norms with statistics and factors of their own."""
    generator = torch.Generator().manual_seed(seed)
    for m in model.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            for x, low, high in ((m.weight, 0.5, 2), (m.bias, -1, 1),
                                 (m.running_mean, -1, 1),
                                 (m.running_var, 0.5, 2)):
                if x is not None:
                    x.data.uniform_(low, high, generator=generator)
    return model.double().eval()


def converted(model, *args, form='spikes', folded=0, because=None):
    """Compare a converted model, on two calls, with the trained one."""
    model = randomised(model)
    args = args or (images(), )
    spiking = to_spike_train(model, form)
    check = EqualityCheck(model, spiking)
    with spiking:
        for _ in range(2):
            check.compare(*args)
    assert check.report.equal, check.report
    assert check.report.rows[0].training_spikes
    assert spiking.folded_norms == folded
    norms = sum(isinstance(m, nn.modules.batchnorm._BatchNorm)
                for m in spiking.module.modules())
    assert norms == sum(
        isinstance(m, nn.modules.batchnorm._BatchNorm)
        for m in model.modules()) - folded
    if because is not None:
        reason, = spiking.unfolded
        assert because in reason, reason
    else:
        assert not spiking.unfolded
    return spiking


class Net(nn.Module):
    """A convolution, a norm and a neuron, and what a way does with them."""

    def __init__(self, way, norm=None, synapse=None):
        super().__init__()
        torch.manual_seed(0)
        self.first = fire()
        self.f = nn.Sequential(synapse or conv(3, 4),
                               norm or nn.BatchNorm2d(4))
        self.last = fire()
        self.way = way

    def forward(self, x):
        return self.way(self, self.first(x))


@pytest.mark.parametrize('form', ['spikes', 'counts', 'free_running'])
def test_what_is_run_as_it_stands_is_folded(form):
    net = randomised(Net(lambda net, x: net.last(net.f(x))))
    spiking = to_spike_train(net, form)
    assert spiking.folded_norms == 1
    x = images()
    torch.testing.assert_close(
        spiking(x), net(x), rtol=0, atol=0.5 if form == 'free_running' else 0)
    assert spiking.folded_norms == 1 and not spiking.unfolded
    assert isinstance(spiking.module.f[1], FoldedNorm)
    assert isinstance(net.f[1], nn.BatchNorm2d)  # the model itself is as ever


def taps(net, x):
    found = []
    for layer in net.f:
        x = layer(x)
        found.append(x)
    return found, net.last(x)


def by_name(net, x):
    y = net.f[0](x)
    return net.last(net.f[1](y)), y.mean()


def skipped(net, x):
    return net.last(net.f(x)) + net.last(net.f[0](x))


def viewed(net, x):
    y = net.f[0](x)
    return net.last(net.f[1](y.flip(0)))


def data(net, x):
    y = net.f[0](x)
    return net.last(net.f[1](y)) + F.relu(y.data)


def as_list(net, x):
    y = net.f[0](x)
    return net.last(net.f[1](y)), y.tolist()[0][0]


def kept(net, x):
    net.kept = net.f[0](x)
    return net.last(net.f[1](net.kept))


def neuron_behind(net, x):
    y = net.f[0](x)
    return net.last(y) + net.last(net.f[1](y))


def weight(net, x):
    return net.last(F.conv_transpose2d(net.last(net.f(x)), net.f[0].weight))


def bias(net, x):
    return net.last(net.f(x)) + net.f[0].bias.sum()


def norm_weight(net, x):
    return net.last(net.f(x)) * net.f[1].weight.view(-1, 1, 1)


def norm_mean(net, x):
    return net.last(net.f(x)) * net.f[1].running_mean.view(-1, 1, 1)


def norm_alone(net, x):
    return net.last(net.f[1](net.f(x)))


def in_place(net, x):
    y = net.f[0](x)
    y += 1
    return net.last(net.f[1](y))


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('way,because', [
    (taps, 'f.1: the output of f.0 is kept or returned'),
    (by_name, 'f.1: mean reads the output of f.0'),
    (skipped, 'reads the output of f.0'),
    (viewed, 'f.1: flip reads the output of f.0'),
    (data, 'reads the output of f.0'),
    (as_list, 'f.1: tolist reads the output of f.0'),
    (kept, 'f.1: the output of f.0 is kept or returned'),
    (neuron_behind, 'reads the output of f.0'),
    (weight, 'f.1: convolution reads the weights of f.0'),
    (bias, 'f.1: sum reads the weights of f.0'),
    (norm_weight, 'f.1: view reads the weights of f.1'),
    (norm_mean, 'f.1: view reads the weights of f.1'),
    (norm_alone, 'f.1: it gets something else than the output of f.0'),
    (in_place, 'f.1: add_ reads the output of f.0')])
def test_another_way_is_left_unfolded_and_named(way, because, form):
    converted(Net(way), form=form, because=because)


class Weighted(nn.Conv2d):
    """Weight standardisation."""

    def forward(self, x):
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / w.std(
            (1, 2, 3), keepdim=True)
        return F.conv2d(x, w, self.bias, self.stride, self.padding)


class Activated(nn.Conv2d):

    def forward(self, x):
        return super().forward(x).relu()


class Inner(nn.Conv2d):

    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight, bias).abs()


class Renamed(nn.Conv2d):
    """No forward of its own."""


class OwnNorm(nn.BatchNorm2d):

    def forward(self, x):
        return super().forward(x).abs()


def plain(net, x):
    return net.last(net.f(x))


@pytest.mark.parametrize('synapse,norm,because', [
    (lambda: Weighted(3, 4, 3), None, 'f.0 (Weighted) has its own forward'),
    (lambda: Activated(3, 4, 3), None, 'f.0 (Activated) has its own forward'),
    (lambda: Inner(3, 4, 3), None, 'f.0 (Inner) has its own _conv_forward'),
    (None, lambda: OwnNorm(4), 'it (OwnNorm) has its own forward'),
    (None, lambda: nn.BatchNorm2d(4, track_running_stats=False),
     'it uses the statistics of each batch'),
    (lambda: nn.ConvTranspose2d(3, 6, 3, groups=3),
     lambda: nn.BatchNorm2d(6), 'transposed convolution with groups'),
    (lambda: nn.utils.weight_norm(conv(3, 4)), None,
     'hooks are registered on f.0'),
    (lambda: nn.utils.spectral_norm(conv(3, 4)), None,
     'hooks are registered on f.0'),
    (lambda: prune.l1_unstructured(conv(3, 4), 'weight', 0.5), None,
     'hooks are registered on f.0'),
    (lambda: parametrizations.weight_norm(conv(3, 4)), None,
     'weights of f.0 are computed'),
    (lambda: parametrizations.spectral_norm(conv(3, 4)), None,
     'weights of f.0 are computed'),
])
@pytest.mark.filterwarnings('ignore')
def test_layers_that_do_something_else_are_left_and_named(
        synapse, norm, because):
    net = Net(plain, norm and norm(), synapse and synapse())
    converted(net, because=because)


def test_a_subclass_without_a_forward_is_folded():
    converted(Net(plain, synapse=Renamed(3, 4, 3)), folded=1)


@pytest.mark.parametrize('which', [0, 1])
def test_hooks(which):
    net = Net(plain)
    net.f[which].register_forward_hook(lambda module, args, out: out.abs())
    name = 'it' if which else 'f.0'
    converted(net, because=f'f.1: hooks are registered on {name}')
    net = Net(plain)
    net.f[which].register_forward_pre_hook(lambda module, args: args[0] * 2)
    converted(net, because=f'f.1: hooks are registered on {name}')


def test_a_linear_over_a_sequence():
    """The norm is over dimension 1, the features are last."""
    for length in (6, 5):
        net = nn.Sequential(fire(), nn.Linear(4, 6), nn.BatchNorm1d(length),
                            fire())
        converted(net, images(2, length, 4), because='2: it normalises '
                  'dimension 1 of 3, which holds no channels of 1'
                  ) if length == 6 else converted_alone(net, length)
    net = nn.Sequential(fire(), nn.Linear(4, 6), nn.BatchNorm1d(6), fire())
    converted(net, images(7, 4), folded=1)


def converted_alone(net, length):
    """Another number of channels: it can't be folded at all."""
    converted(net, images(2, length, 4),
              because=f'2: it has {length} channels, but 1 has 6')


def test_one_image_without_batch():
    """(C, L) of a convolution is (N, C) for the norm."""
    net = nn.Sequential(fire(), nn.Conv1d(3, 5, 1), nn.BatchNorm1d(5), fire())
    converted(net, images(3, 5), because='2: it normalises dimension 1 of 2')


class Tied(nn.Module):

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.n = fire()
        self.f = nn.Sequential(conv(3, 3), nn.BatchNorm2d(3))
        self.other = conv(3, 3)
        self.other.weight = self.f[0].weight

    def forward(self, x):
        return self.other(self.n(self.f(self.n(x))))


def test_tied_weights():
    converted(Tied(), because='1: convolution reads the weights of f.0')


class Branches(nn.Module):
    """Its second branch is run on demand only."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.n = fire()
        self.a = nn.Sequential(conv(3, 4), nn.BatchNorm2d(4))
        self.b = nn.Sequential(conv(3, 4), nn.BatchNorm2d(4))

    def forward(self, x, mode='a'):
        return self.n(getattr(self, mode)(self.n(x)))


def test_what_no_call_has_reached_is_folded_once_one_does():
    net = randomised(Branches())
    spiking = to_spike_train(net)
    assert spiking.folded_norms == 2
    check = EqualityCheck(net, spiking)
    check.compare(images())
    assert spiking.folded_norms == 1
    assert spiking.unfolded == ['b.1: no call has reached it so far']
    check.compare(images(), mode='b')
    assert spiking.folded_norms == 2 and not spiking.unfolded
    check.compare(images())
    assert spiking.folded_norms == 2 and check.report.equal


def test_a_norm_that_several_places_hold_is_one_fold():
    norm = nn.BatchNorm2d(4)
    net = nn.Sequential(fire(), nn.Sequential(conv(3, 4), norm), fire(),
                        nn.Sequential(conv(4, 4), norm), fire())
    spiking = to_spike_train(randomised(net))
    check = EqualityCheck(net, spiking)
    check.compare(images())
    assert check.report.equal and spiking.folded_norms == 2
    # Once it also stands alone, it can't be folded.
    net.append(norm)
    converted(net, because='1.1: it stands elsewhere, too')


def test_lists_and_attributes_that_hold_the_norm():
    net = Net(lambda net, x: net.last(net.hidden[1](net.hidden[0](x))))
    net.hidden = list(net.f)
    converted(net, folded=1)


def test_upstream_layers_with_arguments():
    layer = ConvModule(3, 4, 3, norm_cfg=dict(type='BN'), act_cfg=None)

    class Head(Net):

        def __init__(self, way):
            super().__init__(way)
            self.f, self.m = nn.Identity(), copy.deepcopy(layer)

    converted(Head(lambda net, x: net.last(net.m(x))), folded=1)
    converted(Head(lambda net, x: net.last(net.m(x, norm=False))),
              because='m.bn: ')
    fused = Head(lambda net, x: net.last(net.m(x)))
    fused.m.turn_on_efficient_conv_bn_eval(True)
    converted(fused, because='m.bn: ')
    weighted = Head(lambda net, x: net.last(net.m(x)))
    weighted.m = ConvModule(3, 4, 3, conv_cfg=dict(type='ConvWS'),
                            norm_cfg=dict(type='BN'), act_cfg=None)
    converted(weighted, because='m.bn: m.conv (ConvWS2d) has its own forward')


def test_spiking_convolutions():
    net = nn.Sequential(SpikeConv2d(3, 4, 3, neuron=NEURON),
                        nn.BatchNorm2d(4), fire())
    converted(net, folded=1)


def test_weights_that_overflow_are_left():
    net = nn.Sequential(fire(), nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).eval()
    net[1].weight.data.fill_(1e30)
    net[2].running_var.fill_(1e-30)
    net[2].eps = 1e-30
    spiking = to_spike_train(net)
    assert spiking.unfolded == [
        '2: the weights that would be folded overflow their type']
    assert spiking.folded_norms == 0


def test_nothing_of_a_trial_remains():
    """No random number is drawn, no state changed, no argument written."""

    class Busy(Net):
        calls = 0

        def forward(self, x, samples):
            self.calls += 1
            self.drawn = torch.rand(1).item()
            samples[0].calls = self.calls
            x += 1
            return super().forward(x)

    net = randomised(Busy(plain))
    spiking = to_spike_train(net)
    samples, x = [SimpleNamespace()], images()
    torch.manual_seed(3)
    spiking(x, samples)
    assert spiking.module.calls == samples[0].calls == 1
    assert torch.equal(x, images() + 1)
    torch.manual_seed(3)
    assert spiking.module.drawn == torch.rand(1).item()


def test_a_trial_that_fails_is_no_proof():
    class Failing(Net):

        def forward(self, x):
            if not x.any():
                raise KeyError('nothing')
            return super().forward(x)

    net = randomised(Failing(plain))
    spiking = to_spike_train(net)
    with pytest.raises(KeyError):
        spiking(0 * images())
    assert spiking.unfolded == ["f.1: a trial failed (KeyError: 'nothing')"]
    torch.testing.assert_close(spiking(images()), net(images()))
    assert spiking.folded_norms == 1 and not spiking.unfolded


class ByValue(nn.Module):
    """It leaves the norm out, or repeats the synapse, where values say so."""

    def __init__(self, other):
        super().__init__()
        self.fire, self.conv = fire(), conv(3, 3)
        self.norm, self.last = nn.BatchNorm2d(3), fire()
        self.pair = nn.Sequential(self.conv, self.norm)
        self.other = other

    def forward(self, x):
        spikes = self.fire(x)
        if x.mean() > 0:
            return self.last(self.other(self, spikes))
        return self.last(self.pair(spikes))


@pytest.mark.parametrize('other', [
    lambda m, x: m.conv(x).abs(),
    lambda m, x: m.norm(x),
    lambda m, x: m.norm(m.conv(x) * 2),
    lambda m, x: m.norm(m.conv(m.conv(x)))])
@pytest.mark.parametrize('form', ['spikes', 'counts', 'free_running'])
def test_a_later_call_that_goes_another_way_is_run_unfolded(other, form):
    model = randomised(ByValue(other))
    plain = copy.deepcopy(model)
    plain.pair = nn.Sequential(plain.conv, nn.Sequential(plain.norm))
    x = images()
    spiking, expected = (to_spike_train(m, form) for m in (model, plain))
    for call in (x - x.mean() - 1, x - x.mean() + 1, x - x.mean() - 1):
        assert torch.allclose(spiking(call), expected(call), rtol=1e-9)
    assert spiking.folded_norms == 0 and 'norm: ' in spiking.unfolded[0]


class Reads(nn.Module):
    """Python code of it looks at what modules are, not at values."""

    def __init__(self, way):
        super().__init__()
        self.fire, self.last = fire(), fire()
        self.f = nn.Sequential(conv(3, 3, bias=False), nn.BatchNorm2d(3))
        self.way = way

    def forward(self, x):
        return 2 * self.way(self, self.f(self.fire(x)))


@pytest.mark.parametrize('way', [
    lambda m, x: x if m.f[0].bias is None else -x,
    lambda m, x: x * sum(isinstance(k, nn.BatchNorm2d)
                         for k in m.modules())])
@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_a_fold_that_changes_results_is_undone(way, form):
    model = randomised(Reads(way))
    spiking = to_spike_train(model, form)
    check = EqualityCheck(model, spiking)
    with spiking:
        for seed in range(3):
            check.compare(images(seed=seed))
    assert check.report.equal
    assert spiking.trace.images == 6
    assert spiking.unfolded == [
        'f.1: the model returns something else with norms folded']
