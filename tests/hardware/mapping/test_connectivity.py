"""Counts found axis by axis against a list of all connections."""

import itertools

import numpy as np
import pytest

from mmsnn.hardware import Geometry, Population, Projection
from mmsnn.hardware.mapping.connectivity import connectivity

CONVS = {
    'padding': Geometry((4, 5, 6), (6, 5, 6), (3, 3), (1, 1), (1, 1), (1, 1)),
    'stride': Geometry((4, 5, 6), (6, 3, 3), (3, 3), (2, 2), (1, 1), (1, 1)),
    'groups': Geometry((4, 5, 6), (6, 5, 6), (3, 3), (1, 1), (1, 1), (1, 1),
                       groups=2),
    'depthwise': Geometry((4, 5, 6), (4, 5, 6), (3, 3), (1, 1), (1, 1),
                          (1, 1), groups=4),
    'dilation': Geometry((4, 5, 6), (2, 5, 6), (3, 3), (1, 1), (2, 2),
                         (2, 2)),
    'stride over kernel': Geometry((4, 5, 6), (2, 3, 3), (1, 1), (2, 2),
                                   (0, 0), (1, 1)),
    'transposed': Geometry((4, 3, 3), (2, 5, 5), (3, 3), (2, 2), (1, 1),
                           (1, 1), transposed=True),
    'linear': Geometry.linear(5, 3),
    'tokens': Geometry.linear(4, 3, tokens=7),
}


