"""A call is counted by the plan of another only where Python goes the same
way through the model. Expected counts: those of watching every op."""

import array
import collections
import contextvars
import itertools
import os
import random

import numpy as np
import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.conversion.call_state import RunsOfOneCall
from mmsnn.conversion.counting.python_state import PythonState
from mmsnn.neurons import SFANeuron

CALLS = 6
GLOBAL = [0]
NUMBER = 0


class Net(nn.Module):
    """One of two convolutions, as ``choose`` says."""

    def __init__(self, choose, **attributes):
        super().__init__()
        self.neuron = SFANeuron(4)
        self.often, self.rarely = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 8, 5)
        self.choose = choose
        vars(self).update(attributes)

    def forward(self, x):
        y = self.neuron(x)
        return self.often(y) if self.choose(self, x, y) else self.rarely(y)


def recorded(make, form, change=None, calls=CALLS):
    """Trace of some calls of a new model, and how many plans are kept."""
    global NUMBER
    NUMBER, GLOBAL[0] = 0, 0
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    spiking = to_spike_train(make().eval(), form)
    with spiking:
        for i in range(calls):
            if change is not None:
                change(spiking.module, i)
            generator = torch.Generator().manual_seed(i)
            spiking(4 * torch.rand(1, 3, 8, 8, generator=generator))
    return spiking.trace, len(spiking._recording._plans)


def same_as_watched(make, change=None):
    watched, _ = recorded(make, 'spikes', change)
    counted, plans = recorded(make, 'counts', change)
    assert counted.images == watched.images == CALLS
    assert list(counted) == list(watched)
    return watched, plans


def both_ways(watched):
    """Whether the model really went both ways."""
    return len({r.module for r in watched if r.kind == 'conv'}) == 2


READS = {
    'item': lambda net, x, y: x.mean().item() > 2,
    'bool': lambda net, x, y: x.mean() > 2,
    'float': lambda net, x, y: float(x.mean()) > 2,
    'int': lambda net, x, y: int(10 * x.mean()) > 19,
    'tolist': lambda net, x, y: x.mean().tolist() > 2,
    'tolist of all': lambda net, x, y: sum(x.flatten().tolist()) > 384,
    'numpy': lambda net, x, y: x.numpy().mean() > 2,
    'detach cpu numpy': lambda net, x, y: x.detach().cpu().numpy().mean() > 2,
    'asarray': lambda net, x, y: np.asarray(x).mean() > 2,
    'dlpack': lambda net, x, y: np.from_dlpack(x).mean() > 2,
    'format': lambda net, x, y: float(f'{x.mean():.4f}') > 2,
    'print': lambda net, x, y: '-' in str(x.mean() - 2),
    'equal': lambda net, x, y: torch.equal(x[0, 0, 0].round(),
                                           x[0, 0, 0].round().clamp(max=3)),
    'allclose': lambda net, x, y: torch.allclose(x.mean(), torch.tensor(2.),
                                                 atol=0.05),
    'contains': lambda net, x, y: 1. in x[0, 0, 0].round(),
    'iteration': lambda net, x, y: any(v > 3.99 for v in x.flatten()),
    'spikes tolist': lambda net, x, y: y.tolist()[0][0][0][0] > 0.4,
    'spikes numpy': lambda net, x, y: y.numpy().mean() > 0.48,
    'spikes asarray': lambda net, x, y: np.asarray(y).mean() > 0.48,
    'spikes format': lambda net, x, y: float(f'{y[0, 0, 0, 0]:.2f}') > 0.4,
    'random tensor': lambda net, x, y: torch.rand(3).tolist()[0] > 0.5,
}


@pytest.mark.parametrize('how', READS)
def test_values_that_python_reads(how):
    watched, plans = same_as_watched(lambda: Net(READS[how]))
    assert both_ways(watched) and not plans


def attribute(net, x, y):
    net.calls += 1
    return net.calls % 3


def inside_a_list(net, x, y):
    net.calls[0] += 1
    return net.calls[0] % 3


def inside_an_object(net, x, y):
    net.calls.n += 1
    return net.calls.n % 3


def global_list(net, x, y):
    GLOBAL[0] += 1
    return GLOBAL[0] % 3


def global_number(net, x, y):
    global NUMBER
    NUMBER += 1
    return NUMBER % 3


def of_the_function(net, x, y):
    of_the_function.calls = getattr(of_the_function, 'calls', 0) + 1
    return of_the_function.calls % 3


def turning(net, x, y):
    net.calls.rotate()
    return net.calls[0]


def with_buffer(net, x, y):
    net.rarely.bias += 1  # a value, which is not read
    net.calls = net.calls + 1
    return net.calls.tolist() % 3


class Calls:

    def __init__(self):
        self.n = 0


class Slotted:
    __slots__ = ('n', )

    def __init__(self):
        self.n = 0


class Private:
    __slots__ = ('__n', )

    def __init__(self):
        self.__n = 0

    @property
    def n(self):
        return self.__n

    @n.setter
    def n(self, n):
        self.__n = n


HERE = contextvars.ContextVar('calls')


