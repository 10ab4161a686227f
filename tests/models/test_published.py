import json

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS

from mmsnn.models import ESpikeFormer
from mmsnn.models.published import (
    classifier_config,
    convert_state_dict,
    family_of,
    neuron_paths,
    parameter_paths,
)

SIZES = ['2.7M', '5.1M', '10.0M', '19.0M']


def shapes_of(goldens, family):
    return json.loads((goldens / f'{family}_state_dicts.json').read_text())


@pytest.mark.parametrize('depths', [(1, 1, 2, 6, 2), (2, 1, 2, 11, 1)])
def test_names_by_hand(names, depths):
    parameters, neurons = names(depths)
    assert parameter_paths(parameters) == parameters
    assert neuron_paths(neurons) == neurons


def test_the_tiny_state_comes_back(tiny, published_state):
    converted = convert_state_dict(published_state)
    expected = tiny[1].state_dict()
    assert set(converted) == set(expected)
    assert all(torch.equal(v, expected[k]) for k, v in converted.items())


@pytest.mark.parametrize('size', SIZES)
def test_published_shapes_load_strictly(goldens, size):
    spec = shapes_of(goldens, 'espikeformer')[size]
    state = {k: torch.zeros(s) for k, s in spec['state_dict'].items()}
    model = MODELS.build(classifier_config(spec['embed_dims']))
    model.load_state_dict(convert_state_dict(state), strict=True)
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


@pytest.mark.parametrize('file,size,family', [
    ('espikeformer_large', '83M', 'espikeformer_large'),
    ('espikeformer_large', '173M', 'espikeformer_large'),
    ('espikeformer_large', '83M_pretrain', 'espikeformer_large_pretrain'),
    ('espikeformer_large', '173M_pretrain', 'espikeformer_large_pretrain'),
    ('metaspikeformer', '15.1M', 'metaspikeformer'),
    ('metaspikeformer', '55.4M', 'metaspikeformer')])
def test_published_states_of_other_families_are_named(
        goldens, file, size, family):
    spec = shapes_of(goldens, file)[size]
    state = dict.fromkeys(spec['state_dict'])
    with pytest.raises(ValueError, match=f"of the family '{family}'"):
        convert_state_dict(state)


@pytest.mark.parametrize('golden', [
    'espikeformer_tiny_d4', 'espikeformer_large_tiny',
    'espikeformer_large_pair_tiny', 'espikeformer_large_kd_tiny',
    'metaspikeformer_tiny_t1'])
def test_family_of_goldens(goldens, golden):
    spec = json.loads((goldens / f'{golden}.json').read_text())
    with np.load(goldens / f'{golden}.npz') as arrays:
        keys = [k[6:] for k in arrays.files if k.startswith('state.')]
    assert family_of(dict.fromkeys(keys)) == spec['family']


@pytest.mark.parametrize('key,family', [
    ('mask_token', 'espikeformer_large_pretrain'),
    ('block3.0.attn.q_conv.0.body.0.weight', 'metaspikeformer'),
    ('ConvBlock1_1.0.conv1.bias', 'espikeformer_large'),
    ('layer1.0.conv1.weight', 'unknown')])
def test_other_families_by_a_key(key, family):
    with pytest.raises(ValueError, match=f'family {family!r} .*{key}.*only'):
        convert_state_dict({key: torch.zeros(1)})


def test_a_key_that_no_rule_maps_is_named(published_state):
    state = dict(published_state, **{'block3.0.extra.weight': torch.ones(1)})
    with pytest.raises(ValueError, match='1 names .*block3.0.extra.weight'):
        convert_state_dict(state)
