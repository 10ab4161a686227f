"""Random networks against a counter that goes through spikes one by one."""

import numpy as np
import pytest
import torch
from oracles.spike_counter import MASK, random_network, run
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.neurons import SFANeuron


def mask(x, where=MASK):
    return torch.from_numpy(where)[:x.shape[2], :x.shape[3]]


def assigned(x):
    y = torch.zeros(*x.shape[:3], x.shape[3] + 1, dtype=x.dtype)
    y[..., 1:] = x
    return y


def put(x):
    y = x.new_zeros(x.shape[0], x.shape[1] + 2, *x.shape[2:])
    y[:, torch.tensor([2, 0])] = x[:, [0, -1]]
    return y


MOVES = {
    'flip': lambda x: x.flip(1),
    'roll': lambda x: x.roll(1, -1),
    'slice': lambda x: x[:, 1::2],
    'crop': lambda x: x[..., 1:, :-1],
    'zeros': lambda x: F.pad(x, (0, 2, 1, 0)),
    'reflect': lambda x: F.pad(x, (0, 1, 1, 1), mode='reflect'),
    'replicate': lambda x: F.pad(x, (1, 1, 0, 1), mode='replicate'),
    'circular': lambda x: F.pad(x, (0, 1, 1, 1), mode='circular'),
    'transpose': lambda x: x.transpose(2, 3),
    'rot90': lambda x: x.rot90(1, (2, 3)),
    'unshuffle': lambda x: F.pixel_unshuffle(x, 2),
    'channel_shuffle': lambda x: F.channel_shuffle(x, 2),
    'unfold': lambda x: F.unfold(x, 2).unflatten(
        2, (x.shape[2] - 1, x.shape[3] - 1)),
    'nearest': lambda x: F.interpolate(x, scale_factor=2),
    'gather': lambda x: x[:, torch.tensor([-1, 0, 0])],
    'repeat': lambda x: x.repeat_interleave(2, 1),
    'with zeros': lambda x: torch.cat([x, torch.zeros_like(x[:, :1])], 1),
    'with itself': lambda x: torch.cat([x, x.flip(1)], 1),
    'tril': lambda x: x.tril(1),
    'masked': lambda x: x.masked_fill(mask(x, ~MASK), 0),
    'where': lambda x: torch.where(mask(x), 0., x),
    'assigned': assigned,
    'put': put,
    'same': lambda x: x.clone().contiguous(),
    'relu': lambda x: x if (x < 0).any() else x.relu(),
    'clamped': lambda x: x if (x < 0).any() or (x > 4).any() else x.clamp(
        0, 4),
    'max_pool': lambda x: F.max_pool2d(x, 2, 1),
    'max_pool stride': lambda x: F.max_pool2d(x, 2),
    'amax': lambda x: x.amax(1, keepdim=True),
    'amin': lambda x: x.amin(3, keepdim=True),
    'maximum': lambda x: torch.maximum(x, x.flip(1)),
    'scaled': lambda x: x * 0.7,
    'shifted': lambda x: x - 0.25,
    'mean': lambda x: x - x.mean(1, keepdim=True),
    'negative pad': lambda x: F.pad(x, (1, 0), value=0.5),
    'cat': lambda x, y: torch.cat([x, y], 1),
    'add': lambda x, y: x + y,
    'product': lambda x, y: x @ y.transpose(2, 3),
}


class Network(nn.Module):
    """The steps of the counter, in PyTorch."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps
        self.layers = nn.ModuleList(map(self._layer, steps))

    def _layer(self, step):
        p = step.numbers
        if step.name == 'neuron':
            return SFANeuron(p['substeps'], p['scale'], p['threshold'])
        if step.name not in ('conv', 'linear'):
            return nn.Identity()
        outs, ins, *kernel = p['weight'].shape
        if step.name == 'linear':
            layer = nn.Linear(ins, outs)
        else:
            layer = nn.Conv2d(
                ins * p['groups'], outs, kernel, p['stride'], p['padding'],
                p['dilation'], p['groups'])
        layer.weight.data = torch.from_numpy(p['weight'])
        layer.bias.data = torch.from_numpy(p['bias'])
        return layer

    def forward(self, x):
        values = [x]
        for step, layer in zip(self.steps, self.layers):
            given = [values[i] for i in step.inputs]
            values.append(MOVES.get(step.name, layer)(*given))
        return values[-1]


def differences(seed):
    """What the package says otherwise than the counter."""
    steps, x = random_network(seed)
    net, found = Network(steps).double().eval(), []
    batches = [x, 0.6 * x + 0.3, 1.4 * x - 0.2]
    expected = [run(steps, b) for b in batches]
    for form in ('spikes', 'counts'):
        spiking = to_spike_train(net, form)
        check = EqualityCheck(net, spiking)
        with spiking:
            _, out = check.compare(torch.from_numpy(x))
        if not check.report.equal:
            found.append((form, str(check.report)))
        if not np.allclose(out.numpy(), expected[0].output):
            found.append((form, 'output'))
        trace = spiking.trace
        counted = [
            ('sops', r.sops) if r.spiking else ('macs', r.macs)
            for r in trace if r.kind in ('conv', 'linear', 'matmul')
        ]
        if counted != expected[0].synapses:
            found.append((form, counted, expected[0].synapses))
        with spiking:
            for batch in batches:
                spiking(torch.from_numpy(batch))
        names = [s.name for s in steps]
        sops = sum(n for e in expected for k, n in e.synapses if k == 'sops')
        totals = dict(sops=sops, emitted=sum(e.spikes for e in expected))
        if not {'relu', 'clamped'} & set(names):  # they compare, too
            totals['comparisons'] = sum(e.comparisons for e in expected)
        for name, number in totals.items():
            if spiking.trace.total(name) != number:
                found.append((form, name, spiking.trace.total(name), number))
    return found


@pytest.mark.parametrize('seed', range(12))
def test_random_networks(seed):
    assert not differences(seed)


def test_networks_have_all_kinds_of_steps():
    steps = [s.name for seed in range(60) for s in random_network(seed)[0]]
    assert set(steps) >= set(MOVES) | {'conv', 'linear', 'neuron'}
