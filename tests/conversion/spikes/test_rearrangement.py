"""Spikes that are moved about stay spikes; others cost MACs."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import UnclassifiedOpError, to_spike_train
from mmsnn.conversion.counting.trace_recording import TraceRecording
from mmsnn.conversion.spikes.spike_tensor import SpikeTensor
from mmsnn.neurons import SFANeuron

FORMS = ['spikes', 'counts']


class Moved(nn.Module):
    """Spikes that are rearranged on their way to a linear layer."""

    def __init__(self, move, features):
        super().__init__()
        self.neuron = SFANeuron(3)
        self.move = move
        self.fc = nn.Linear(features, 2)

    def forward(self, x):
        return self.fc(self.move(self.neuron(x)))


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('move', [
    lambda x: x[[0, 0]],
    lambda x: x[[1, 0]],
    lambda x: x.flip(1),
    lambda x: x.roll(1, 0),
    lambda x: x[1:],
    lambda x: x.t().t(),
    lambda x: x.reshape(4, 3).reshape(2, 6),
    lambda x: F.pad(x, (1, -1)),
    lambda x: F.pad(x, (-1, 1)),
    lambda x: torch.cat([x, x]),
    lambda x: torch.stack(x.unbind(1), 1),
    lambda x: torch.cat(x.split(3, dim=1)[::-1], 1),
    lambda x: x.index_select(0, torch.tensor([1, 1])),
    lambda x: x.gather(1, torch.tensor([[0] * 6, [5] * 6])),
    lambda x: F.interpolate(x[None], size=6)[0],
    lambda x: F.interpolate(x[None], size=6, mode='nearest-exact')[0],
    lambda x: F.interpolate(x[None, None], size=(1, 12)).reshape(2, 6),
    lambda x: x.repeat(3, 1),
    lambda x: x[:1].expand(4, 6),
    lambda x: x.to(torch.float32).contiguous().clone(),
    lambda x: F.pixel_unshuffle(x.reshape(1, 1, 2, 6), 2).reshape(2, 6),
    lambda x: F.channel_shuffle(x.reshape(1, 4, 3), 2).reshape(2, 6),
    lambda x: x.reshape(3, 4).rot90().reshape(2, 6),
    lambda x: x.tril(-1), lambda x: x.triu(2),
    lambda x: x.masked_fill(torch.arange(6) > 3, 0.),
    lambda x: torch.where(torch.arange(6) > 3, x, 0.),
    lambda x: torch.where(torch.arange(6) > 3, torch.zeros_like(x), x),
    lambda x: torch.cat([x, torch.zeros_like(x)]),
    lambda x: torch.stack([x.new_zeros(2, 6), x])[1],
    lambda x: torch.masked_select(x, torch.arange(12).view(2, 6) > 5)[None],
    lambda x: torch.take_along_dim(x, torch.tensor([[5] * 6]), 1),
    lambda x: torch.take(x, torch.tensor([[4, 4, 4, 0, 11, 10]])),
    lambda x: torch.zeros(2, 6).scatter(
        1, torch.tensor([[1, 2, 3, 5, 4, 0]] * 2), x),
    lambda x: torch.zeros(2, 6).index_copy(0, torch.tensor([1, 0]), x),
    lambda x: torch.zeros(2, 6).slice_scatter(x[:, :2], 1, 4),
    lambda x: torch.zeros(2, 6).select_scatter(x[1], 0, 0),
    lambda x: torch.zeros(2, 6).diagonal_scatter(x[0, 3:5]),
    lambda x: torch.zeros(2, 6).index_put([torch.tensor([0])], x[1]),
    lambda x: F.pad(x[None], (2, 1), mode='reflect')[0, :, 2:8],
    lambda x: F.pad(x[None], (2, 1), mode='replicate')[0, :, 1:7],
    lambda x: F.pad(x[None], (2, 1), mode='circular')[0, :, 1:7],
    lambda x: F.pad(x[None, None], (-2, 3, 1, 0), mode='circular')[
        0, 0, :2, :6],
    lambda x: x.as_strided((2, 6), (3, 1), 1),
    lambda x: x.repeat_interleave(torch.tensor([2, 1, 0, 0, 1, 2]), 1),
    lambda x: F.unfold(x.reshape(1, 1, 4, 3), (2, 3)).reshape(3, 6),
    lambda x: x.unfold(1, 3, 1).reshape(-1, 6),
    lambda x: x.narrow_copy(1, 1, 3).repeat(1, 2),
    lambda x: x.unsafe_split(3, 1)[1].repeat(1, 2),
    lambda x: torch.block_diag(x[:, :3], x[:, 3:]),
    lambda x: x.diag_embed()[:, 3],
    lambda x: F.embedding(torch.tensor([1, 1, 0]), x),
    lambda x: F.max_unpool1d(x[None], torch.arange(0, 12, 2).repeat(2, 1)[
        None], 2)[0, :, 2:8],
    lambda x: F.grid_sample(x[None, None], F.affine_grid(
        torch.eye(2, 3)[None], (1, 1, 2, 6)), mode='nearest')[0, 0],
])
def test_rearranged_spikes_stay_spikes(form, move):
    x = torch.tensor([[0., 1, 2, 3, 4, 5], [1, 1, 0, 0, 2, 0]])
    model = Moved(move, 6)
    counts = move(model.neuron(x)) * 3
    with to_spike_train(model, form) as spiking:
        for _ in range(2):
            torch.testing.assert_close(spiking(x), model(x))
    fc = list(spiking.trace)[-1]
    assert fc.spiking and fc.macs == 0
    assert fc.in_spikes == 2 * counts.sum().round()
    assert fc.sops == 2 * fc.in_spikes


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('move', [
    lambda x: x + 1, lambda x: x * 0.5, lambda x: x.softmax(1),
    lambda x: F.pad(x, (1, -1), value=1.),
    lambda x: torch.cat([x[:1], torch.ones(1, 6)]),
    lambda x: torch.cat([x[:1], x[1:] * 1]),
    lambda x: x.masked_fill(torch.arange(6) > 3, 1 / 3),
    lambda x: torch.where(x > 0.5, x, torch.full_like(x, 1 / 3)),
    lambda x: x.view(torch.int32).view(torch.float32),
    lambda x: torch._neg_view(x),
    lambda x: x.to(torch.int64).to(torch.float32),
    lambda x: x.clamp(0, 0.5), lambda x: x.clamp_min(1 / 3),
    lambda x: F.hardtanh(x, -1, 0.9), lambda x: F.threshold(x, 0.4, 0.),
    lambda x: torch.zeros(2, 6).scatter_add(
        1, torch.zeros(2, 6, dtype=torch.int64), x),
    lambda x: torch.zeros(2, 6).index_put(
        [torch.tensor([0, 0])], x, accumulate=True),
])
def test_what_is_no_longer_spikes_costs_macs(form, move):
    x = torch.tensor([[0., 1, 2, 3, 4, 5], [1, 1, 0, 0, 2, 0]])
    model = Moved(move, 6)
    with to_spike_train(model, form) as spiking:
        torch.testing.assert_close(spiking(x), model(x))
    fc = list(spiking.trace)[-1]
    assert not fc.spiking and fc.macs == 2 * 6 * 2 and fc.sops == 0
    assert fc.note == 'its input is real values, not spikes'
    assert fc in spiking.trace.audit()


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('most, dtype, spikes', [
    (4, torch.float16, True),  # quarters
    (6, torch.float16, False),  # sixths
    (6, torch.float64, True),
    (256, torch.bfloat16, True),
    (512, torch.bfloat16, False),  # counts of nine bits and more
])
def test_types_that_round_spikes_make_them_real(form, most, dtype, spikes):
    model = Moved(lambda x: x.to(dtype).to(x.dtype), 6).eval()
    model.neuron = SFANeuron(most)
    x = torch.linspace(-1, most + 1, 12).view(2, 6)
    with to_spike_train(model, form) as spiking:
        out = spiking(x)
    fc = [r for r in spiking.trace if r.module == 'fc']
    assert torch.allclose(out, model(x), atol=1e-6)
    assert [bool(r.sops) for r in fc] == [spikes]


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('same', [
    torch.relu, F.relu6, torch.abs, lambda x: F.relu_(x),
    lambda x: x.clamp(0, 1), lambda x: x.clamp(min=-1), lambda x: x.clamp_(0),
    lambda x: F.hardtanh(x, -1, 1), F.leaky_relu, F.elu, F.celu,
    lambda x: F.prelu(x, torch.tensor([0.1])), F.dropout2d,
    lambda x: F.threshold(x, -1, 7.), torch.nan_to_num,
    lambda x: F.rrelu(x, training=False)])
def test_what_spikes_pass_unchanged(form, same):

    def move(x):
        return same(x) if same is not F.dropout2d else same(
            x[None], training=False)[0]

    x = torch.tensor([[0., 1, 2, 3, 4, 5], [1, 1, 0, 0, 2, 0]])
    with to_spike_train(Moved(move, 6), form) as spiking:
        for _ in range(2):
            spiking(x)
    neuron, fc = spiking.trace
    assert fc.in_spikes == 2 * (0 + 1 + 2 + 3 + 3 + 3 + 1 + 1 + 2)
    assert fc.sops == 2 * fc.in_spikes


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('extreme, comparisons', [
    # windows of 2 on 12 counts
    (lambda x: F.max_pool1d(x[None], 2)[0], 6),
    (lambda x: F.max_pool2d(x[None], (2, 1), 1)[0], 6),
    (lambda x: F.adaptive_max_pool1d(x[None], 4)[0], 2 * 4 * 2 - 8),
    (lambda x: x.amax(0, keepdim=True), 12),
    (lambda x: x.max(1, keepdim=True)[0], 12),
    (lambda x: x.amin(0, keepdim=True), 12),
    (lambda x: torch.maximum(x[:1], x[1:]), 6),
    (lambda x: torch.minimum(x[:1], x[1:]), 6),
    (lambda x: x.cummax(1)[0], 12)])
def test_extremes_of_spikes_are_spikes(form, extreme, comparisons):
    x = torch.tensor([[0., 1, 2, 3, 4, 5], [1, 1, 0, 0, 2, 0]])
    features = extreme(x).shape[-1]
    model = Moved(extreme, features)
    counts = extreme(model.neuron(x)) * 3
    with to_spike_train(model, form) as spiking:
        for _ in range(2):
            torch.testing.assert_close(spiking(x), model(x))
    *_, found, fc = [r for r in spiking.trace if r.module != 'neuron']
    assert fc.in_spikes == 2 * counts.sum().round() and fc.macs == 0
    assert found.comparisons == 2 * comparisons and not found.other


def test_indices_of_the_largest_are_those_of_the_values():
    x = torch.tensor([[0., 1, 3, 3, 4, 5], [1, 2, 0, 0, 2, 0]])
    model = nn.Sequential(SFANeuron(3))
    model.forward = lambda x: model[0](x).max(1)
    for form in FORMS:
        spiking = to_spike_train(model, form)
        spiking.module.forward = lambda x: spiking.module[0](x).max(1)
        assert spiking(x)[1].tolist() == model(x)[1].tolist() == [2, 1]


@pytest.mark.parametrize('form', FORMS)
def test_one_layer_on_spikes_and_on_real_values(form):

    class Both(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron(4)
            self.fc = nn.Linear(3, 2)

        def forward(self, x):
            return self.fc(self.neuron(x)), self.fc(x)

    with to_spike_train(Both(), form) as spiking:
        spiking(torch.tensor([[1., 2., 9.]]))
    found = {r.spiking: r for r in spiking.trace if r.module == 'fc'}
    assert found[True].sops == 2 * 7 and found[True].macs == 0
    assert found[False].macs == 6 and found[False].sops == 0
    assert found[False] in spiking.trace.audit()


def filled(x):
    y = torch.zeros_like(x)
    y[:, :2] = x[:, 1:3]
    return y


def put(x):
    y = x.new_zeros(4, 6)
    y[torch.tensor([3, 0])] = x
    return y


def built(x):
    y = torch.empty(2, 8)
    y[:, :6] = x
    y[:, 6:] = y[:, :2]  # what is there, once more
    y[:1, 6:].zero_()
    return y[:, 2:]


def masked(x):
    y = torch.zeros(2, 6)
    y.copy_(x)
    y.masked_fill_(torch.arange(6) > 3, 0)
    return y.t().contiguous().t()


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('write', [filled, put, built, masked])
def test_spikes_written_into_zeros_stay_spikes(form, write):
    x = torch.tensor([[0., 1, 2, 3, 4, 5], [1, 1, 0, 0, 2, 0]])
    model = Moved(write, 6)
    counts = write(model.neuron(x)) * 3
    with to_spike_train(model, form) as spiking:
        for k in (1, 1, 2):
            torch.testing.assert_close(spiking(x * k), model(x * k))
    fc = list(spiking.trace)[-1]
    more = write(model.neuron(x * 2)) * 3
    assert fc.spiking and fc.macs == 0
    assert fc.in_spikes == round((2 * counts.sum() + more.sum()).item())


def added(x):
    return filled(x).add_(x)


def real_inside(x):
    y = filled(x)
    y[:, 5] = 0.3
    return y


def onto_real(x):
    y = torch.full((2, 6), 0.5)
    y[:, :2] = x[:, :2]
    return y


def unseen(x):
    y = filled(x)
    y.numpy()[0] = 7
    return y


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('write', [added, real_inside, onto_real, unseen])
def test_what_else_is_written_there_makes_it_real(form, write):
    x = torch.tensor([[0., 1, 2, 3, 4, 5], [1, 1, 0, 0, 2, 0]])
    model = Moved(write, 6)
    with to_spike_train(model, form) as spiking:
        torch.testing.assert_close(spiking(x), model(x))
    fc = list(spiking.trace)[-1]
    assert not fc.spiking and fc.macs == 2 * 6 * 2


PLACES = torch.arange(1, 13).view(2, 6)


@pytest.mark.parametrize('move', [
    lambda x: x[:, [5, 0]], lambda x: F.pad(x, (1, 2)),
    lambda x: torch.cat([x, torch.zeros(2, 1)], 1), lambda x: x.tril(),
    lambda x: x.t().reshape(3, 4), lambda x: x.float(),
    lambda x: F.interpolate(x[None], scale_factor=2)[0],
    lambda x: F.pad(x[None], (2, 2), mode='reflect')[0], torch.relu,
    lambda x: torch.where(torch.arange(6) > 2, x, 0.),
    lambda x: F.unfold(x[None, None], (2, 3))[0],
    lambda x: x.chunk(2, 1)[1]])
def test_places_move_along(move):
    """Where each element comes from, 0 for what nothing fires into."""
    spikes = SpikeTensor([torch.ones(2, 6, dtype=torch.float64)], 1., 2, False,
                         places=PLACES)
    expected = move(PLACES.double())
    assert torch.equal(move(spikes).places.double(), expected.double())


def test_places_of_a_maximum_are_not_known():
    spikes = SpikeTensor([torch.ones(2, 6)], 1., 2, False, places=PLACES)
    assert F.max_pool1d(spikes[None], 2).places is None
    assert (spikes + 1).__class__ is torch.Tensor


@pytest.mark.parametrize('call, says', [
    (lambda x: x.mul_(2), r'mul_.* in place.*y = x \* 2'),
    (lambda x: x.zero_(), 'zero_.* in place'),
    (lambda x: x.resize_(3, 4), 'resize_.* other memory.*x.reshape'),
    (lambda x: x.add_(1.), 'add_.* in place'),
    (lambda x: F.conv1d(torch.ones(1, 2, 6), x[None]),
     'weights are spikes.*unfold'),
    (lambda x: F.pad(x[None], (7, 0), mode='circular'), 'more than once')])
def test_what_is_refused_says_what_to_write(call, says):
    for form in FORMS:
        spiking = to_spike_train(nn.Sequential(Moved(call, 6)), form)
        with spiking, pytest.raises((UnclassifiedOpError, ValueError),
                                    match=says) as raised:
            spiking(torch.ones(2, 6))
        assert '0: ' in str(raised.value) or 'padding' in str(raised.value)


def test_values_leave_as_arrays_and_lists():
    trains = [torch.tensor([1., 1.]), torch.tensor([0., 1.])]
    spikes = SpikeTensor(trains, 0.5, 2, True)
    assert spikes.numpy().tolist() == spikes.tolist() == [0.5, 1.]
    assert torch.from_numpy(spikes.numpy()).tolist() == [0.5, 1.]
    assert spikes[1].item() == float(spikes[1]) == 1.
    assert spikes.data.tolist() == [0.5, 1.]
    assert torch.tensor(spikes.tolist()).tolist() == [0.5, 1.]
    assert 'trains' in repr(spikes) and 'trains' in f'{spikes}'
    assert pickle.loads(pickle.dumps(spikes)).tolist() == [0.5, 1.]


@pytest.mark.parametrize('form', FORMS)
def test_a_deep_copy_of_spikes_is_spikes(form):
    """Four spikes of the first call, three of the second; the copy that is
    read twice stays one."""
    copied = Moved(lambda x: torch.cat(copy.deepcopy([x, x])), 2)
    with to_spike_train(nn.Sequential(copied), form) as spiking:
        for x in ([[3., 1.]], [[1., 2.]]):
            spiking(torch.tensor(x))
    fc = list(spiking.trace)[-1]
    assert fc.spiking and fc.in_spikes == 2 * (4 + 3)
    spikes = SpikeTensor([torch.ones(2)], 1., 1, False)
    one, other = copy.deepcopy([spikes, spikes])
    assert one is other is not spikes


@pytest.mark.parametrize('move, recorded', [
    (lambda x: torch.cat([x, torch.zeros_like(x)]), 1),
    (lambda x: x.masked_fill(torch.arange(6) > 3, 0), 1),
    (lambda x: x.index_select(1, torch.tensor([0, 0, 5, 4, 3, 1])), 1),
    (lambda x: x[:, torch.tensor([0, 0, 5, 4, 3, 1])], 1),
    (lambda x: x[:, torch.arange(6).flip(0)], 1),
    (lambda x: x.masked_select(torch.arange(12).view(2, 6) > 5)[None], 3),
    (lambda x: F.pad(x[None], (1, 1), mode='circular')[0, :, :6], 1),
    (lambda x: F.max_pool1d(x[None], 3, 1, 1)[0], 1),
    (lambda x: x[:, torch.randperm(6)], 3),  # another one each time
    (lambda x: torch.where(x > 0.5, x, 0.), 3),
    (filled, 3)])
def test_moves_by_constants_are_replayed(move, recorded, monkeypatch):
    """What depends on values, or is drawn, is watched in each call."""
    x = torch.tensor([[0., 1, 2, 3, 4, 5], [1, 1, 0, 0, 2, 0]])
    spiking = to_spike_train(Moved(move, 6), 'counts')
    calls, record = [], TraceRecording._record
    monkeypatch.setattr(
        TraceRecording, '_record',
        lambda *args: calls.append(0) or record(*args))
    torch.manual_seed(0)
    with spiking:
        for k in (1, 2, 3):
            spiking(k * x)
    assert len(calls) == recorded
    torch.manual_seed(0)
    neuron = SFANeuron(3)
    counts = [3 * move(neuron(k * x)).sum() for k in (1, 2, 3)]
    assert list(spiking.trace)[-1].in_spikes == round(sum(counts).item())


@pytest.mark.parametrize('form', FORMS)
def test_what_is_zero_by_chance_is_no_silent_neuron(form):
    """Numbers that follow from the image, and happen to be zero."""

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron, self.fc = SFANeuron(3), nn.Linear(6, 2)

        def forward(self, x):
            rest = (x - 2).relu()
            return self.fc(torch.cat([self.neuron(x[:, :3]), rest], 1))

    x = torch.ones(2, 3)
    with to_spike_train(Net(), form) as spiking:
        spiking(x)  # the rest is zero
        spiking(3 * x)
    fc = list(spiking.trace)[-1]
    assert (fc.spiking, fc.calls, fc.macs) == (False, 2, 2 * 2 * 12)


@pytest.mark.parametrize('call', [
    lambda s: torch.add(torch.ones(2), 1, out=s),
    lambda s: torch._foreach_add_([s], 1.), lambda s: s.apply_(float),
    lambda s: s.data_ptr(), lambda s: s.untyped_storage(),
    lambda s: s.__iadd__(1)])
def test_nothing_is_written_past_the_spikes(call):
    """Neither is it lost, nor does it reach memory that is not there."""
    spikes = SpikeTensor([torch.ones(2)], 1., 1, True)
    with pytest.raises(UnclassifiedOpError, match='write it|call it on'):
        call(spikes)


@pytest.mark.parametrize('binary', [True, False])
@pytest.mark.parametrize('read', [
    lambda x: x + 1, lambda x: x.sum(), lambda x: x.clone(), repr,
    lambda x: x.tolist(), lambda x: x.numpy(), lambda x: x.add_(1),
    lambda x: x[:1].view(-1) * 2, lambda x: x.data_ptr()])
def test_plain_tensors_that_are_made_spikes_say_so(read, binary):
    """PyTorch asks nobody when ``.data`` is set: reading memory that is not
    there would end the process."""
    spikes = SpikeTensor([torch.tensor([1., 0.])], 1., 1, binary)
    x, layer = torch.zeros(2), nn.Linear(2, 2)
    x.data = layer.bias.data = spikes
    with torch.no_grad(), pytest.raises(RuntimeError,
                                        match=r'x.data = spikes \* 1'):
        read(x)
    with torch.no_grad(), pytest.raises(RuntimeError,
                                        match=r'x.data = spikes \* 1'):
        layer(torch.ones(1, 2))
    x.data = spikes * 1
    assert x.tolist() == spikes.tolist() == [1, 0]


def test_values_may_be_taken_over_and_spikes_swapped():
    spikes = SpikeTensor([torch.tensor([1., 0.])], 1., 1, True)
    x = torch.zeros(2)
    x.set_(spikes)
    assert type(x) is torch.Tensor and x.tolist() == [1, 0]
    with pytest.raises(UnclassifiedOpError, match='change spikes in place'):
        spikes.data = torch.ones(2)
    y = torch.full((2, ), 7.)
    torch.utils.swap_tensors(y, spikes)
    assert isinstance(y, SpikeTensor) and y.tolist() == [1, 0]
    assert spikes.tolist() == [7, 7]
