"""Potentials that lie on a threshold: equal where sums are exact, else named.
"""

import pytest
import torch
from torch import nn

from mmsnn.conversion import EqualityCheck, EqualityReport, to_spike_train
from mmsnn.conversion.equality import NeuronEquality
from mmsnn.neurons import LIFNeuron, SFANeuron

DOUBLE = torch.float64


def compare(net, images, form='spikes', change=None):
    net = net.to(DOUBLE).eval()
    spiking = to_spike_train(net, form)
    if change:
        change(spiking.module)
    check = EqualityCheck(net, spiking)
    check.compare(images.to(DOUBLE))
    return check.report


def all_counts(max_spikes, width=3):
    """All inputs of so many neurons that each fire 0..D spikes."""
    levels = torch.arange(max_spikes + 1.)
    return torch.cartesian_prod(*[levels] * width)


def network(make, weight, **last):
    net = nn.Sequential(
        make(), nn.Linear(3, 1, bias=False), make(**last)).to(DOUBLE)
    nn.init.constant_(net[1].weight, weight)
    return net


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('threshold', [1., 1 / 3, 0.7])
@pytest.mark.parametrize('weight', [1., 0.75, -2.])
@pytest.mark.parametrize('max_spikes', [3, 5, 6, 7])
def test_coarse_weights_and_any_d_are_exact(max_spikes, weight, threshold,
                                            form):

    def make(**keys):
        return SFANeuron(max_spikes, **keys)

    report = compare(network(make, weight, threshold=threshold),
                     all_counts(max_spikes), form)
    assert report.equal and report.total_ties == 0
    assert report.rows[1].neurons == (max_spikes + 1)**3


@pytest.mark.parametrize('max_spikes', [3, 5, 6, 7])
def test_weights_in_float32_are_exact_too(max_spikes):
    """Products are: up to 24 + 24 + 3 bits. So are sums of weights of about
    the same size."""
    torch.manual_seed(0)
    net = network(lambda **keys: SFANeuron(max_spikes, **keys), 1.)
    weight = 1 + torch.randint(4, (1, 3)).float() / 8
    net[1].weight.data = (weight / 3).double()
    report = compare(net, all_counts(max_spikes))
    assert report.equal and report.output_error == 0


@pytest.mark.parametrize('keys', [
    dict(decay=0.5), dict(decay=0.3, decay_input=False),
    dict(decay=0.5, reset='soft'), dict(decay=0.5, threshold=1 / 3)])
@pytest.mark.parametrize('max_spikes', [3, 6])
def test_over_time(max_spikes, keys):
    net = network(
        lambda: LIFNeuron(
            max_spikes, surrogate='rectangle', timesteps=2, **keys), 2.)
    report = compare(net, 4 * all_counts(max_spikes)[1 - max_spikes % 2:])
    assert report.equal and report.rows[1].training_spikes > 0


def with_ties():
    """Weights that are no float32: products round, sums in another order
    differ, and 0.1 is a threshold."""
    net = network(lambda **keys: SFANeuron(4, **keys), 0., threshold=0.1)
    net[1].weight.data += torch.tensor([0.1, 0.2, 0.3], dtype=DOUBLE)
    return net


@pytest.mark.parametrize('form,expected', [('spikes', True),
                                           ('counts', False)])
def test_ties_that_remain_are_counted_and_named(form, expected):
    report = compare(with_ties(), all_counts(4), form)
    row = report.rows[1]
    assert (row.differences > 0) == expected == (not report.equal)
    assert row.ties == row.differences == report.total_ties
    assert row.max_difference == int(expected)
    named = f'{row.ties} of them are ties (within 1e-09 of a threshold), ' \
        'the first at 2'
    assert (named in str(report)) == expected


def test_a_fault_among_ties_is_none():
    """All potentials are multiples of 1/4 on both sides: those that the
    fault moves from one threshold to the next are no ties."""

    def change(module):
        module[1].weight.data *= 2

    net = network(lambda: SFANeuron(4, scale=1.), 0.5)
    report = compare(net, all_counts(4), change=change)
    assert report.rows[1].differences > 50
    assert report.total_ties == 0 and 'tie' not in str(report)


def test_what_follows_from_a_tie_is_none():
    net = with_ties()
    net.append(nn.Linear(1, 1, bias=False))
    net.append(SFANeuron(4, threshold=0.26))
    nn.init.ones_(net[3].weight)
    report = compare(net, all_counts(4))
    assert report.rows[1].ties == report.rows[1].differences > 0
    assert report.rows[2].differences > report.rows[2].ties == 0


def test_the_words():
    report = EqualityReport('float32', 1, [
        NeuronEquality('a', 9, 0, 0, 5, 5),
        NeuronEquality('b', 9, 3, 1, 5, 8, ties=2),
        NeuronEquality('c', 9, 4, 1, 5, 8, ties=1)])
    assert str(report) == (
        '7 of 27 spike counts differ in float32 (3 neuron layers, 1 images); '
        'most at c: 4 of 9; 3 of them are ties (within 1e-05 of a '
        'threshold), the first at b')
