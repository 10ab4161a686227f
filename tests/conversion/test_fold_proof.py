"""Folds that a model's way does not prove are undone, and named."""

import copy
import io
import pickle
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


def converted(model, *args, form='spikes', folded=0, because=None,
              batch=None):
    """Compare a converted model, on two calls, with the trained one."""
    model = randomised(model)
    args = args or (images(), )
    spiking = to_spike_train(model, form, batch=batch)
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
    converted(net, images(3, 5), because='2: it normalises dimension 1 of 2',
              batch=1)


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
        self.fire, self.last = fire(), fire()
        self.pair = nn.Sequential(conv(3, 3), nn.BatchNorm2d(3))
        self.other = other

    @property
    def conv(self):
        return self.pair[0]

    @property
    def norm(self):
        return list(self.pair.modules())[-1]

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
    plain.pair[1] = nn.Sequential(plain.norm)  # where none is folded
    x = images()
    spiking, expected = (to_spike_train(m, form) for m in (model, plain))
    folded = []
    for call in (x - x.mean() - 1, x - x.mean() + 1, x - x.mean() - 1):
        assert torch.allclose(spiking(call), expected(call), rtol=1e-9)
        folded.append(spiking.folded_norms)
    assert folded == [1, 0, 0] and 'pair.1: ' in spiking.unfolded[0]


class Reader(nn.Module):
    """Its Python code looks at modules in each call, and writes down what it
    sees."""

    def __init__(self, look):
        super().__init__()
        torch.manual_seed(0)
        self.fire, self.last = fire(), fire()
        self.f = nn.Sequential(conv(3, 3, bias=False), nn.BatchNorm2d(3))
        self.look, self.seen = look, []

    def forward(self, x):
        before = self.look(self)
        x = self.f(self.fire(x))
        self.seen.append((before, self.look(self)))
        return self.last(x)


LOOKS = dict(
    bias=lambda m: m.f[0].bias is None,
    parameters=lambda m: [(n, p.shape) for n, p in m.f.named_parameters()],
    buffers=lambda m: [n for n, _ in m.named_buffers()],
    kind=lambda m: (type(m.f[1]), isinstance(m.f[1], nn.BatchNorm2d)),
    eps=lambda m: (m.f[1].eps, m.f[1].affine, m.f[1].weight is None),
    mean=lambda m: m.f[1].running_mean is None,
    has=lambda m: (hasattr(m.f[1], 'running_var'), hasattr(m.f[1], 'weight')),
    shown=lambda m: repr(m.f))


@pytest.mark.parametrize('dtype,form', [
    (torch.float32, 'spikes'), (torch.float32, 'free_running'),
    (DOUBLE, 'counts')])
@pytest.mark.parametrize('look', LOOKS)
def test_a_model_sees_its_modules_as_they_were(look, form, dtype):
    model = randomised(Reader(LOOKS[look])).to(dtype)
    model(images().to(dtype))
    spiking = to_spike_train(model, form)
    spiking.module.seen.clear()
    for seed in range(2):
        spiking(images(seed=seed).to(dtype))
    assert spiking.folded_norms == 1 and not spiking.unfolded
    assert spiking.module.seen  # free running runs a model several times
    assert all(s == model.seen[0] for s in spiking.module.seen)
    assert isinstance(spiking.module.f[1], FoldedNorm)  # between calls


@pytest.mark.parametrize('form', ['spikes', 'counts', 'free_running'])
def test_weights_that_a_later_call_reads_are_the_trained_ones(form):
    model = randomised(ByValue(
        lambda m, x: F.conv2d(m.norm(m.conv(x)), m.conv.weight) *
        m.norm.running_var.sum() * m.norm.weight.norm()))
    spiking = to_spike_train(model, form)
    plain = copy.deepcopy(model)
    plain.pair[1] = nn.Sequential(plain.norm)  # where none is folded
    expected = to_spike_train(plain, form)
    x = images()
    for call in (x - x.mean() - 1, x - x.mean() + 1):
        assert torch.allclose(spiking(call), expected(call), rtol=1e-9)
    assert spiking.folded_norms == 1 and expected.folded_norms == 0


def test_hidden_weights_are_moved_with_the_model():

    def other(m, x):
        seen.append((m.conv.weight.dtype, m.norm.running_mean.dtype))
        return m.norm(m.conv(x)) * m.norm.weight.sum()

    seen = []
    model = randomised(ByValue(other)).float()
    spiking = to_spike_train(model)
    low = images() - images().mean() - 1
    spiking(low.float())
    spiking.double()
    found = spiking(low + 2)
    assert seen[-1] == (DOUBLE, DOUBLE)  # those before are of a trial
    torch.testing.assert_close(
        found, copy.deepcopy(model).double()(low + 2), rtol=1e-5, atol=0)


