"""Random networks, and what they cost, counted one spike at a time.

Shares no code with the package and imports no PyTorch. A network is a list of
steps. Each is run here on NumPy arrays: spikes as integer counts, everything
else as numbers. A synapse goes through its sub-steps, and in each through the
spikes, one by one, and counts the outputs that each of them reaches.
"""

import itertools
import random
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Value:
    """Counts of spikes and what they are, or numbers."""

    array: np.ndarray
    kind: tuple | None = None  # scale and D of spikes

    @property
    def numbers(self) -> np.ndarray:
        """What PyTorch sees."""
        return self.array * self.kind[0] if self.kind else self.array


@dataclass
class Count:
    """Of a whole network: synapses in order, and the output."""

    synapses: list = field(default_factory=list)  # ('sops' or 'macs', number)
    comparisons: int = 0  # of poolings and extremes
    spikes: int = 0  # that the neurons fired
    output: np.ndarray | None = None


def conv_reach(x, out_shape, weight, stride, padding, dilation, groups):
    """Outputs that one spike at each position reaches, by trying them all."""
    per_group = weight.shape[0] // groups
    reach = np.zeros(x.shape[2:], int)
    for y, x_ in itertools.product(*map(range, out_shape)):
        for a, b in itertools.product(*map(range, weight.shape[2:])):
            row = y * stride - padding + a * dilation
            column = x_ * stride - padding + b * dilation
            if 0 <= row < reach.shape[0] and 0 <= column < reach.shape[1]:
                reach[row, column] += per_group
    return reach


