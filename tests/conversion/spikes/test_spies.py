"""What synapses of a converted model really get to see."""

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from mmsnn.conversion import (
    SpikeTensor,
    to_spike_train,
)
from mmsnn.conversion.spikes.spike_tensor import SYNAPSES, aten
from mmsnn.layers import SpikeConv2d

DOUBLE = torch.float64


def to_double(model):
    return copy.deepcopy(model).double()


class Synapses(TorchDispatchMode):
    """Looks at each op with weights, and into the ones on spikes."""

    def __init__(self):
        super().__init__()
        self.plain = []
        self.spiking = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        packet = func.overloadpacket
        if packet in SYNAPSES:
            if any(isinstance(a, SpikeTensor) for a in args):
                self.spiking += 1
            else:
                self.plain.append(tuple(args[1].shape))
        return func(*args, **(kwargs or {}))


class Inside(TorchDispatchMode):
    """What a synapse on spikes does: its own plain tensor ops."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert not any(
            isinstance(x, SpikeTensor) for x in tree_flatten(args)[0])
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in SYNAPSES:
            self.log.append((func.overloadpacket, args, out))
        return out


def is_binary(x):
    return bool(((x == 0) | (x == 1)).all())


@pytest.mark.parametrize('max_spikes', [3, 4])
def test_synapses_see_only_zeros_and_ones(classifiers, make_images,
                                          monkeypatch, max_spikes):
    model = to_double(classifiers(max_spikes))
    calls = []

    def spied(packet, synapse):

        def run(func, *args, **kwargs):
            log = []
            with Inside(log):
                out = synapse(func, *args, **kwargs)
            calls.append((packet, log))
            return out

        return run

    for packet, synapse in list(SYNAPSES.items()):
        monkeypatch.setitem(SYNAPSES, packet, spied(packet, synapse))
    spiking = to_spike_train(model)
    with Synapses() as seen:
        spiking(make_images(1, dtype=DOUBLE))
    # Only the first convolution has real input: its kernel is 7 x 7.
    assert seen.plain == [(8, 3, 7, 7)]
    assert len(calls) == seen.spiking
    kinds = {packet for packet, _ in calls}
    assert kinds == {aten.convolution, aten.addmm, aten.bmm}
    for packet, log in calls:
        assert len(log) == max_spikes  # one per sub-step
        previous = None
        for op, args, out in log:
            if packet is aten.bmm:
                operands = list(args)
                binary = [x for x in operands if is_binary(x)]
                other = [x for x in operands if not is_binary(x)]
                assert binary
                # An accumulator of integers, not real weights.
                assert all(torch.equal(x, x.round()) for x in other)
                continue
            train = args[0]
            assert is_binary(train)
            if previous is not None:  # trains fire once per spike, in a row
                assert (train <= previous).all()
            previous = train
        if packet is aten.convolution:
            biases = [args[2] is not None for _, args, _ in log]
            assert biases == [True] + [False] * (max_spikes - 1)


def test_bias_once_by_hand():
    conv = SpikeConv2d(
        1, 1, 1, neuron=dict(type='mmsnn.SFANeuron', max_spikes=4))
    conv.weight.data.fill_(8.)
    conv.bias.data.fill_(0.5)
    x = torch.tensor([0., 1., 2., 4.]).reshape(1, 1, 2, 2)
    # 8 * c / 4 + 0.5
    assert to_spike_train(conv)(x).flatten().tolist() == [0.5, 2.5, 4.5, 8.5]
    linear = nn.Sequential(conv.neuron, nn.Linear(2, 1))
    linear[1].weight.data.fill_(4.)
    linear[1].bias.data.fill_(-3.)
    assert to_spike_train(linear)(torch.tensor([[1., 3.]])).item() == 1.
