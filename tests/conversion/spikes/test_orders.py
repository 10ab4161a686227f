"""What takes spikes by their order, bounds them, or shows them in another
shape keeps them spikes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import SpikeTensor, UnclassifiedOpError, to_spike_train
from mmsnn.conversion.counting.trace_recording import TraceRecording
from mmsnn.neurons import LIFNeuron, SFANeuron

FORMS = ['spikes', 'counts']
NEURONS = {
    'SFA': lambda: SFANeuron(max_spikes=4),
    'over time': lambda: SFANeuron(max_spikes=3, timesteps=2),
    'LIF': lambda: LIFNeuron(timesteps=2),
}
INPUT = torch.tensor([[0., 1, 2, 3, 4, 5], [1.2, 1, 0, 0, 2, 0]])


class Net(nn.Module):

    def __init__(self, neuron, op):
        super().__init__()
        self.neuron, self.op = neuron, op
        self.fc = nn.Linear(op(torch.rand(4, 6)).shape[-1], 2)

    def fired(self, x):
        steps = self.neuron.timesteps
        return self.neuron(
            x.unsqueeze(1).expand(-1, steps, -1).flatten(0, 1))

    def forward(self, x):
        return self.fc(self.op(self.fired(x)))


def traced(neuron, op, form):
    """Trace of three calls, each of which gives what the training form does;
    and the spikes that should reach the linear layer."""
    model = Net(neuron, op).eval()
    expected = 0
    with to_spike_train(model, form) as spiking, torch.no_grad():
        for x in (INPUT, INPUT.flip(0), INPUT * 0.7):
            torch.testing.assert_close(spiking(x), model(x))
            expected += (op(model.fired(x)) / neuron.scale).sum().item()
    return spiking.trace, round(expected)


#: With the comparisons for a row of 6, by hand: an element takes log2(6 + 1)
#: steps, so 3, to find its place.
ORDERS = [
    (lambda x: x.sort(1)[0], 18), (lambda x: x.sort(1, True)[0], 18),
    (lambda x: x.topk(2, 1)[0], 18),
    (lambda x: x.topk(3, 1, largest=False)[0], 18),
    (lambda x: x.kthvalue(2, 1, keepdim=True)[0], 18),
    (lambda x: x.median(1, keepdim=True)[0], 18),
    (lambda x: x.nanmedian(1, keepdim=True)[0], 18),
    (lambda x: x.t().msort().t(), 18),
    (lambda x: x.quantile(0.3, 1, True, interpolation='nearest'), 18),
    (lambda x: x.aminmax(dim=1, keepdim=True)[1], 12),
    (lambda x: torch.zeros_like(x).scatter_reduce(
        1, torch.tensor([[0, 0, 2, 2, 1, 1]]).expand(len(x), 6), x, 'amax'),
     6),
    (lambda x: torch.zeros_like(x).index_reduce(
        1, torch.tensor([0, 0, 2, 2, 1, 1]), x, 'amax'), 6)]


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('kind', NEURONS)
@pytest.mark.parametrize('op, comparisons', ORDERS)
def test_orders_of_spikes_are_spikes(kind, form, op, comparisons):
    neuron = NEURONS[kind]()
    trace, expected = traced(neuron, op, form)
    fc = list(trace)[-1]
    assert fc.in_spikes == expected and fc.sops == 2 * expected
    assert fc.spiking and fc.macs == 0
    rows = 3 * 2 * neuron.timesteps
    gates = [r for r in trace if r.spiking and r.op not in ('neuron', 'addmm')]
    assert sum(r.comparisons for r in gates) == comparisons * rows


@pytest.mark.parametrize('form', FORMS)
def test_what_a_sort_of_trains_gives(form):
    """The k-th largest fires where at least k do."""
    counts = torch.tensor([[2., 0, 1, 3]])
    parts = [(counts > d).float() for d in range(3)]
    spikes = SpikeTensor(parts if form == 'spikes' else [counts], 1., 3,
                         form == 'spikes')
    values, indices = spikes.sort(1, descending=True)
    assert values.counts().tolist() == [[3, 2, 1, 0]]
    assert indices.tolist() == [[3, 0, 2, 1]]
    if form == 'spikes':
        assert [p.tolist() for p in values.parts] == [
            [[1, 1, 1, 0]], [[1, 1, 0, 0]], [[1, 0, 0, 0]]]
    assert values.spikes == 6
    assert type(spikes.topk(2, 1, sorted=False)[0]) is torch.Tensor
    assert spikes.median().counts() == 1


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('op', [
    lambda x: x.quantile(0.3, 1, True), lambda x: torch.nanquantile(
        x, 0.3, 1, True), lambda x: x.quantile(torch.tensor([0.5]), 1).t(),
    lambda x: torch.empty_like(x).copy_(x).quantile(0.3, 1, True)])
def test_between_two_of_them_is_real(form, op):
    trace, _ = traced(SFANeuron(max_spikes=4), op, form)
    assert not list(trace)[-1].spiking


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('op', [
    lambda x: x.gather(1, x.argsort(1, descending=True)),
    lambda x: torch.take_along_dim(x, torch.argsort(x, stable=True), 1)])
def test_only_their_order_is_no_layer_of_gates(form, op):
    """What is moved by it are spikes."""
    trace, expected = traced(SFANeuron(max_spikes=4), op, form)
    neuron, sort, fc = trace
    assert (sort.op, sort.spiking, sort.comparisons) == ('sort', False, 108)
    assert fc.in_spikes == expected


def levels(x):
    return x.new_tensor([0., 0.25, 0.5, 0.75, 1, 7])


BOUNDED = [  # with the counts of 0 to 5 below
    (lambda x: x.clamp(max=levels(x)), [0, 1, 2, 3, 4, 4]),
    (lambda x: x.clamp(max=levels(x).flip(0)), [0, 1, 2, 2, 1, 0]),
    (lambda x: x.clamp(min=levels(x)[:5].flip(0).repeat(2)[:6]),
     [4, 3, 2, 3, 4, 4]),
    (lambda x: x.clamp(torch.tensor(-3.), torch.tensor(0.5)),
     [0, 1, 2, 2, 2, 2]),
    (lambda x: x.clamp(0.25, 0.5), [1, 1, 2, 2, 2, 2]),
    (lambda x: x.clamp(torch.full((6, ), 0.75), torch.full((6, ), 0.25)),
     [1, 1, 1, 1, 1, 1]),
    (lambda x: x.clamp_min(0.5), [2, 2, 2, 3, 4, 4]),
    (lambda x: x.clamp_max(levels(x)[1]), [0, 1, 1, 1, 1, 1]),
    (lambda x: F.hardtanh(x, 0.25, 0.75), [1, 1, 2, 3, 3, 3]),
    (lambda x: torch.maximum(x, levels(x)[2]), [2, 2, 2, 3, 4, 4]),
    (lambda x: torch.minimum(levels(x)[2], x), [0, 1, 2, 2, 2, 2]),
    (lambda x: torch.fmin(x, levels(x).double().float()), [0, 1, 2, 3, 4, 4]),
]


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('op, counts', BOUNDED)
def test_spikes_within_whole_numbers_of_spikes(form, op, counts):
    model = Net(SFANeuron(max_spikes=4), op).eval()
    with to_spike_train(model, form) as spiking:
        for _ in range(3):
            torch.testing.assert_close(spiking(INPUT[:1]), model(INPUT[:1]))
    gates, fc = list(spiking.trace)[1:]
    assert fc.in_spikes == 3 * sum(counts) and fc.macs == 0
    assert gates.comparisons == 3 * 6
    assert gates.spiking and gates.kind == 'real'
    assert gates.spikes == [
        3 * sum(c > d for c in counts) for d in range(4)]


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('op', [
    lambda x: x.clamp(max=torch.tensor(0.3)), lambda x: x.clamp(max=-0.25),
    lambda x: x.clamp(min=torch.tensor(1.25)), lambda x: x.clamp_max(0.6),
    lambda x: torch.maximum(x, torch.tensor(float('nan'))).nan_to_num(),
    lambda x: x.double().clamp(max=levels(x).double() / 3).float(),
    lambda x: x.clamp(min=x.mean() * 0), lambda x: torch.maximum(
        x, levels(x).double()).float()])
def test_other_bounds_make_them_real(form, op):
    trace, _ = traced(SFANeuron(max_spikes=4), op, form)
    assert not list(trace)[-1].spiking


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('op', [
    lambda x: x.clamp(torch.zeros(6), torch.ones(4, 1)[:len(x)]),
    lambda x: torch.maximum(x, torch.tensor(-1.)),
    lambda x: torch.minimum(torch.tensor(1.), x),
    lambda x: x.clamp_(torch.tensor(0.)),
    lambda x: torch.empty_like(x).copy_(x).clamp_(0, 1)])
def test_bounds_that_nothing_reaches_are_free(form, op):
    trace, expected = traced(SFANeuron(max_spikes=4), op, form)
    assert not [r for r in trace if r.comparisons and r.spiking]
    assert list(trace)[-1].in_spikes == expected


@pytest.mark.parametrize('form', FORMS)
def test_a_bound_of_another_shape_or_type(form):
    """Nothing reaches it, but the result has its shape or type."""

    def broadcast(x):
        return torch.maximum(x, torch.zeros(2, 1, 6)).flatten(0, 1)

    def typed(x):
        y = torch.maximum(x, torch.zeros(6, dtype=torch.float64))
        return y.float() * (y.dtype == torch.float64)

    trace, expected = traced(SFANeuron(max_spikes=4), broadcast, form)
    assert list(trace)[-1].in_spikes == expected
    trace, _ = traced(SFANeuron(max_spikes=4), typed, form)
    assert not list(trace)[-1].spiking


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('op', [
    torch.floor, torch.ceil, torch.trunc, torch.round,
    lambda x: x.round(decimals=1)])
def test_whole_numbers_are_not_rounded(form, op):
    trace, expected = traced(LIFNeuron(timesteps=2), op, form)
    assert list(trace)[-1].in_spikes == expected
    if form == 'spikes':
        trace, _ = traced(SFANeuron(max_spikes=4), op, form)
        assert not list(trace)[-1].spiking


def squeezed(x):
    y = x.unsqueeze(0)
    y.squeeze_(0)
    return y


def turned(x):
    y = x.unsqueeze_(0).transpose_(0, 2)
    assert y is x and y.shape[::2] == (6, 1)
    return y.swapaxes_(0, 2).squeeze_()


def turned_twice(x):
    x.t_()
    top = x[:3]
    x.t_()
    return torch.cat([x, top.t()], 1)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('kind', NEURONS)
@pytest.mark.parametrize('op', [
    squeezed, turned, turned_twice, lambda x: x.as_strided_((2, 6), (6, 1)),
    lambda x: x.detach_(), lambda x: x.unsqueeze_(1).squeeze_((1, )),
    lambda x: x[1:].as_strided_((2, 3), (1, 2), 2)])
def test_views_in_place(kind, form, op):
    trace, expected = traced(NEURONS[kind](), op, form)
    assert [r.kind for r in trace] == ['neuron', 'linear']
    fc = list(trace)[-1]
    assert fc.in_spikes == expected and fc.sops == 2 * expected


@pytest.mark.parametrize('form', FORMS)
def test_views_in_place_of_what_spikes_were_written_into(form):

    def op(x):
        y = torch.zeros(6, len(x))
        y.t_()
        y[:] = x
        return y.unsqueeze_(0).transpose_(1, 2).squeeze_(0).t_()

    trace, expected = traced(SFANeuron(max_spikes=4), op, form)
    assert list(trace)[-1].in_spikes == expected


@pytest.mark.parametrize('form', FORMS)
def test_a_resized_tensor_into_which_spikes_were_written_is_real(form):

    def op(x):
        y = torch.zeros_like(x)
        y[:] = x
        y.resize_(len(x) + 1, 6)[-1] = 0
        return y

    trace, _ = traced(SFANeuron(max_spikes=4), op, form)
    assert not list(trace)[-1].spiking


@pytest.mark.parametrize('form', FORMS)
def test_spikes_in_plain_tensors_named_as_out(form):

    def moved(x):
        y = torch.zeros_like(x)
        return torch.cat([x[:, 3:], x[:, :3]], 1, out=y)

    def computed(x):
        y = torch.empty_like(x).copy_(x)
        return y.ldexp_(torch.ones_like(x))  # PyTorch multiplies with out=y

    def rounded(x):
        y = torch.empty_like(x).copy_(x)
        return torch.floor(torch.zeros_like(x), out=y)

    trace, expected = traced(SFANeuron(max_spikes=4), moved, form)
    assert list(trace)[-1].in_spikes == expected
    for op in (computed, rounded):
        trace, _ = traced(SFANeuron(max_spikes=4), op, form)
        assert not list(trace)[-1].spiking


def test_a_view_in_place_takes_everything_along():
    counts = torch.tensor([[2., 0, 1]])
    spikes = SpikeTensor([counts], 1., 2, False, places=counts.long() + 1)
    assert spikes.position_spikes().sum() == 3
    spikes.t_()
    assert spikes.shape == (3, 1) and spikes.stride() == (1, 3)
    assert spikes.places.tolist() == [[3], [1], [2]]
    assert spikes.position_spikes().sum() == 3
    assert spikes.decode().tolist() == [[2], [0], [1]]


@pytest.mark.parametrize('call', [
    lambda s: s.resize_(2), lambda s: s.resize_as_(torch.ones(3)),
    lambda s: s.set_(torch.ones(2))])
def test_other_memory_is_refused(call):
    spikes = SpikeTensor([torch.ones(4)], 1., 1, True)
    with pytest.raises(UnclassifiedOpError, match='other memory.*reshape'):
        call(spikes)


@pytest.mark.parametrize('form', FORMS)
def test_spikes_that_say_where_others_go_are_values(form):
    """A grid of spikes, each of its trains would sample elsewhere."""

    def op(x):
        image = x[None, :, None]  # 1 x rows x 1 x 6
        grid = torch.stack([x[:1], torch.zeros_like(x[:1])], -1)[None]
        return F.grid_sample(image, grid, 'nearest', align_corners=True)[
            0, :, 0]

    trace, expected = traced(SFANeuron(max_spikes=4), op, form)
    assert list(trace)[-1].in_spikes == expected


@pytest.mark.parametrize('op', [
    ORDERS[0][0], ORDERS[2][0], BOUNDED[0][0], BOUNDED[4][0], turned])
def test_they_are_replayed_with_the_spikes_of_each_call(op, monkeypatch):
    calls, record = [], TraceRecording._record
    monkeypatch.setattr(
        TraceRecording, '_record',
        lambda *args: calls.append(0) or record(*args))
    trace, expected = traced(SFANeuron(max_spikes=4), op, 'counts')
    assert len(calls) == 1 and list(trace)[-1].in_spikes == expected
