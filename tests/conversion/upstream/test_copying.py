import copy
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.conversion.upstream.copying import detached_copy
from mmsnn.layers import SpikeLinear
from mmsnn.models.dense import make_spiking
from mmsnn.neurons import SFANeuron

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)


class Remembers(nn.Module):
    """Keeps what it made of its last batch, as CondInst's head does."""

    def __init__(self):
        super().__init__()
        self.fc = SpikeLinear(3, 2, neuron=SFA4)
        self.seen = {}

    def forward(self, x):
        out = self.fc(x)
        self.seen = dict(out=[out], twice=out, plain=out.detach())
        return out


def test_a_model_that_keeps_a_graph_is_copied():
    net = Remembers()
    net(torch.rand(2, 3) * 4).sum().backward()
    with pytest.raises(RuntimeError, match='deepcopy protocol'):
        copy.deepcopy(net)
    other = detached_copy(net)
    assert not other.seen['twice'].requires_grad
    assert other.seen['twice'] is other.seen['out'][0]
    assert torch.equal(other.seen['twice'], net.seen['twice'])
    assert other.seen['twice'] is not net.seen['twice']
    assert other.fc.weight.requires_grad
    assert other.fc.weight is not net.fc.weight
    assert net.seen['twice'].requires_grad  # left as it is


def test_it_converts():
    net = Remembers()
    x = torch.rand(2, 3) * 4
    expected = net(x)
    torch.testing.assert_close(to_spike_train(net)(x), expected)


def test_a_spectral_norm_that_has_been_trained():
    torch.manual_seed(0)
    net = make_spiking(
        nn.Sequential(ConvModule(3, 4, 1, with_spectral_norm=True)), SFA4)
    x = torch.rand(1, 3, 4, 4) * 3
    net(x).sum().backward()
    spiking = to_spike_train(net)
    torch.testing.assert_close(spiking(x), net.eval()(x))


class Holds(nn.Module):

    def __init__(self, held):
        super().__init__()
        self.part = nn.Sequential(SpikeLinear(3, 2, neuron=SFA4))
        self.part[0].inner = dict(a=[1, held])

    def forward(self, x):
        return self.part(x)


@pytest.mark.parametrize('make', [
    threading.Lock, threading.RLock, threading.Condition, threading.Event,
    threading.local, queue.Queue, lambda: ThreadPoolExecutor(1),
    lambda: torch])
def test_what_knows_no_copying_but_takes_no_part_in_results(make):
    net, held = Holds(make()), None
    x = torch.rand(2, 3) * 4
    with to_spike_train(net, 'counts') as spiking:
        for _ in range(2):
            torch.testing.assert_close(spiking(x), net(x))
        held = spiking.module.part[0].inner['a'][1]
    assert type(held) is type(make())


def test_a_copy_has_locks_and_thread_local_values_of_its_own():
    lock, local = threading.Lock(), threading.local()
    local.calls = [1]
    with lock:
        other = detached_copy(Holds((lock, local))).part[0].inner['a'][1]
    assert not other[0].locked()
    assert other[1].calls == [1] and other[1].calls is not local.calls


@pytest.mark.parametrize('make', [
    lambda: (i for i in range(3)), lambda: open(__file__), queue.SimpleQueue])
def test_what_can_not_be_copied_is_named_with_its_path(make):
    held = make()
    net = Holds((held, ))
    with pytest.raises(TypeError, match=r"^part\.0\.inner\['a'\]\[1\]\[0\] of "
                       f'Holds is a {type(held).__name__}, which can not be '):
        to_spike_train(net)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('make', [
    torch.jit.script,
    lambda layer: torch.jit.trace(layer, torch.ones(1, 3))])
def test_scripted_layers(make, form):
    """6 spikes of the first call and 3 of the second reach two outputs. Of a
    scripted module ``copy.deepcopy`` makes a part of a graph."""
    layer = make(nn.Linear(3, 2))
    assert not copy.deepcopy(layer).weight.is_leaf
    net = nn.Sequential(SFANeuron(4), layer).eval()
    with to_spike_train(net, form) as spiking:
        for x in (torch.tensor([[1., 2., 3.]]), torch.ones(1, 3)):
            torch.testing.assert_close(spiking(x), net(x))
    fc = list(spiking.trace)[-1]
    assert (fc.module, fc.sops, fc.macs) == ('1', 2 * (6 + 3), 0)
    assert layer.weight.requires_grad
