import json

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS

from mmsnn.models import ESpikeFormer, SpikeSparK
from mmsnn.models.published import (
    FAMILIES,
    classifier_config,
    convert_state_dict,
    family_of,
    left_out,
    neuron_paths,
    parameter_paths,
)

SIZES = [('espikeformer', size)
         for size in ('2.7M', '5.1M', '10.0M', '19.0M')]
SIZES += [('espikeformer_large', size) for size in ('83M', '173M')]
SIZES += [('metaspikeformer', size) for size in ('15.1M', '31.3M', '55.4M')]


def shapes_of(goldens, family):
    return json.loads((goldens / f'{family}_state_dicts.json').read_text())


@pytest.mark.parametrize('family,depths', [
    ('espikeformer', (1, 1, 2, 6, 2)), ('espikeformer', (2, 1, 2, 11, 1)),
    ('espikeformer_large', (1, 1, 2, 12)), ('metaspikeformer',
                                            (1, 1, 2, 6, 2))])
def test_names_by_hand(names, family, depths):
    parameters, neurons = names(depths, family)
    assert family_of(parameters) == family
    assert parameter_paths(parameters, family) == parameters
    assert neuron_paths(neurons, family) == neurons


@pytest.mark.parametrize('family', list(FAMILIES))
def test_the_tiny_state_comes_back(tiny_models, publish, family):
    config, model, _ = tiny_models(family)
    depths = config['backbone']['arch']['depths']
    published = publish(model, depths, family)
    converted = convert_state_dict(published)
    expected = model.state_dict()
    assert set(converted) == set(expected)
    assert all(torch.equal(v, expected[k]) for k, v in converted.items())


@pytest.mark.parametrize('family,size', SIZES)
def test_published_shapes_load_strictly(goldens, family, size):
    spec = shapes_of(goldens, family)[size]
    widths = {'83M': (128, 256, 512), '173M': (196, 384, 768)}
    options = dict(linear_pair=size == '83M') if size in widths else {}
    with torch.device('meta'):
        state = {k: torch.empty(s) for k, s in spec['state_dict'].items()}
        model = MODELS.build(
            classifier_config(
                widths.get(size) or spec['embed_dims'], family=family,
                **options))
    converted = convert_state_dict(state)
    expected = model.state_dict()
    assert {k: v.shape for k, v in converted.items()} == {
        k: v.shape for k, v in expected.items()}
    assert sum(p.numel() for p in model.parameters()) == spec['params']


def test_converted_checkpoint_loads_into_the_dense_backbone(
        goldens, tmp_path):
    spec = shapes_of(goldens, 'espikeformer')['2.7M']
    torch.manual_seed(0)
    state = {k: torch.randn(s) for k, s in spec['state_dict'].items()}
    converted = convert_state_dict(state)
    torch.save(dict(state_dict=converted), tmp_path / 'converted.pth')
    backbone = ESpikeFormer(
        '2.7m',
        out_indices=(1, 2, 3, 4),
        init_cfg=dict(
            type='Pretrained',
            checkpoint=str(tmp_path / 'converted.pth'),
            prefix='backbone.'))
    backbone.init_weights()
    loaded = backbone.state_dict()
    # Nothing is left over but the head, and nothing keeps its first value.
    rest = {k for k in converted if k.partition('.')[2] not in loaded}
    assert rest == {'head.fc.weight', 'head.fc.bias'}
    for key, value in loaded.items():
        expected = converted[f'backbone.{key}']
        assert torch.equal(value, expected.to(value.dtype)), key


PRETRAINED = {'83M_pretrain': (128, 256, 512),
              '173M_pretrain': (192, 384, 768)}


@pytest.mark.parametrize('size', PRETRAINED)
def test_pre_training(goldens, size):
    shapes = shapes_of(goldens, 'espikeformer_large')[size]['state_dict']
    with torch.device('meta'):
        state = {k: torch.empty(s) for k, s in shapes.items()}
        arch = dict(family='large', embed_dims=PRETRAINED[size],
                    linear_pair=size == '83M_pretrain')
        model = SpikeSparK(dict(type='mmsnn.MaskedESpikeFormer', arch=arch))
        ordinary = ESpikeFormer(arch, layer_scale_init_value=None)
    assert family_of(state) == 'espikeformer_large_pretrain'
    converted = convert_state_dict(state)
    assert {k: v.shape for k, v in converted.items()} == {
        k: v.shape for k, v in model.state_dict().items()
        if not k.startswith('neck.')}
    prefix = 'backbone.'
    assert {k[len(prefix):] for k in converted if k.startswith(prefix)} == (
        set(ordinary.state_dict()))
    # Each key is either there or left out for a reason.
    reasons = left_out(state)
    assert [len(keys) for keys in reasons.values()] == [
        1, sum('decoder' in k or k == 'mask_token' for k in state)]
    assert len(converted) + sum(map(len, reasons.values())) == len(state)


def test_a_large_state_without_layer_scale_and_pair(tiny_models, publish):
    # As after pre-training, and of the 173m model.
    _, model, _ = tiny_models('espikeformer_large')
    published = {
        k: v for k, v in publish(model, (1, 1, 2, 2),
                                 'espikeformer_large').items()
        if not any(x in k for x in ('layer_scale', 'rep_conv', 'head_kd'))}
    other = MODELS.build(
        classifier_config([16, 24, 40], (1, 1, 2, 2), 4, 5,
                          family='espikeformer_large',
                          layer_scale_init_value=None))
    other.load_state_dict(convert_state_dict(published), strict=True)


@pytest.mark.parametrize('golden', [
    'espikeformer_tiny_d4', 'espikeformer_large_tiny',
    'espikeformer_large_pair_tiny', 'espikeformer_large_kd_tiny',
    'masked_pretrain_tiny', 'metaspikeformer_tiny_t1'])
def test_family_of_goldens(goldens, golden):
    spec = json.loads((goldens / f'{golden}.json').read_text())
    with np.load(goldens / f'{golden}.npz') as arrays:
        keys = [k[6:] for k in arrays.files if k.startswith('state.')]
    assert family_of(dict.fromkeys(keys)) == spec['family']


@pytest.mark.parametrize('key,family,said', [
    ('mask_token', 'espikeformer_large_pretrain', 'no weights of an encoder'),
    ('layer1.0.conv1.weight', 'unknown', 'only')])
def test_states_that_can_not_be_converted(key, family, said):
    with pytest.raises(ValueError, match=f'family {family!r}.*') as error:
        convert_state_dict({key: torch.zeros(1)})
    assert key in str(error.value) and said in str(error.value)


def test_config_of_an_unknown_family():
    with pytest.raises(ValueError, match="one of metaspikeformer, .* 'vgg'"):
        classifier_config([8, 16], family='vgg')


def test_a_key_that_no_rule_maps_is_named(published_state):
    state = dict(published_state, **{'block3.0.extra.weight': torch.ones(1)})
    with pytest.raises(ValueError, match='1 names .*block3.0.extra.weight'):
        convert_state_dict(state)
