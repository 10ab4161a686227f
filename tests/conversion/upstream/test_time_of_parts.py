"""Backbones, necks and heads that do not agree on time are named."""

import mmpretrain.models  # noqa: F401
import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

import mmsnn.models  # noqa: F401
from mmsnn.conversion import to_spike_train
from mmsnn.conversion.upstream.time_of_parts import check_time_of_parts
from mmsnn.layers import SpikeLinear


def classifier(backbone, head, of_backbone=False, of_head=False, neck=None):
    """T of the parts, and where time becomes one; a head with T = None has
    no neuron."""
    torch.manual_seed(0)

    def neuron(timesteps):
        return dict(type='mmsnn.SFANeuron', timesteps=timesteps)

    linear = dict(type='mmpretrain.LinearClsHead', num_classes=5,
                  in_channels=16)
    spiking = dict(type='mmsnn.SpikingModule', module=linear,
                   neuron=neuron(head), mean_over_time=of_head)
    return MODELS.build(dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor'),
        backbone=dict(
            type='mmsnn.ESpikeFormer', neuron=neuron(backbone),
            mean_over_time=of_backbone,
            arch=dict(embed_dims=[8, 8, 16, 16], num_heads=2,
                      depths=[0, 1, 1, 1, 1])),
        neck=neck or dict(type='mmpretrain.GlobalAveragePooling'),
        head=linear if head is None else spiking)).eval()


def predict(model):
    return model(torch.rand(2, 3, 32, 32), [DataSample(), DataSample()],
                 mode='predict')


def test_what_upstream_makes_of_time_steps():
    # Scores of 2 images in 2 steps: the first image's are taken for both.
    model = classifier(2, 2)
    with torch.no_grad():
        scores = model(torch.ones(2, 3, 32, 32)).softmax(1)
        found = model(torch.ones(2, 3, 32, 32), [DataSample(), DataSample()],
                      mode='predict')
    assert scores.shape == (4, 5)
    for sample, row in zip(found, scores):
        torch.testing.assert_close(sample.pred_score, row)


@pytest.mark.parametrize('parts', [
    (1, 1), (1, None), (2, 2, False, True), (2, 1, True), (2, None, True)])
def test_one_row_for_each_image(parts):
    model = classifier(*parts)
    with to_spike_train(model, 'counts') as spiking:
        assert len(predict(spiking)) == spiking.trace.images == 2
    assert len(predict(model)) == 2
    assert len(model(torch.rand(2, 3, 32, 32))) == 2


@pytest.mark.parametrize('parts, error', [
    ((2, 1), 'backbone returns a row for each of its 2 time steps, but the '
     'neurons of head have timesteps = 1: set mean_over_time=True of backbone,'
     ' or timesteps=2 for head'),
    ((1, 2), 'backbone returns a row for each image, but the neurons of head '
     'have timesteps = 2: set timesteps=1 for head'),
    ((2, 2, True, True), 'backbone returns a row for each image, but the '
     'neurons of head have timesteps = 2')])
def test_other_time_steps_are_refused(parts, error):
    with pytest.raises(ValueError, match=error):
        to_spike_train(classifier(*parts))


@pytest.mark.parametrize('head', [2, None])
def test_predictions_of_single_time_steps_are_refused(head):
    model = classifier(2, head)
    spiking = to_spike_train(model)
    with pytest.raises(ValueError, match='head gets 2 rows of each image.*'
                       'mean_over_time=True of head .*, or of backbone'):
        predict(spiking)
    # Whoever asks for the rows gets them.
    assert spiking(torch.rand(2, 3, 32, 32)).shape == (4, 5)
    type(model.head).mean_over_time = True  # a class of one's own
    try:
        assert check_time_of_parts(model) == ''
    finally:
        del type(model.head).mean_over_time


def test_a_neck_that_averages_is_what_the_head_gets():
    neck = dict(
        type='mmsnn.SpikingModule', mean_over_time=True,
        neuron=dict(type='mmsnn.SFANeuron', timesteps=2),
        module=dict(type='mmpretrain.LinearNeck', in_channels=16,
                    out_channels=16))
    model = torch.nn.Module()
    model.detector = classifier(2, 1, neck=neck)
    assert check_time_of_parts(model) == ''
    model.detector = classifier(2, 2, neck=neck)
    with pytest.raises(ValueError, match='detector.neck returns a row for '
                       'each image, but the neurons of detector.head'):
        check_time_of_parts(model)


def parts(**heads):
    """A segmentor of which the backbone returns rows for 4 time steps."""

    def layer(timesteps, mean_over_time):
        module = SpikeLinear(2, 2, neuron=dict(
            type='mmsnn.SFANeuron', timesteps=timesteps))
        module.mean_over_time = mean_over_time
        return module

    model = nn.Module()
    model.backbone = layer(4, False)
    for name, head in heads.items():
        setattr(model, name, nn.ModuleList(layer(*h) for h in head)
                if isinstance(head, list) else layer(*head))
    return model


def test_heads_in_a_row_average_in_the_last_one():
    assert not check_time_of_parts(
        parts(decode_head=[(4, False), (4, True)]))
    assert 'decode_head gets 4 rows' in check_time_of_parts(
        parts(decode_head=[(4, True), (4, False)]))


def test_auxiliary_heads_predict_nothing():
    assert not check_time_of_parts(
        parts(decode_head=(4, True), auxiliary_head=(1, False)))