def conv(x, weight, bias, stride, padding, dilation, groups):
    n, _, h, w = x.shape
    outs, per, kh, kw = weight.shape
    oh = (h + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    ow = (w + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    padded = np.pad(x, ((0, 0), (0, 0), (padding, ) * 2, (padding, ) * 2))
    out = np.zeros((n, outs, oh, ow)) + bias[None, :, None, None]
    for o in range(outs):
        first = o // (outs // groups) * per
        for c, a, b in itertools.product(range(per), range(kh), range(kw)):
            for i, j in itertools.product(range(oh), range(ow)):
                out[:, o, i, j] += weight[o, c, a, b] * padded[
                    :, first + c, i * stride + a * dilation,
                    j * stride + b * dilation]
    return out


def unfolded(x, k):
    """Columns as channels, in the order of torch.nn.functional.unfold."""
    n, c, h, w = x.shape
    out = np.zeros((n, c * k * k, h - k + 1, w - k + 1), x.dtype)
    for i, a, b in itertools.product(range(c), range(k), range(k)):
        out[:, (i * k + a) * k + b] = x[:, i, a:a + h - k + 1,
                                        b:b + w - k + 1]
    return out


def pixel_unshuffled(x, r):
    out = [x[:, c, a::r, b::r] for c in range(x.shape[1]) for a in range(r)
           for b in range(r)]
    return np.stack(out, 1)


def windows(x, k, stride, largest):
    n, c, h, w = x.shape
    oh, ow = (h - k) // stride + 1, (w - k) // stride + 1
    out = np.zeros((n, c, oh, ow), x.dtype)
    for i, j in itertools.product(range(oh), range(ow)):
        out[:, :, i, j] = largest(
            x[:, :, i * stride:i * stride + k, j * stride:j * stride + k])
    return out


def assigned(x):
    out = np.zeros((*x.shape[:3], x.shape[3] + 1), x.dtype)
    out[..., 1:] = x
    return out


def put(x):
    out = np.zeros((x.shape[0], x.shape[1] + 2, *x.shape[2:]), x.dtype)
    out[:, 2] = x[:, 0]
    out[:, 0] = x[:, -1]
    return out


MASK = np.add.outer(np.arange(40), np.arange(40)) % 3 > 0

#: Steps that move spikes, on arrays. None where they do not fit.
MOVES = {
    'flip': lambda x: x[:, ::-1],
    'roll': lambda x: np.roll(x, 1, -1),
    'slice': lambda x: x[:, 1::2] if x.shape[1] > 1 else None,
    'crop': lambda x: x[..., 1:, :-1] if min(x.shape[2:]) > 2 else None,
    'zeros': lambda x: np.pad(x, ((0, 0), (0, 0), (1, 0), (0, 2))),
    'reflect': lambda x: np.pad(
        x, ((0, 0), (0, 0), (1, 1), (0, 1)), 'reflect') if min(
            x.shape[2:]) > 1 else None,
    'replicate': lambda x: np.pad(
        x, ((0, 0), (0, 0), (0, 1), (1, 1)), 'edge'),
    'circular': lambda x: np.pad(
        x, ((0, 0), (0, 0), (1, 1), (0, 1)), 'wrap'),
    'transpose': lambda x: x.swapaxes(2, 3),
    'rot90': lambda x: np.rot90(x, 1, (2, 3)),
    'unshuffle': lambda x: pixel_unshuffled(x, 2) if not (
        x.shape[2] % 2 or x.shape[3] % 2) else None,
    'channel_shuffle': lambda x: x.reshape(
        len(x), 2, -1, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape) if not (
            x.shape[1] % 2) else None,
    'unfold': lambda x: unfolded(x, 2) if min(x.shape[2:]) > 1 else None,
    'nearest': lambda x: x.repeat(2, 2).repeat(2, 3),
    'gather': lambda x: x[:, [-1, 0, 0]],
    'repeat': lambda x: x.repeat(2, 1),
    'with zeros': lambda x: np.concatenate([x, 0 * x[:, :1]], 1),
    'with itself': lambda x: np.concatenate([x, x[:, ::-1]], 1),
    'tril': lambda x: np.tril(x, 1),
    'masked': lambda x: x * MASK[:x.shape[2], :x.shape[3]],
    'where': lambda x: x * (1 - MASK[:x.shape[2], :x.shape[3]]),
    'assigned': assigned,
    'put': put,
    'same': lambda x: x,
    'relu': lambda x: x,
    'clamped': lambda x: x,
}

#: Steps that take the largest or smallest of some, and how many of each.
EXTREMES = {
    'max_pool': (lambda x: windows(
        x, 2, 1, lambda w: w.max((2, 3))) if min(x.shape[2:]) > 1 else None,
                 lambda x, out: out.size * 3),
    'max_pool stride': (lambda x: windows(
        x, 2, 2, lambda w: w.max((2, 3))) if min(x.shape[2:]) > 1 else None,
                        lambda x, out: out.size * 3),
    'amax': (lambda x: x.max(1, keepdims=True), lambda x, out: x.size),
    'amin': (lambda x: x.min(3, keepdims=True), lambda x, out: x.size),
    'maximum': (lambda x: np.maximum(x, x[:, ::-1]),
                lambda x, out: out.size),
}

#: Steps that make numbers of spikes.
REAL = {
    'scaled': lambda x: x * 0.7,
    'shifted': lambda x: x - 0.25,
    'mean': lambda x: x - x.mean(1, keepdims=True),
    'negative pad': lambda x: np.pad(
        x, ((0, 0), (0, 0), (0, 0), (1, 0)), constant_values=0.5),
}


@dataclass
class Step:
    """One step: its name, the steps whose results it takes, its numbers."""

    name: str
    inputs: tuple[int, ...]
    numbers: dict = field(default_factory=dict)


def fire(x, scale, substeps, threshold):
    """Counts of a quantiser: as many of 1..D as are at most u + 1/2."""
    return np.clip(np.floor(x / threshold + 0.5), 0, substeps).astype(int)


def run(steps: list[Step], x: np.ndarray) -> Count:
    """Run a network and count it.

    Args:
        steps (list[Step]): The network; step 0 is the input.
        x (ndarray): (N, C, H, W).

    Returns:
        Count: What happened.
    """
    count, values = Count(), [Value(x)]
    for step in steps:
        values.append(_step(step, [values[i] for i in step.inputs], count))
    count.output = values[-1].numbers
    return count


def _step(step: Step, given: list[Value], count: Count) -> Value:
    x, p = given[0], step.numbers
    if step.name == 'neuron':
        counts = fire(x.numbers, **p)
        count.spikes += int(counts.sum())
        return Value(counts, (p['scale'], p['substeps']))
    if step.name in MOVES:
        return Value(MOVES[step.name](x.array), x.kind)
    if step.name in EXTREMES:
        extreme, number = EXTREMES[step.name]
        out = extreme(x.array)
        count.comparisons += number(x.array, out)
        return Value(out, x.kind)
    if step.name == 'cat':
        y = given[1]
        if x.kind and x.kind == y.kind:
            return Value(np.concatenate([x.array, y.array], 1), x.kind)
        return Value(np.concatenate([x.numbers, y.numbers], 1))
    if step.name == 'add':
        return Value(x.numbers + given[1].numbers)
    if step.name in REAL:
        return Value(REAL[step.name](x.numbers))
    if step.name == 'linear':
        _count_linear(x, p['weight'].shape[0], count)
        return Value(x.numbers @ p['weight'].T + p['bias'])
    if step.name == 'product':
        return _product(x, given[1], count)
    assert step.name == 'conv', step.name
    out = conv(x.numbers, **p)
    geometry = {k: v for k, v in p.items() if k != 'bias'}
    reach = conv_reach(x.array, out.shape[2:], **geometry)
    weight = p['weight']
    if x.kind is None:
        count.synapses.append(('macs', out.size * weight[0].size))
        return Value(out)
    sops = 0
    for d in range(1, x.kind[1] + 1):
        for *_, row, column in np.argwhere(x.array >= d):
            sops += int(reach[row, column])
    count.synapses.append(('sops', sops))
    return Value(out)


def _count_linear(x: Value, features: int, count: Count) -> None:
    if x.kind is None:
        count.synapses.append(('macs', x.array.size * features))
        return
    sops = 0
    for d in range(1, x.kind[1] + 1):
        for _ in np.argwhere(x.array >= d):
            sops += features
    count.synapses.append(('sops', sops))


def _product(x: Value, y: Value, count: Count) -> Value:
    """``x @ y^T`` over the last axis, for each map."""
    out = x.numbers @ y.numbers.swapaxes(2, 3)
    if not x.kind and not y.kind:
        count.synapses.append(('macs', x.array.size * y.array.shape[2]))
        return Value(out)
    train, other = (x, y) if x.kind else (y, x)
    sops = 0
    for d in range(1, train.kind[1] + 1):
        for n, c, _, column in np.argwhere(train.array >= d):
            for row in range(other.array.shape[2]):
                silent = other.kind and other.array[n, c, row, column] == 0
                sops += not silent
    count.synapses.append(('sops', sops))
    return Value(out)


def random_network(seed: int) -> tuple[list[Step], np.ndarray]:
    """A network that fits its input.

    Args:
        seed (int): Of all that is random.

    Returns:
        tuple: Its steps, and an input of two images.
    """
    choice, noise = random.Random(seed), np.random.default_rng(seed)
    x = 4 * noise.standard_normal((2, choice.choice([2, 4]), 6, 5))
    steps: list[Step] = []
    values = [Value(x)]

    def add(name, *inputs, **numbers):
        steps.append(Step(name, inputs, numbers))
        values.append(_step(steps[-1], [values[i] for i in inputs], Count()))
        return len(values) - 1

    def neuron(i):
        return add('neuron', i, scale=choice.choice([0.25, 0.5, 1.]),
                   substeps=choice.choice([1, 2, 3, 4]),
                   threshold=choice.choice([1., 0.83]))

    now = neuron(0)
    names = [*MOVES] * 2 + [*EXTREMES] * 2 + [*REAL] + [
        'conv', 'linear'] * 6 + ['neuron'] * 8 + ['add', 'cat', 'product'] * 2
    for _ in range(choice.randint(8, 16)):
        array, name = values[now].array, choice.choice(names)
        channels = array.shape[1]
        if array.size > 1500:
            break
        if name in MOVES or name in EXTREMES:
            fits = (MOVES.get(name) or EXTREMES[name][0])(array)
            if fits is not None and fits.size:
                now = add(name, now)
        elif name in REAL:
            now = add(name, now)
        elif name == 'neuron':
            now = neuron(now)
        elif name == 'linear':
            width = array.shape[3]
            now = add(name, now, weight=noise.standard_normal((3, width)),
                      bias=noise.standard_normal(3))
        elif name == 'conv':
            groups = choice.choice(
                [g for g in (1, 2, channels) if channels % g == 0])
            k = choice.choice([1, 2, 3])
            more = dict(stride=choice.choice([1, 1, 2]),
                        padding=choice.choice([0, 1, 2]),
                        dilation=choice.choice([1, 1, 2]), groups=groups)
            size = min(array.shape[2:]) + 2 * more['padding']
            outs = groups * choice.choice([1, 2])
            if more['dilation'] * (k - 1) < size and outs <= 8:
                now = add(name, now, weight=noise.standard_normal(
                    (outs, channels // groups, k, k)),
                          bias=noise.standard_normal(outs), **more)
        else:
            fit = [
                i for i, v in enumerate(values[:-1])
                if (v.array.shape == array.shape or (
                    name == 'cat' and v.array.shape[:1] + v.array.shape[2:] ==
                    array.shape[:1] + array.shape[2:])) and i
            ]
            if name == 'product' or fit:
                now = add(name, now, choice.choice(fit) if fit else now)
    now = neuron(now)
    now = add('linear', now, weight=noise.standard_normal(
        (2, values[now].array.shape[3])), bias=noise.standard_normal(2))
    return steps, x
