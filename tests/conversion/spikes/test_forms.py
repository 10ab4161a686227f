"""The neuron of a converted model: an IF neuron that really runs."""

import math

import pytest
import torch

from mmsnn.conversion import to_spike_train
from mmsnn.conversion.spikes import forms
from mmsnn.neurons import SFANeuron, integrate_and_fire, quantizer


def test_spike_form_runs_the_recurrence_and_no_closed_form(monkeypatch):
    neuron = SFANeuron(3, threshold=0.5)
    spiking = to_spike_train(neuron)
    seen = []

    def spy(potential, max_spikes):
        train = integrate_and_fire(potential, max_spikes)
        seen.append((potential, train))
        return train

    def never(*args, **kwargs):
        raise AssertionError('the training form was used')

    u = torch.tensor([0.2, 0.25, 0.8, 9.])
    expected = neuron(u)
    monkeypatch.setattr(forms, 'integrate_and_fire', spy)
    monkeypatch.setattr(quantizer, '_forward', never)
    monkeypatch.setattr(SFANeuron, 'forward', never)
    out = spiking(u)
    (potential, train), = seen
    assert torch.equal(potential, u / 0.5)
    assert all(a is b for a, b in zip(out.parts, train, strict=True))
    assert torch.equal(out.decode(), expected)
    assert out.counts().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('max_spikes,scale,threshold', [(4, None, 1.),
                                                        (3, 1., 0.25),
                                                        (5, 0.3, 2.)])
def test_both_forms_emit_what_the_neuron_does(form, max_spikes, scale,
                                              threshold):
    neuron = SFANeuron(max_spikes, scale, threshold)
    u = torch.randn(4, 50, dtype=torch.float64) * max_spikes * threshold
    with to_spike_train(neuron, form) as spiking:
        out = spiking(u)
    counts = neuron(u) / neuron.scale
    assert torch.equal(out.counts(), counts.round())
    torch.testing.assert_close(out.decode(), neuron(u), rtol=1e-15, atol=0)
    record, = spiking.trace
    assert record.kind == 'neuron' and record.neurons == 200
    assert record.spikes == [
        int((counts.round() >= d).sum()) for d in range(1, max_spikes + 1)
    ]
    assert record.max_spikes == max_spikes
    assert record.state_bytes == 50 * 8  # one image of the four
    assert out.spikes == sum(record.spikes)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_a_membrane_that_is_not_finite_names_the_neuron(form, value):

    class Net(torch.nn.Module):

        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Sequential(SFANeuron())

        def forward(self, x):
            return self.inner(torch.where(x > 0, x, value))

    spiking = to_spike_train(Net(), form)
    spiking(torch.ones(2, 3))
    with pytest.raises(ValueError, match=r'^inner\.0: .*NaN or infinite'):
        spiking(torch.tensor([[1., -1., 1.]]))


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_large_but_finite_membranes_are_fine(form):
    # Their sum overflows; none of them is infinite.
    u = torch.tensor([3e38, 3e38, -3e38, 0.])
    assert to_spike_train(SFANeuron(4), form)(u).counts().tolist() == [
        4, 4, 0, 0]


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_what_a_model_reads_of_its_neurons(form):

    class Net(torch.nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron(4, scale=0.5, threshold=2.)

        def forward(self, x):
            assert self.neuron.max_spikes == 4 and self.neuron.threshold == 2.
            return self.neuron(x) / self.neuron.scale

    net, x = Net(), torch.tensor([[1., 4.]])
    spiking = to_spike_train(net, form)
    assert spiking(x).tolist() == net(x).tolist() == [[1., 2.]]
    neuron = spiking.module.neuron
    with pytest.raises(AttributeError,
                       match='^neuron: .* has no run, .* call the neuron'):
        neuron.run(x)
    with pytest.raises(AttributeError, match='nonsense'):
        neuron.nonsense


@pytest.mark.parametrize('neuron', [
    SFANeuron(3), SFANeuron(3, timesteps=2)
], ids=['static', 'over time'])
@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_spikes_are_read_once(form, neuron, monkeypatch):
    """On a GPU, each time that a number is read waits for the device."""
    read, tolist = [], torch.Tensor.tolist

    def spy(tensor):
        read.append(tolist(tensor))
        return read[-1]

    u = torch.tensor([0.4, 0.6, 1.5, 9.])
    found, = (part for part in to_spike_train(neuron, form).modules()
              if isinstance(part, forms.SpikingForm))
    monkeypatch.setattr(torch.Tensor, 'tolist', spy)
    levels = found._fire(u)[1]
    # Over time 0.4 is followed by 1, and 1.5 by 8.5 (its rest is -1/2).
    assert levels == ([3, 2, 1] if neuron.is_static else [1, 1, 0, 2, 1, 1])
    assert read == [levels]
