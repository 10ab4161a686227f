"""Neurons against ReLU on the same tensor."""

from math import prod

import torch
from neuron import forward_backward, from_zero, spikingjelly_pairs

from mmsnn.neurons import LIFNeuron, SFANeuron

DTYPES = ('float32', 'bfloat16', 'float16')
#: A single time step, and T of them, as GPU.md has them.
SHAPE, OVER_TIME = (64, 256, 112, 112), (128, 256, 56, 56)
TIMESTEPS = 4
#: Tensors of this size that the hungriest candidate holds at a time.
COPIES = 16

#: Over ReLU: forward, forward + backward (GPU.md: the published code).
REPORTED = dict(float32=(3.1, 3.5), bfloat16=(3.0, 3.6))
TARGETS = dict(float32=('<= 1.15', '<= 1.0'), bfloat16=('<= 1.25', '<= 1.25'))


def fitting(bench, shape, itemsize: int, tiny) -> tuple[int, ...]:
    """``shape``, with fewer samples where memory is small."""
    if bench.dry_run:
        return tiny
    each = prod(shape[1:]) * itemsize * COPIES
    return (max(1, min(shape[0], bench.free_bytes() // each)), *shape[1:])


def run_neurons(bench) -> None:
    """SFA, and neurons over time."""
    for number, name in enumerate(DTYPES):
        single_step(bench, name, 0.5 / (len(DTYPES) - number))
        if bench.cuda:
            torch.cuda.empty_cache()
    over_time(bench)


def spikingjelly(bench) -> dict:
    """Its neurons and ours, or a line that it is not there."""
    try:
        return spikingjelly_pairs(TIMESTEPS)
    except ImportError:
        bench.add('SpikingJelly', '', note='left out: not installed')
        return {}


def single_step(bench, name: str, share: float) -> None:
    """SFA with D = 4 at T = 1."""
    dtype = getattr(torch, name)
    shape = fitting(bench, SHAPE, dtype.itemsize, (2, 8, 6, 6))
    membrane = bench.normal(shape, dtype, 2.)
    gradient = bench.normal(shape, dtype)
    leaf = membrane.clone().requires_grad_()
    neuron = SFANeuron(max_spikes=4)
    functions = {
        'ReLU': torch.relu,
        'SFA': neuron,
    }
    if not bench.dry_run or name == DTYPES[0]:
        functions['SFA, torch.compile'] = bench.compile(
            SFANeuron(max_spikes=4))
    pairs = spikingjelly(bench) if name == DTYPES[0] else {}
    for _, (_, theirs) in list(pairs.items())[-1:]:  # I-LIF
        stepped = from_zero(theirs)
        functions['SpikingJelly I-LIF'] = lambda x: stepped(x[None])[0]

    def forward(function):

        def run():
            with torch.no_grad():
                function(membrane)

        return lambda: run

    def both(function):
        return lambda: forward_backward(function, leaf, gradient)

    for way, make, place in (('forward, no grad', forward, 0),
                             ('forward + backward', both, 1)):
        what = f'{tuple(shape)}, {name}: {way}'
        targets = {'ReLU': None}
        if name in TARGETS:
            targets['SFA'] = TARGETS[name][place]
        bench.compare(
            what, {k: make(f) for k, f in functions.items()},
            share=share if place else share / 2, targets=targets)
        if name in REPORTED:
            bench.reported(
                what, 'published code', ratio=REPORTED[name][place])


def over_time(bench) -> None:
    """Neurons over T = 4 time steps, in float32."""
    shape = fitting(bench, (OVER_TIME[0], TIMESTEPS, *OVER_TIME[1:]),
                    torch.float32.itemsize, (2, TIMESTEPS, 4, 5, 5))
    membrane, gradient = bench.normal(shape, scale=2.), bench.normal(shape)
    folded = membrane.flatten(0, 1).requires_grad_()
    folded_gradient = gradient.flatten(0, 1)
    ours = {
        'ReLU': torch.relu,
        'LIF': LIFNeuron(timesteps=TIMESTEPS),
        'LIF, learnt decay': LIFNeuron(
            timesteps=TIMESTEPS, learn_decay=True).to(bench.device),
        'I-LIF': SFANeuron(4, scale=1., timesteps=TIMESTEPS, decay=0.25,
                           detach_reset=False),
    }
    builders = {
        name: lambda f=f: forward_backward(f, folded, folded_gradient)
        for name, f in ours.items()}
    pairs = spikingjelly(bench)
    if pairs:  # time before samples
        stepped = membrane.transpose(0, 1).contiguous().requires_grad_()
        stepped_gradient = gradient.transpose(0, 1).contiguous()
    for name, (_, theirs) in pairs.items():
        builders[f'SpikingJelly {name}'] = (
            lambda f=from_zero(theirs): forward_backward(
                f, stepped, stepped_gradient))
    n, *rest = shape
    bench.compare(
        f'{(TIMESTEPS, n, *rest[1:])}, T = {TIMESTEPS}, float32: forward + '
        'backward', builders, targets={'LIF': '<= 2', 'I-LIF': '<= 2'})