def compiled(m, x):
    """Compiled code calls ops that no function of Python's has seen."""
    y = m.conv(x)
    with torch._C.DisableTorchFunctionSubclass():
        return m.norm(y) + y.relu()


def held(m, x):
    m.held = m.conv(x)
    return m.norm(m.held)


def written(m, x):
    y = m.conv(x)
    y += 1
    return m.norm(y)


def other_eps(m, x):
    before, m.norm.eps = m.norm.eps, 1.
    try:
        return m.norm(m.conv(x))
    finally:
        m.norm.eps = before


@pytest.mark.parametrize('other,because', [
    (lambda m, x: m.norm(y := m.conv(x)) + y, 'add reads the output of'),
    (lambda m, x: m.norm(y := m.conv(x)) * y.mean().item(), 'mean reads'),
    (lambda m, x: m.norm(y := m.conv(x)) * y.tolist()[0][0][0][0], 'tolist'),
    (lambda m, x: m.norm(y := m.conv(x)) + y.data.abs(), 'reads the output'),
    (lambda m, x: m.norm(y := m.conv(x)) * float(y.numpy().sum()), 'numpy'),
    (compiled, 'relu reads the output'),
    (held, 'an output that it normalises is kept or returned'),
    (written, 'add_ reads the output of pair.0'),
    (other_eps, 'a call changes how it normalises'),
    (lambda m, x: (m.norm.train(), m.norm(m.conv(x)), m.norm.eval())[1],
     'a call changes how it normalises')])
@pytest.mark.parametrize('form,record', [
    ('spikes', True), ('counts', True), ('counts', False),
    ('free_running', False)])
def test_what_only_a_later_call_does_with_an_output(
        other, because, form, record):
    model = randomised(ByValue(other))
    plain = copy.deepcopy(model)
    plain.pair[1] = nn.Sequential(plain.norm)  # where none is folded
    x = images() - images().mean()
    spiking, expected = (to_spike_train(m, form) for m in (model, plain))
    if record:
        spiking.start_recording()
    torch.testing.assert_close(spiking(x - 1), expected(x - 1))
    assert spiking.folded_norms == 1
    torch.testing.assert_close(spiking(x + 1), expected(x + 1))
    assert spiking.folded_norms == 0
    reason, = spiking.unfolded
    assert reason.startswith('pair.1: ') and because in reason, reason
    torch.testing.assert_close(spiking(x - 1), expected(x - 1))
    if record:
        assert spiking.trace.images == 6


def test_a_later_call_over_another_dimension():
    class Sequences(nn.Module):

        def __init__(self):
            super().__init__()
            self.fire, self.last = fire(), fire()
            self.pair = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))

        def forward(self, x, length):
            x = self.fire(x)
            if length > 1:  # (N, L, C): the norm is over positions
                x = x[:, None].expand(-1, length, -1)
            return self.last(self.pair(x))

    model = randomised(Sequences())
    spiking = to_spike_train(model)
    for length, folded in ((1, 1), (3, 0), (1, 0)):
        torch.testing.assert_close(spiking(images(2, 3), length),
                                   model(images(2, 3), length))
        assert spiking.folded_norms == folded
    assert spiking.unfolded == [
        'pair.1: in a call it normalises dimension 1 of 3']


def test_an_output_in_a_cycle_that_nobody_holds_is_not_kept():
    def other(m, x):
        cycle = [m.conv(x)]
        cycle.append(cycle)
        return m.norm(cycle[0])

    model = randomised(ByValue(other))
    spiking = to_spike_train(model)
    x = images() - images().mean()
    for call in (x - 1, x + 1):
        torch.testing.assert_close(spiking(call), model(call))
    assert spiking.folded_norms == 1 and not spiking.unfolded


def test_kinds_of_an_output_may_be_asked_for():
    model = randomised(ByValue(
        lambda m, x: m.norm(y := m.conv(x)) * len(y) * y.shape[1] *
        y.dim() * y.numel() * (y.dtype == DOUBLE) * (y.device == x.device)))
    spiking = to_spike_train(model)
    x = images() - images().mean()
    for call in (x - 1, x + 1):
        torch.testing.assert_close(spiking(call), model(call))
    assert spiking.folded_norms == 1