def of_the_context(net, x, y):
    HERE.set(HERE.get(0) + 1)
    return HERE.get() % 3


def closure():
    calls = 0

    def choose(net, x, y):
        nonlocal calls
        calls += 1
        return calls % 3

    return Net(choose)


def of_class():
    class Counting(Net):
        calls = 0

    def choose(net, x, y):
        type(net).calls += 1
        return type(net).calls % 3

    return Counting(choose)


def iterated(iterator):
    return Net(lambda net, x, y: next(iterator))


def generated():
    while True:
        yield from (1, 1, 0)


COUNTERS = {
    'attribute': lambda: Net(attribute, calls=0),
    'list': lambda: Net(inside_a_list, calls=[0]),
    'object': lambda: Net(inside_an_object, calls=Calls()),
    'slots': lambda: Net(inside_an_object, calls=Slotted()),
    'private slots': lambda: Net(inside_an_object, calls=Private()),
    'global list': lambda: Net(global_list),
    'global number': lambda: Net(global_number),
    'function': lambda: Net(of_the_function),
    'deque': lambda: Net(turning, calls=collections.deque([1, 0, 0])),
    'tensor': lambda: Net(with_buffer, calls=torch.tensor(0)),
    'bytearray': lambda: Net(inside_a_list, calls=bytearray(1)),
    'array': lambda: Net(inside_a_list, calls=array.array('i', [0])),
    'context': lambda: Net(of_the_context),
    'closure': closure,
    'class': of_class,
    'count': lambda: Net(
        lambda net, x, y: next(net.calls) % 3, calls=itertools.count()),
    'cycle': lambda: iterated(itertools.cycle([1, 1, 0])),
    'generator': lambda: iterated(generated()),
    'random': lambda: Net(lambda net, x, y: random.random() > 0.5),
    'numpy random': lambda: Net(lambda net, x, y: np.random.rand() > 0.7),
    'own random': lambda: Net(
        lambda net, x, y: net.drawn.random() > 0.5, drawn=random.Random(3)),
    'own numpy random': lambda: Net(
        lambda net, x, y: net.drawn.random() > 0.5,
        drawn=np.random.default_rng(3)),
}


@pytest.mark.parametrize('where', COUNTERS)
def test_a_model_that_counts_or_draws(where):
    of_the_function.calls = 0
    HERE.set(0)
    watched, _ = recorded(COUNTERS[where], 'spikes')
    of_the_function.calls = 0
    HERE.set(0)
    counted, plans = recorded(COUNTERS[where], 'counts')
    assert list(counted) == list(watched) and both_ways(watched)
    assert not plans


def test_the_second_of_a_pair_of_normal_numbers_is_drawn_too():
    _, plans = recorded(lambda: Net(lambda net, x, y: np.random.randn() < 9),
                        'counts', calls=2)
    assert not plans


def test_what_a_model_counts_in_is_put_back():
    net = Net(lambda net, x, y: [
        of_the_context(net, x, y), *(
            inside_a_list(kept, x, y) for kept in net.kept)])
    net.kept = [Calls(), Calls()]
    net.kept[0].calls = bytearray([7])
    net.kept[1].calls = array.array('i', [70000])
    HERE.set(1)
    runs = RunsOfOneCall(net)
    for _ in range(3):
        runs.run(lambda: net(torch.rand(1, 3, 8, 8)))
    assert HERE.get() == 2
    assert [kept.calls[0] for kept in net.kept] == [8, 70001]


def setting(name):
    return lambda net, x, y: getattr(net, name)


def in_a_dictionary(net, x, y):
    return net.settings['often']


def swap(net, i):
    if i in (2, 4):
        net.often, net.rarely = net.rarely, net.often


def hook(net, i):
    if i == 2:
        net.handle = net.often.register_forward_hook(
            lambda module, args, out: torch.cat([out, out]) * 2)
    if i == 4:
        net.handle.remove()


CHANGES = {
    'attribute': (lambda: Net(setting('flag'), flag=True),
                  lambda net, i: setattr(net, 'flag', i % 4 < 2)),
    'dictionary': (lambda: Net(in_a_dictionary, settings=dict(often=True)),
                   lambda net, i: net.settings.update(often=i % 4 < 2)),
    'global': (lambda: Net(lambda net, x, y: GLOBAL[0]),
               lambda net, i: GLOBAL.__setitem__(0, i % 4 < 2)),
    'function': (lambda: Net(setting('often')), lambda net, i: setattr(
        net, 'choose', lambda net, x, y: i % 4 < 2)),
    'modules': (lambda: Net(setting('often')), swap),
    'stride': (lambda: Net(setting('often')),
               lambda net, i: setattr(net.often, 'stride', (1 + i % 2, 1))),
    'threshold': (lambda: Net(setting('often')), lambda net, i: setattr(
        net.neuron.neuron, 'threshold', 1 + i % 2)),
    'weight': (lambda: Net(setting('often')), lambda net, i: setattr(
        net.often.weight, 'data', torch.ones(2, 3, 3 - i % 2, 3))),
    'hook': (lambda: Net(setting('often')), hook),
}


