"""Messages are the spikes that synapses read, on random networks.

The counter here shares nothing with the package: it follows each element of
each neuron layer through every move by loops over indices.
"""

import itertools
import random
from math import prod

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import to_spike_train
from mmsnn.hardware import estimate, map_network, network_from_trace
from mmsnn.neurons import SFANeuron
from mmsnn.trace import OpTrace


def indices(shape):
    return itertools.product(*map(range, shape))


# For each move: what PyTorch does; and the shape of its result with a function
# from an index of that to an index of what is moved (None: nothing there).
def channels(rng, shape):
    a = rng.randrange(shape[1])
    b = rng.randrange(a + 1, shape[1] + 1)
    step = rng.choice([1, 1, 2])
    picked = list(range(a, b, step))
    return (lambda s: s[:, a:b:step]), [shape[0], len(picked), *shape[2:]], (
        lambda i: (i[0], picked[i[1]], *i[2:]))


def half(rng, shape):
    width = -(-shape[1] // 2)
    if width == shape[1]:
        return None
    return (lambda s: s.chunk(2, 1)[1]), [
        shape[0], shape[1] - width, *shape[2:]], (
            lambda i: (i[0], i[1] + width, *i[2:]))


def crop(rng, shape):
    if len(shape) < 4:
        return None
    y, x = (rng.randrange(n) for n in shape[2:])
    return (lambda s: s[:, :, y:, x:]), [
        *shape[:2], shape[2] - y, shape[3] - x], (
            lambda i: (*i[:2], i[2] + y, i[3] + x))


def flip(rng, shape):
    return (lambda s: s.flip(-1)), shape, (
        lambda i: (*i[:-1], shape[-1] - 1 - i[-1]))


def roll(rng, shape):
    return (lambda s: s.roll(1, -1)), shape, (
        lambda i: (*i[:-1], (i[-1] - 1) % shape[-1]))


def swap(rng, shape):
    if len(shape) < 3:
        return None
    return (lambda s: s.transpose(-1, -2)), [
        *shape[:-2], shape[-1], shape[-2]], (
            lambda i: (*i[:-2], i[-1], i[-2]))


def permuted(rng, shape):
    if len(shape) != 4:
        return None
    order = [1, 2, 3]
    rng.shuffle(order)
    order = [0, *order]
    return (lambda s: s.permute(order)), [shape[a] for a in order], (
        lambda i: tuple(i[order.index(a)] for a in range(4)))


def tokens(rng, shape):
    if len(shape) != 4:
        return None
    _, _, _, w = shape
    return (lambda s: s.flatten(2).transpose(1, 2)), [
        shape[0], shape[2] * w, shape[1]], (
            lambda i: (i[0], i[2], i[1] // w, i[1] % w))


def flat(rng, shape):
    inner = shape[1:]
    return (lambda s: s.flatten(1)), [shape[0], prod(inner)], (
        lambda i: (i[0], *map(int, np.unravel_index(i[1], inner))))


def shuffled(rng, shape):
    order = list(range(shape[1]))
    rng.shuffle(order)
    order = order[:rng.randint(1, len(order))] + [0]
    return (lambda s: s[:, torch.tensor(order)]), [
        shape[0], len(order), *shape[2:]], (
            lambda i: (i[0], order[i[1]], *i[2:]))


def gathered(rng, shape):
    pick = np.array([rng.randrange(shape[1]) for _ in range(prod(shape[1:]))]
                    ).reshape(shape[1:])
    index = np.broadcast_to(pick, shape).tolist()
    return (lambda s: s.gather(1, torch.tensor(index))), shape, (
        lambda i: (i[0], int(pick[i[1:]]), *i[2:]))


def padded(rng, shape):
    a, b = rng.choice([0, 1]), rng.choice([0, 1, 2])
    n = shape[-1]
    return (lambda s: F.pad(s, (a, b))), [*shape[:-1], n + a + b], (
        lambda i: (*i[:-1], i[-1] - a) if 0 <= i[-1] - a < n else None)


def repeated(rng, shape):
    return (lambda s: s.repeat_interleave(2, 1)), [
        shape[0], 2 * shape[1], *shape[2:]], (
            lambda i: (i[0], i[1] // 2, *i[2:]))


def expanded(rng, shape):
    ends = [-1] * (len(shape) - 2)
    return (lambda s: s[:, :1].expand(-1, 3, *ends)), [
        shape[0], 3, *shape[2:]], (lambda i: (i[0], 0, *i[2:]))


def nearest(rng, shape):
    if len(shape) != 4:
        return None
    return (lambda s: F.interpolate(s, scale_factor=2)), [
        *shape[:2], 2 * shape[2], 2 * shape[3]], (
            lambda i: (*i[:2], i[2] // 2, i[3] // 2))


def unshuffled(rng, shape):
    if len(shape) != 4 or shape[2] % 2 or shape[3] % 2:
        return None
    return (lambda s: F.pixel_unshuffle(s, 2)), [
        shape[0], 4 * shape[1], shape[2] // 2, shape[3] // 2], (
            lambda i: (i[0], i[1] // 4, 2 * i[2] + i[1] % 4 // 2,
                       2 * i[3] + i[1] % 2))


def pixel_shuffled(rng, shape):
    if len(shape) != 4 or shape[1] % 4:
        return None
    return (lambda s: F.pixel_shuffle(s, 2)), [
        shape[0], shape[1] // 4, 2 * shape[2], 2 * shape[3]], (
            lambda i: (i[0], 4 * i[1] + 2 * (i[2] % 2) + i[3] % 2,
                       i[2] // 2, i[3] // 2))


MOVES = [channels, half, crop, flip, roll, swap, permuted, tokens, flat,
         shuffled, gathered, padded, repeated, expanded, nearest, unshuffled,
         pixel_shuffled]


class Program(nn.Module):
    """Steps ``(kind, function or number of a module, numbers of what they
    read)``."""

    def __init__(self):
        super().__init__()
        self.steps, self.parts = [], nn.ModuleList()

    def forward(self, x):
        values = [x]
        for kind, run, reads in self.steps:
            run = self.parts[run] if isinstance(run, int) else run
            values.append(run(*(values[i] for i in reads)))
        self.values = values
        return values[-1]


def random_program(seed):
    """A network of convolutions, linear layers and moves of spikes; with each
    value, which element of which neuron layer stands where."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    model = Program()
    images, timesteps = rng.choice([1, 2, 3]), rng.choice([1, 1, 1, 2])
    most = rng.choice([1, 2, 4])
    x = 3 * torch.randn(images * timesteps, rng.choice([2, 4]),
                        rng.choice([3, 4]), rng.choice([4, 5]))
    shapes, places = [list(x.shape)], [None]

    def add(kind, run, reads, where=None):
        if isinstance(run, nn.Module):
            model.parts.append(run.eval())
            run = len(model.parts) - 1
        model.steps.append((kind, run, reads))
        with torch.no_grad():
            model(x)
        shapes.append(list(model.values[-1].shape))
        places.append(where)
        return len(shapes) - 1

    def fire(i):
        i = add('neuron', SFANeuron(most, timesteps=timesteps), [i])
        where = np.empty(shapes[i], object)
        for index in indices(shapes[i]):
            where[index] = (i, index)
        places[i] = where
        return i

    def move(i):
        found = rng.choice(MOVES)(rng, shapes[i])
        if found is None or prod(found[1]) > 4000 or not prod(found[1]):
            return i
        run, shape, back = found
        where = np.empty(shape, object)
        for index in indices(shape):
            at = back(index)
            where[index] = None if at is None else places[i][at]
        i = add('move', run, [i], where)
        assert shapes[i] == list(shape)
        return i

    def synapse(i):
        shape = shapes[i]
        if len(shape) == 4 and rng.random() < .7:
            kernel, stride, padding = (
                rng.choice(n) for n in ([1, 2, 3], [1, 1, 2, 3], [0, 1]))
            if min(shape[2:]) + 2 * padding < kernel:
                kernel = padding = 1
            groups = rng.choice([g for g in (1, 2) if shape[1] % g == 0])
            layer = nn.Conv2d(shape[1], 2 * groups, kernel, stride, padding,
                              groups=groups)
        else:
            layer = nn.Linear(shape[-1], rng.choice([2, 4]))
        layer.weight.data *= 3
        return add('synapse', layer, [i])

    spikes = [fire(add('stem', nn.Conv2d(x.shape[1], x.shape[1], 1), [0]))]
    for _ in range(rng.randint(2, 4)):
        i = rng.choice(spikes)
        for _ in range(rng.randint(0, 3)):
            i = move(i)
        same = [j for j in spikes if j != i and shapes[j] == shapes[i]]
        if same and rng.random() < .5:
            j = rng.choice(same)
            i = add('move', lambda a, b: torch.cat([a, b], 1), [i, j],
                    np.concatenate([places[i], places[j]], 1))
        spikes.append(fire(synapse(i)))
    synapse(move(spikes[-1]))
    return model, x, places, timesteps, most


def reached(layer, shape, out):
    """Inputs of a synapse that reach one of its outputs."""
    if isinstance(layer, nn.Linear):
        return set(indices(shape))
    found = set()
    (ky, kx), (sy, sx), (py, px) = (layer.kernel_size, layer.stride,
                                    layer.padding)
    for y, x in indices(out[2:]):
        for dy, dx in indices((ky, kx)):
            at = y * sy - py + dy, x * sx - px + dx
            if 0 <= at[0] < shape[2] and 0 <= at[1] < shape[3]:
                found |= {(*i, *at) for i in indices(shape[:2])}
    return found


def spikes_read(model, x, places, timesteps, most):
    """For each synapse and layer: elements that it reads, and the spikes of
    these in each sub-step, by loops."""
    with torch.no_grad():
        model(x)
    values, found = model.values, []
    for kind, run, (i, *_) in model.steps:
        if kind != 'synapse':
            continue
        run, shape = model.parts[run], tuple(values[i].shape)
        out = tuple(run(values[i]).shape)
        read = {places[i][at] for at in reached(run, shape, out)} - {None}
        for layer in sorted({of for of, _ in read}):
            counts = (values[layer] * most).round().tolist()
            elements = [at for of, at in read if of == layer]
            spikes = [0] * (timesteps * most)
            for at in elements:
                count = counts
                for n in at:
                    count = count[n]
                for d in range(int(count)):
                    spikes[at[0] % timesteps * most + d] += 1
            found.append((elements, spikes))
    return found


@pytest.fixture
def wide_chip(spec):
    """Each population fits on one core."""
    return spec('loihi', {
        f'limits.{name}': 10**9 for name in (
            'neurons', 'axons_in', 'axons_out', 'synapse_memory')})


@pytest.mark.parametrize('seed', range(40))
def test_messages_are_the_spikes_that_are_read(wide_chip, seed, tmp_path):
    model, x, places, timesteps, most = random_program(seed)
    expected = spikes_read(model, x, places, timesteps, most)
    neurons = sum(
        len({(at[0] // timesteps, *at[1:]) for at in elements}) /
        (len(x) // timesteps) for elements, _ in expected)
    images = len(x) // timesteps
    data = x.unflatten(0, (images, timesteps)) if timesteps > 1 else x

    class Whole(nn.Module):

        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, data):
            return self.model(data.flatten(0, 1) if timesteps > 1 else data)

    with to_spike_train(Whole().eval(), 'counts') as spiking:
        spiking(data)
    trace = spiking.trace
    network = network_from_trace(trace)
    found = [p for p in network.projections
             if network.carries(p) == 'spikes'
             and any(network.spikes_read(p))]
    expected = [(e, spikes) for e, spikes in expected if any(spikes)]
    assert len(found) == len(expected)

    def key(spikes):
        return [round(s * images) for s in spikes]

    # The layers that a synapse reads may stand in another order.
    assert sorted(key(network.spikes_read(p)) for p in found) == sorted(
        spikes for _, spikes in expected)
    for p in found:
        assert network.spikes_read(p) == pytest.approx(
            [s / images for s in key(network.spikes_read(p))])
    if not trace.total('sops'):
        return
    total = sum(sum(spikes) for _, spikes in expected) / images
    result = estimate(network, wide_chip).on_chip[0]
    assert result.events['messages sent'] == pytest.approx(total)
    assert result.events['messages received'] == pytest.approx(total)
    # Additions: those of the network, and what is named beside it.
    for name in ('sops', 'macs'):
        assert sum(getattr(p, name if name == 'macs' else 'total_sops')
                   for p in network.projections) + sum(
                       getattr(r, name) for r in network.remainder) == (
                           pytest.approx(trace.per_image(name)))
    # Axons are the different neurons that are read.
    axons = sum(
        dict(layer.needs)['axons_in']
        for layer in map_network(network, wide_chip).layers)
    assert axons == pytest.approx(neurons)
    trace.save(tmp_path / 'trace.json')
    assert network_from_trace(OpTrace.load(tmp_path / 'trace.json')) == (
        network)


class Slice(nn.Module):
    """A convolution on a part of what a layer fires."""

    def __init__(self, part, inputs):
        super().__init__()
        self.stem, self.neuron = nn.Conv2d(1, 8, 3), SFANeuron(2)
        self.conv, self.part = nn.Conv2d(inputs, 3, 3, padding=1), part

    def forward(self, x):
        return self.conv(self.part(self.neuron(self.stem(x))))


@pytest.mark.parametrize('part, inputs', [
    (lambda s: s[:, 4:], 4), (lambda s: s.chunk(4, 1)[2], 2),
    (lambda s: s[:, ::3], 3), (lambda s: s[:, [7, 0]], 2),
    (lambda s: s[..., 1:3], 8), (lambda s: s[:, 2:].repeat(1, 2, 1, 1), 12),
])
def test_a_slice_over_many_batches(part, inputs):
    """What is sampled in the first call holds for all: spikes in all of them
    are exact."""
    torch.manual_seed(0)
    model = Slice(part, inputs).eval()
    batches = [4 * torch.randn(n, 1, 6, 6) for n in (2, 2, 1, 2)]
    with to_spike_train(model, 'counts') as spiking:
        for x in batches:
            spiking(x)
    network = network_from_trace(spiking.trace)
    projection, = network.outgoing('neuron')
    read = 0
    for x in batches:
        with torch.no_grad():
            s = (model.neuron(model.stem(x)) * 2).round()
        # Each element once, however often it is read.
        number = torch.arange(1., s[0].numel() + 1).view(1, *s.shape[1:])
        seen = part(number).flatten().long().unique() - 1
        read += int(s.flatten(1)[:, seen].sum())
    assert sum(network.spikes_read(projection)) == pytest.approx(read / 7)
    assert read < 7 * network['neuron'].total_spikes
