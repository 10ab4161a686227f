"""Calls from several threads, and models that use them."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.neurons import SFANeuron

IMAGES = [torch.full((1, 2, 4, 4), 1. + k) for k in range(6)]


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), SFANeuron(), nn.Conv2d(3, 2, 2),
                         SFANeuron(), nn.Conv2d(2, 1, 1)).eval()


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_one_converted_model_in_several_threads(form):
    spiking, expected = [to_spike_train(network(), form) for _ in 'ab']
    with spiking, ThreadPoolExecutor(3) as threads:
        found = list(threads.map(spiking, IMAGES))
    with expected:
        for x, y in zip(IMAGES, found):
            assert torch.equal(expected(x), y)
    assert spiking.trace.images == 6
    for amount in ('sops', 'emitted', 'macs'):
        assert spiking.trace.total(amount) == expected.trace.total(amount)
    assert spiking.trace.total('sops') > 0


class Threaded(nn.Module):

    def __init__(self):
        super().__init__()
        self.parts = network()

    def forward(self, x):
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self.parts, x).result()


class HeadInThread(Threaded):
    """No neuron runs there."""

    def forward(self, x):
        x = self.parts[:4](x)
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self.parts[4], x).result()


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('model, path', [(Threaded, 'parts'),
                                         (HeadInThread, r'parts\.4')])
def test_a_model_that_runs_its_parts_in_threads(model, path, form):
    spiking, expected = to_spike_train(model().eval(), form), network()
    torch.testing.assert_close(spiking(IMAGES[0]), expected(IMAGES[0]))
    with spiking, pytest.raises(RuntimeError, match=f'^{path}: it runs in '
                                'another thread'):
        spiking(IMAGES[0])


class FunctionsInThread(Threaded):

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        y = self.parts[:2](x)
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self.function, y).result()


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('name,function', [
    ('mul', lambda y: (y * 1).exp()),
    ('linear', lambda y: torch.nn.functional.linear(y, torch.ones(5, 2))),
    ('cat', lambda y: torch.cat([torch.ones(1, 3, 2, 2), y])),
    ('tolist', lambda y: torch.tensor(y.tolist()))])
def test_functions_on_spikes_in_threads(name, function, form):
    model = FunctionsInThread(function).eval()
    spiking, plain = to_spike_train(model, form), network()
    expected = function(plain[:2](IMAGES[0]))
    torch.testing.assert_close(spiking(IMAGES[0]), expected)
    with spiking, pytest.raises(RuntimeError, match=f'^{name} takes spikes in '
                                'another thread'):
        spiking(IMAGES[0])
    torch.testing.assert_close(spiking(IMAGES[0]), expected)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_spikes_that_a_recorded_call_has_returned_are_read_anywhere(form):
    spiking = to_spike_train(SFANeuron(4), form)
    with spiking, ThreadPoolExecutor(1) as thread:
        y = spiking(torch.tensor([3.]))
        assert thread.submit(lambda: float(y * 1)).result() == 3 / 4


class Copies(nn.Module):

    def __init__(self):
        super().__init__()
        self.parts = network()

    def forward(self, x):
        return copy.deepcopy(self.parts)(x)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_a_model_that_copies_its_parts(form):
    found = []
    for model in (Copies().eval(), network()):
        with to_spike_train(model, form) as spiking:
            for x in IMAGES:
                spiking(x)
        found.append((spiking.trace.total('sops'),
                      spiking.trace.total('emitted')))
    assert found[0] == found[1]
    assert found[0][0] > 0
