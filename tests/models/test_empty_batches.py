"""No image in, nothing out, of the right shape, and no NaN left behind."""

import pytest
import torch

from mmsnn.registry import MODELS

TINY = dict(family='large', embed_dims=[8, 16, 24], depths=[1, 1, 1, 1])
NEURONS = [
    dict(type='mmsnn.SFANeuron'),
    dict(type='mmsnn.SFANeuron', timesteps=2),
    dict(type='mmsnn.LIFNeuron', timesteps=2)
]


def assert_finite(model):
    for name, x in model.state_dict().items():
        assert torch.isfinite(x).all(), name


@pytest.mark.parametrize('layout', ['contiguous_format', 'channels_last'])
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('neuron', NEURONS)
@pytest.mark.parametrize('kind', ['ESpikeFormer', 'MetaSpikeFormer'])
def test_backbones(kind, neuron, training, layout):
    arch = TINY if kind == 'ESpikeFormer' else dict(
        embed_dims=[8, 16, 24, 32])
    model = MODELS.build(
        dict(type=f'mmsnn.{kind}', arch=arch, neuron=neuron,
             out_indices=(0, 3))).train(training)
    x = torch.zeros(0, 3, 32, 64, requires_grad=True)
    maps = model(x.to(memory_format=getattr(torch, layout)))
    filled = model.eval()(torch.zeros(1, 3, 32, 64))
    assert [m.shape[1:] for m in maps] == [m.shape[1:] for m in filled]
    assert all(len(m) == 0 for m in maps)
    sum(m.sum() for m in maps).backward()
    assert_finite(model)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('keys', [
    dict(), dict(ssc=False), dict(drop_masked=False), dict(neuron=NEURONS[1])])
def test_masked_pre_training(keys, training):
    model = MODELS.build(
        dict(type='mmsnn.SpikeSparK',
             backbone=dict(type='mmsnn.MaskedESpikeFormer', arch=TINY,
                           **keys))).train(training)
    images, masked, made, mask = model.reconstruct(torch.zeros(0, 3, 32, 64))
    assert images.shape == masked.shape == made.shape == (0, 3, 32, 64)
    assert mask.shape == (0, 2, 4)
    assert_finite(model)
    rows = model.encoder_output(torch.zeros(0, 3, 32, 64))
    filled = model.eval().encoder_output(torch.zeros(1, 3, 32, 64))
    assert rows.shape == (0, filled.shape[1])
