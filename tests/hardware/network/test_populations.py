import pytest

from mmsnn.hardware import Geometry, Network, Population, Projection

IMAGE = Population('image', (3, ), kind='input')
A = Population('a', (4, ), max_spikes=2, spikes=(3., 1.))
OUT = Population('out', (2, ), kind='real')
FC = Projection('fc', 'a', 'out', 'linear', sops=(8., ))


@pytest.mark.parametrize('fields, message', [
    (dict(kind='axon'), "'p': kind must be one of input, neuron, real"),
    (dict(shape=(4, 0)), "'p': shape must hold positive numbers"),
    (dict(max_spikes=0), "'p': timesteps and max_spikes must be at least 1"),
    (dict(spikes=(1., )), 'timesteps x max_spikes = 2 sub-steps, got 1'),
    (dict(spikes=(5., 1.)), 'in a sub-step fire 0 to 4 neurons'),
    (dict(spikes=(-1., 1.)), 'in a sub-step fire 0 to 4 neurons'),
    (dict(state_bits=-1), 'state_bits must not be negative'),
    (dict(profile=(((1., 0., 0., 0.), ), )), 'profile must hold'),
    (dict(profile=(((.5, 0, 0, 0), ), ((1., 0, 0, 0), ))), 'sum to 1'),
])
def test_wrong_populations_are_named(fields, message):
    valid = dict(name='p', shape=(4, ), max_spikes=2, spikes=(3., 1.))
    with pytest.raises(ValueError, match=message):
        Population(**{**valid, **fields})


@pytest.mark.parametrize('fields, message', [
    (dict(kernel=(3, )), 'kernel must have one positive number for each'),
    (dict(stride=(0, 1)), 'stride must have one positive number for each'),
    (dict(padding=(-1, 1)), 'padding must have'),
    (dict(out_shape=(4, 5)), 'shapes must be positive and of equal length'),
    (dict(groups=3), 'groups must divide the channels 4 and 4'),
])
def test_wrong_geometries_are_named(fields, message):
    valid = dict(in_shape=(4, 5, 5), out_shape=(4, 5, 5), kernel=(3, 3),
                 stride=(1, 1), padding=(1, 1), dilation=(1, 1))
    with pytest.raises(ValueError, match=message):
        Geometry(**{**valid, **fields})


@pytest.mark.parametrize('fields, message', [
    (dict(op='copy'), "'fc' of 'a': op must be one of conv, linear"),
    (dict(sops=(-1., )), 'amounts must not be negative'),
    (dict(static=False), 'say in reason why the weights are not static'),
])
def test_wrong_projections_are_named(fields, message):
    valid = dict(name='fc', source='a', target='b', op='linear')
    with pytest.raises(ValueError, match=message):
        Projection(**{**valid, **fields})


@pytest.mark.parametrize('populations, projections, message', [
    ((A, A), (), 'must have different names'),
    ((IMAGE, OUT), (), 'no population of spiking neurons'),
    ((A, ), (FC, ), "target 'out' is no population of the network"),
    ((OUT, A), (FC, ), "'a' must stand before 'out'"),
    ((A, OUT), (Projection('fc', 'a', 'out', 'linear', sops=(1., ) * 3), ),
     'one for each of the 2 sub-steps'),
    ((IMAGE, A), (Projection('stem', 'image', 'a', 'linear', sops=(1., )), ),
     "spikes cause additions, but 'image' has none"),
    ((A, OUT), (Projection('x', 'a', 'out', 'matmul', operand='k'), ),
     "operand 'k' is no population"),
])
def test_wrong_networks_are_named(populations, projections, message):
    with pytest.raises(ValueError, match=message):
        Network(populations, projections)


def test_additions_fall_as_the_spikes_do():
    network = Network((A, OUT), (FC, ))
    assert network.sops_per_substep(FC) == (6., 2.)
    assert network.neurons == 6


def test_what_projections_carry():
    other = Population('b', (4, ), max_spikes=2, spikes=(1., 1.))
    links = (Projection('stem', 'image', 'a', 'linear', macs=12.),
             Projection('skip', 'a', 'b', 'residual', adds=4.), FC,
             Projection('up', 'a', 'out', 'real', macs=8.))
    network = Network((IMAGE, A, other, OUT), links)
    assert [network.carries(p) for p in links] == [
        'real', 'membranes', 'spikes', 'real']
