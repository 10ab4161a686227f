import pytest
import torch
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope
from torch import nn

from mmsnn.models.backbones import ESpikeFormer, MetaSpikeFormer
from mmsnn.neurons import LIFNeuron, SFANeuron, build_neuron
from mmsnn.registry import MODELS

KEYS = ('max_spikes, scale, threshold, timesteps, decay, decay_input, reset, '
        'detach_reset, learn_decay, surrogate, slope')
LIF_KEYS = ('max_spikes, decay, decay_input, reset, surrogate, slope, scale, '
            'threshold, timesteps, detach_reset, learn_decay')
MISSPELT = dict(type='mmsnn.SFANeuron', max_spike=4)
MESSAGE = ('neuron.max_spike is not a key of SFANeuron (did you mean '
           f"'max_spikes'?): its keys are {KEYS}")
ARCH = dict(embed_dims=[8, 8, 8, 8], depths=[1] * 5)


def build_in_scope(scope):
    pytest.importorskip(scope)
    with DefaultScope.overwrite_default_scope(scope):
        return ROOT_MODELS.build(MISSPELT)


@pytest.mark.parametrize('build', [
    lambda: MODELS.build(MISSPELT),
    lambda: build_in_scope('mmpretrain'),
    lambda: build_in_scope('mmdet'),
    lambda: build_neuron(MISSPELT),
    lambda: build_neuron(dict(type=SFANeuron, max_spike=4)),
    lambda: SFANeuron(max_spike=4),
    lambda: ESpikeFormer(ARCH, neuron=MISSPELT),
    lambda: MetaSpikeFormer(ARCH, neuron=MISSPELT),
    lambda: MODELS.build(dict(
        type='mmsnn.SpikingModule', neuron=MISSPELT,
        module=dict(type=nn.Linear, in_features=2, out_features=2))),
])
def test_a_misspelt_key(build):
    with pytest.raises(TypeError) as error:
        build()
    assert str(error.value) == MESSAGE


@pytest.mark.parametrize('key, message', [
    ('time_steps', "LIFNeuron (did you mean 'timesteps'?): its keys are "),
    ('tau', 'LIFNeuron: its keys are ')
])
def test_a_key_that_lif_neurons_do_not_have(key, message):
    for neuron in (dict(type='mmsnn.LIFNeuron'), dict(type=LIFNeuron)):
        with pytest.raises(TypeError) as error:
            build_neuron({**neuron, key: 2})
        assert str(error.value) == (
            f'neuron.{key} is not a key of {message}{LIF_KEYS}')


@pytest.mark.parametrize('activation, name, known', [
    ('ReLU', 'ReLU', 'it has none'),
    (nn.ELU, 'ELU', 'its keys are alpha'),
])
def test_a_key_of_spiking_neurons_for_an_activation(activation, name, known):
    # What is left of a base config without _delete_.
    with pytest.raises(TypeError) as error:
        build_neuron(dict(type=activation, max_spikes=4))
    assert str(error.value) == (
        f'neuron.max_spikes is not a key of {name}: {known}; _delete_=True '
        'drops the keys that a config has from its base')


def test_keys_of_activations():
    elu = build_neuron(dict(type='ELU', alpha=2., _scope_='mmengine'))
    assert elu(torch.tensor([1.])).item() == 1 and elu.alpha == 2


def test_an_activation_that_takes_any_key():

    class Anything(nn.Module):

        def __init__(self, **keys):
            super().__init__()
            self.keys = keys

    assert build_neuron(dict(type=Anything, gain=2)).keys == dict(gain=2)


def test_a_subclass_with_a_key_of_its_own():

    class Noisy(SFANeuron):

        def __init__(self, noise=0., **keys):
            super().__init__(**keys)
            self.noise = noise

    neuron = build_neuron(dict(type=Noisy, noise=1., timesteps=2))
    assert (neuron.noise, neuron.timesteps) == (1., 2)
    with pytest.raises(TypeError) as error:
        build_neuron(dict(type=Noisy, noises=1.))
    assert str(error.value) == (
        "neuron.noises is not a key of Noisy (did you mean 'noise'?): its "
        f'keys are noise, {KEYS}')


def test_a_misspelt_type():
    with pytest.raises(KeyError, match="did you mean 'mmsnn.LIFNeuron'"):
        build_neuron(dict(type='mmsnn.LIFNeurone'))