@pytest.mark.parametrize('what', CHANGES)
def test_what_the_user_changes_between_calls(what):
    make, change = CHANGES[what]
    same_as_watched(make, change)
    # Where nothing changes, a plan is used.
    _, plans = recorded(make, 'counts')
    assert plans == 1


class Free(nn.Module):
    """A function of spikes and of the input."""

    def __init__(self, function):
        super().__init__()
        self.neuron, self.fc = SFANeuron(4), nn.Linear(8, 5)
        self.function = function

    def forward(self, x):
        return self.fc(self.function(self.neuron(x), x))


def number(x):
    return 1 + int(x[0, 0, 0, 0].tolist())


FREE = {
    'rows': lambda y, x: y[:, :, :number(x)],
    'loop': lambda y, x: torch.cat([y] * number(x), 1),
    'real ops': lambda y, x: sum([x] * number(x)) + y,
    'numpy indices': lambda y, x: y[:, torch.from_numpy(
        np.argsort(x.sum((2, 3)).numpy()[0])[:number(x)].copy())],
    'indices': lambda y, x: y[:, x.sum((0, 2, 3)).argsort()[:2]],
    'drawn': lambda y, x: y[:, :, random.sample(range(8), 3)],
    'script': lambda y, x: scripted(x, y),
}


@torch.jit.script
def scripted(x, y):
    if bool(x.mean() > 2):
        return y[:, :1]
    return y


@pytest.mark.parametrize('what', FREE)
def test_ways_inside_one_module(what):
    watched, _ = same_as_watched(lambda: Free(FREE[what]))
    assert what == 'real ops' or watched.total('sops') > 0


class Remembering(nn.Module):
    """Adds what it has fired on the image before."""

    def __init__(self):
        super().__init__()
        self.neuron, self.conv = SFANeuron(4), nn.Conv2d(3, 2, 3)
        self.before = None

    def forward(self, x):
        y = self.neuron(x)
        out = self.conv(y)
        if self.before is not None:
            out = out + self.conv(self.before)
        self.before = y
        return out


def test_spikes_that_are_kept_until_the_next_call():
    same_as_watched(Remembering)


class Cached(nn.Module):
    """Makes a grid once."""

    def __init__(self):
        super().__init__()
        self.neuron, self.conv = SFANeuron(4), nn.Conv2d(3, 2, 3)
        self.grid = None

    def forward(self, x):
        if self.grid is None:
            self.grid = torch.arange(8.).exp()
        return self.conv(self.neuron(x + self.grid))


def test_a_cache_that_is_filled_once():
    watched, plans = same_as_watched(Cached)
    assert plans == 1
    assert next(r for r in watched if r.op == 'exp').calls == 1


def test_another_memory_format_is_another_call():
    class Layout(Net):

        def forward(self, x):
            y = self.neuron(x)
            return self.often(y) if x.is_contiguous() else self.rarely(y)

    def run(form):
        torch.manual_seed(0)
        spiking = to_spike_train(Layout(None), form)
        x = torch.rand(2, 3, 8, 8)
        with spiking:
            for i in range(4):
                spiking(x if i % 2 else x.to(
                    memory_format=torch.channels_last))
        return spiking.trace

    assert list(run('counts')) == list(run('spikes'))


def test_a_way_that_nothing_tells_is_watched_all_the_same(monkeypatch):
    # The environment is no state of Python: the order of modules tells.
    monkeypatch.delenv('RARELY', False)

    def change(net, i):
        monkeypatch.setenv('RARELY', 'yes')
        if i % 4 < 2:
            monkeypatch.delenv('RARELY')

    def make():
        return Net(lambda net, x, y: 'RARELY' not in os.environ)

    watched, _ = recorded(make, 'spikes', change)
    counted, plans = recorded(make, 'counts', change)
    assert list(counted) == list(watched) and both_ways(watched)
    assert not plans  # none is tried any more


def test_a_plan_is_used_for_what_does_the_same(classifiers, make_images):
    spiking = to_spike_train(classifiers(4), 'counts')
    with spiking:
        for seed in range(3):
            spiking(make_images(2, 16, 16, seed))
    assert len(spiking._recording._plans) == 1
    plan, _ = next(iter(spiking._recording._plans.values()))
    assert plan is spiking._recording._pending and spiking.trace.images == 6


def test_what_is_looked_at():
    class Settings(nn.Module):

        def __init__(self):
            super().__init__()
            self.inside = [dict(a=Calls())]
            self.array = np.zeros(3)

    net = nn.Sequential(Settings())
    state = PythonState([net])
    assert state.known and state.is_same()
    net[0].inside[0]['a'].n = 1
    assert not state.is_same()
    net[0].inside[0]['a'].n = 0
    assert state.is_same()
    net[0].array[1] = 2
    assert not state.is_same()
    net[0].array[1] = 0
    assert state.is_same()
    net.eval()
    assert not state.is_same()
    assert not PythonState([generated()]).known
    assert not PythonState([[np.zeros(2**18)]]).known