@pytest.mark.parametrize('write', [
    lambda m: m.conv.weight.mul_(2), lambda m: m.norm.running_mean.add_(1),
    lambda m: setattr(m.conv, 'bias', nn.Parameter(torch.ones(3).double()))])
def test_weights_that_a_later_call_changes_are_refused(write):
    model = randomised(ByValue(
        lambda m, x: (m.norm(m.conv(x)), write(m))[0]))
    spiking = to_spike_train(model)
    x = images() - images().mean()
    spiking(x - 1)
    with pytest.raises(RuntimeError, match='pair.1: this call has changed '
                       'its weights, or those of pair.0, .*call the model on'):
        spiking(x + 1)
    assert spiking.folded_norms == 0
    with torch.no_grad():
        write(model)
        torch.testing.assert_close(spiking(x - 1), model(x - 1))


def test_weights_that_are_changed_between_calls_are_refused():
    model = randomised(ByValue(lambda m, x: m.norm(m.conv(x))))
    model.held = [model.conv.weight]  # hidden, not those that are folded
    spiking = to_spike_train(model)
    x = images() - images().mean()
    torch.testing.assert_close(spiking(x - 1), model(x - 1))
    for net in (model, spiking.module):
        with torch.no_grad():
            net.held[0].mul_(2)
    with pytest.raises(RuntimeError, match='pair.1: .* weights.*call the mod'):
        spiking(x - 1)
    torch.testing.assert_close(spiking(x - 1), model(x - 1))
    assert spiking.folded_norms == 0


def test_an_output_kept_from_a_run_that_was_given_up():
    def keeps(m, x):
        y = m.conv(x)
        keep(y)
        return m.norm(y)

    model = randomised(ByValue(keeps))
    kept = []
    keep = kept.append  # no state of the model that could be put back
    spiking = to_spike_train(model)
    x = images() - images().mean()
    spiking(x - 1), spiking(x + 1)
    given_up, used = kept
    assert used.sum().isfinite()
    with pytest.raises(RuntimeError, match='pair.1: .*sum reads the output of '
                       'pair.0, which was kept from a call that was run once'):
        given_up.sum()


def test_a_part_of_a_converted_model_runs_alone():
    net = randomised(Net(plain))
    spiking = to_spike_train(net)
    x = net.first(images())
    for _ in range(2):  # before and after a call
        torch.testing.assert_close(spiking.module.f(x), net.f(x))
        spiking(images())


def test_a_norm_that_is_called_by_keyword():
    net = Net(lambda net, x: net.last(net.f[1](input=net.f[0](x))))
    net = randomised(net)
    spiking = to_spike_train(net)
    torch.testing.assert_close(spiking(images()), net(images()))


@pytest.mark.parametrize('read', [
    lambda y: y.data_ptr(), lambda y: y.untyped_storage(), repr,
    pickle.dumps])
def test_reads_that_are_no_operation(read):
    def way(net, x):
        y = net.f[0](x)
        read(y)
        return net.last(net.f[1](y))

    spiking = to_spike_train(randomised(Net(way)))
    spiking(images())
    assert spiking.folded_norms == 0
    assert 'reads the output of f.0' in spiking.unfolded[0]


def test_weights_that_are_no_parameters_are_left():
    net = Net(plain)
    weight = net.f[0].weight.detach().double()
    del net.f[0].weight
    net.f[0].weight = weight
    converted(net, because='f.1: weights of f.0 are no parameters of it')


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_a_fold_that_changes_results_is_undone(form):
    """What no trial sees: the very type of an output."""
    def way(net, x):
        y = net.f[0](x)
        return net.f[1](y) * (1 if type(y) is torch.Tensor else 2)

    model = randomised(Net(way))
    spiking = to_spike_train(model, form)
    with spiking:
        torch.testing.assert_close(spiking(images()), model(images()))
    assert spiking.trace.images == 2
    assert spiking.unfolded == [
        'f.1: the model returns something else with norms folded']


@pytest.mark.parametrize('copied', [
    copy.copy, copy.deepcopy, pickle.dumps,
    lambda x: torch.save(x, io.BytesIO())])
def test_a_converted_model_is_neither_copied_nor_saved(copied):
    spiking = to_spike_train(Net(plain).eval())
    for x in (spiking, spiking.module):
        with pytest.raises(TypeError, match='a converted model can be neither '
                           'copied nor saved: copy or save the trained model, '
                           'and convert that'):
            copied(x)