def connections(g):
    """(target index, source index) of each connection, one at a time."""
    wide, narrow = (c // g.groups for c in (g.in_shape[0], g.out_shape[0]))
    for out in itertools.product(*map(range, g.out_shape)):
        for tap in itertools.product(*map(range, g.kernel)):
            place = []
            for i, (o, k) in enumerate(zip(out[1:], tap)):
                if g.transposed:
                    at, rest = divmod(
                        o + g.padding[i] - k * g.dilation[i], g.stride[i])
                    at = -1 if rest else at
                else:
                    at = o * g.stride[i] - g.padding[i] + k * g.dilation[i]
                place.append(at)
            if all(0 <= a < n for a, n in zip(place, g.in_shape[1:])):
                first = out[0] // narrow * wide
                for channel in range(first, first + wide):
                    yield out, (channel, *place)


def edges_of(shape, rng):
    """Random bounds of blocks along each axis."""
    return [
        np.unique(np.r_[0, rng.integers(1, n + 1, 2), n]) for n in shape
    ]


def block(index, edges):
    return tuple(
        int(np.searchsorted(e, i, side='right')) - 1
        for i, e in zip(index, edges))


@pytest.mark.parametrize('name', CONVS)
def test_every_count_equals_that_of_a_list_of_connections(name):
    g = CONVS[name]
    rng = np.random.default_rng(0)
    source = Population('a', g.in_shape, spikes=(0., ))
    target = Population('b', g.out_shape, spikes=(0., ))
    found = connectivity(
        Projection('p', 'a', 'b', 'conv', geometry=g), source, target)
    assert found.exact
    edges, source_edges = edges_of(g.out_shape, rng), edges_of(g.in_shape, rng)
    share = [rng.random(n) for n in g.in_shape]
    sources, count, reached, pairs = {}, {}, {}, {}
    for out, at in connections(g):
        here, there = block(out, edges), block(at, source_edges)
        sources.setdefault(here, set()).add(at)
        count[here] = count.get(here, 0) + 1
        reached.setdefault(at, set()).add(here)
        pairs.setdefault((here, there), set()).add(at)

    def weight(at):
        return np.prod([s[i] for s, i in zip(share, at)])

    def at_block(method, *more):
        rows = [
            getattr(axis, method)(e, *m) for axis, e, *m in zip(
                found.axes, edges, *more)
        ]
        return {
            index: np.prod([r[i] for r, i in zip(rows, index)])
            for index in itertools.product(*(range(len(r)) for r in rows))
        }

    for index, value in at_block('distinct').items():
        assert value == len(sources.get(index, ()))
    for index, value in at_block('connections').items():
        assert value == count.get(index, 0)
    for index, value in at_block('distinct', share).items():
        expected = sum(weight(at) for at in sources.get(index, ()))
        assert value == pytest.approx(expected)
    fans = [axis.fan_out(e) for axis, e in zip(found.axes, edges)]
    for at in itertools.product(*map(range, g.in_shape)):
        value = np.prod([f[i] for f, i in zip(fans, at)])
        assert value == len(reached.get(at, ()))
    overlaps = [
        {(b, s): w for b, s, w in zip(*axis.overlap(e, se))}
        for axis, e, se in zip(found.axes, edges, source_edges)
    ]
    for (here, there), expected in pairs.items():
        value = np.prod([
            o[b, s] for o, b, s in zip(overlaps, here, there)
        ])
        assert value == len(expected)
    assert sum(map(len, pairs.values())) == np.prod(
        [sum(o.values()) for o in overlaps])


def random_picks(rng, length, size):
    """Indices along an axis of the source, or -1, for each of the op's."""
    kind = rng.integers(4)
    if kind == 0:
        start = rng.integers(-1, 2)
        found = np.arange(start, start + length)
        return tuple(int(i) if 0 <= i < size else -1 for i in found)
    return tuple(int(i) for i in rng.integers(-1, size, length))


@pytest.mark.parametrize('seed', range(12))
@pytest.mark.parametrize('name', ['padding', 'stride', 'groups', 'depthwise',
                                  'transposed', 'tokens'])
def test_parts_of_a_source_in_any_order(name, seed):
    """Axes of source and target in another order, and indices along them."""
    g = CONVS[name]
    rng = np.random.default_rng(seed)
    axes = len(g.in_shape)
    order, target_order = (tuple(int(a) for a in rng.permutation(axes))
                           for _ in range(2))
    lengths = [int(n) for n in rng.integers(2, 6, axes)]
    picks = tuple(random_picks(rng, n, size)
                  for n, size in zip(g.in_shape, lengths))
    shape, out = [0] * axes, [0] * axes
    for i, (a, b) in enumerate(zip(order, target_order)):
        shape[a], out[b] = lengths[i], g.out_shape[i]
    found = connectivity(
        Projection('p', 'a', 'b', 'conv', geometry=g, picks=picks,
                   source_axes=order, target_axes=target_order),
        Population('a', tuple(shape), spikes=(0., )),
        Population('b', tuple(out), spikes=(0., )))
    assert found.exact and found.order == order
    edges = edges_of(g.out_shape, rng)
    share = [rng.random(n) for n in lengths]
    sources, count, reached = {}, {}, {}
    for to, at in connections(g):
        at = tuple(p[i] for p, i in zip(picks, at))
        if -1 in at:
            continue
        here = block(to, edges)
        sources.setdefault(here, set()).add(at)
        count[here] = count.get(here, 0) + 1
        reached.setdefault(at, set()).add(here)
    for here in itertools.product(*(range(len(e) - 1) for e in edges)):
        for method, expected in (
            ('distinct', len(sources.get(here, ()))),
            ('connections', count.get(here, 0))):
            assert expected == np.prod([
                getattr(axis, method)(e)[i]
                for axis, e, i in zip(found.axes, edges, here)])
        weights = sum(np.prod([s[i] for s, i in zip(share, at)])
                      for at in sources.get(here, ()))
        assert weights == pytest.approx(np.prod([
            axis.distinct(e, s)[i]
            for axis, e, i, s in zip(found.axes, edges, here, share)]))
    fans = [axis.fan_out(e) for axis, e in zip(found.axes, edges)]
    for at in itertools.product(*map(range, lengths)):
        assert np.prod([f[i] for f, i in zip(fans, at)]) == len(
            reached.get(at, ()))


def test_a_part_that_all_read():
    """Each of 2 targets reads the first and third of 4 channels."""
    found = connectivity(
        Projection('p', 'a', 'b', 'linear', synapses=4 * 2,
                   geometry=Geometry.linear(4, 2), picks=((0, 2), None)),
        Population('a', (4, 2), spikes=(0., )),
        Population('b', (2, ), spikes=(0., )))
    assert found.exact and found.density == 1
    channels, positions = found.axes
    assert channels.distinct(np.array([0, 2])) == [2]
    assert channels.fan_out(np.array([0, 1, 2])).tolist() == [2, 0, 2, 0]
    assert positions.distinct(np.array([0, 1])) == [2]


def test_scattered_neurons_are_a_part_of_all():
    found = connectivity(
        Projection('p', 'a', 'b', 'linear', synapses=6, scattered=True,
                   neurons_read=3),
        Population('a', (2, 3), spikes=(0., )),
        Population('b', (2, ), spikes=(0., )))
    assert (found.exact, found.read, found.density) == (False, .5, .5)


def test_offsets_place_parts_of_a_concatenation():
    """The second of two sources of 2 channels feeds a depthwise op of 4."""
    g = Geometry((4, 3), (4, 3), (1, ), (1, ), (0, ), (1, ), groups=4)
    channel, _ = connectivity(
        Projection('p', 'b', 'c', 'conv', geometry=g, source_offset=2),
        Population('b', (2, 3), spikes=(0., )),
        Population('c', (4, 3), spikes=(0., ))).axes
    assert channel.distinct(np.arange(5)).tolist() == [0, 0, 1, 1]


def test_nearest_interpolation_between_source_and_op_scales_positions():
    g = Geometry((1, 4), (1, 4), (1, ), (1, ), (0, ), (1, ))
    _, position = connectivity(
        Projection('p', 'a', 'b', 'conv', geometry=g),
        Population('a', (1, 2), spikes=(0., )),
        Population('b', (1, 4), spikes=(0., ))).axes
    assert position.connections(np.arange(5), np.array([1., 10.])).tolist() \
        == [1, 1, 10, 10]


def test_shapes_that_do_not_fit_connect_all_to_all_and_say_so():
    g = Geometry((2, 4), (2, 4), (1, ), (1, ), (0, ), (1, ))
    found = connectivity(
        Projection('p', 'a', 'b', 'conv', geometry=g),
        Population('a', (2, 2, 2), spikes=(0., )),
        Population('b', (2, 4), spikes=(0., )))
    assert not found.exact
    assert np.prod([
        axis.distinct(np.array([0, axis.targets])) for axis in found.axes
    ]) == 8


@pytest.mark.parametrize('sources, targets, into, out', [
    (2, 4, [1, 1], [1, 1]),  # nearest-neighbour interpolation
    (4, 2, [2, 2], [1, 1, 1, 1]),
    (1, 4, [1, 1], [2]),
])
def test_a_residual_at_other_positions(sources, targets, into, out):
    found = connectivity(
        Projection('up', 'a', 'b', 'residual'),
        Population('a', (3, sources), spikes=(0., )),
        Population('b', (3, targets), spikes=(0., )))
    assert found.exact
    channels, positions = found.axes
    assert channels.distinct(np.array([0, 1, 3])).tolist() == [1, 2]
    halves = np.array([0, targets // 2, targets])
    assert positions.distinct(halves).tolist() == into
    assert positions.fan_out(halves).tolist() == out
