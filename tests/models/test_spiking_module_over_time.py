"""``mean_over_time`` of SpikingModule, alone and in whole models."""

import copy
import pickle

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from torch import nn

from mmsnn.models.dense import spiking_module

SFA2 = dict(type='mmsnn.SFANeuron', max_spikes=4, timesteps=2)
LINEAR = dict(type='mmpretrain.LinearClsHead', in_channels=6, num_classes=3)
WIDTHS = [8, 16, 24, 32]


class TwoBranches(nn.Module):
    """Nested outputs, as those of detection heads."""

    def __init__(self):
        super().__init__()
        self.scores = nn.Conv2d(4, 2, 1)
        self.boxes = nn.Conv2d(4, 4, 1)

    def forward(self, feats):
        return ([self.scores(x) for x in feats],
                [self.boxes(x) for x in feats])

    def loss(self, feats):
        return self.forward(feats)  # not by __call__


def fire(u):
    return sum((u >= d - 0.5).double() for d in range(1, 5))


def over_two_steps(u):
    """Spikes over D of an IF neuron in both time steps, (N, 2, ...)."""
    first = fire(u[:, 0])
    second = fire(u[:, 0] - first + u[:, 1])
    return torch.stack([first, second], 1) / 4


def test_logits_are_the_mean_over_time():
    head = spiking_module(LINEAR, SFA2, mean_over_time=True).double()
    assert type(head).__name__ == 'LinearClsHead'
    assert isinstance(head, MODELS.get('mmpretrain.LinearClsHead'))
    x = torch.rand(3, 2, 6, dtype=torch.float64) * 4
    expected = nn.functional.linear(
        over_two_steps(x), head.fc.weight, head.fc.bias).mean(1)
    torch.testing.assert_close(head((x.flatten(0, 1), )), expected)
    assert len(head.predict((x.flatten(0, 1), ))) == 3


def test_without_the_key_all_time_steps_stay():
    head = spiking_module(LINEAR, SFA2)
    assert head((torch.rand(6, 6), )).shape == (6, 3)


@pytest.mark.parametrize('neuron', [
    dict(SFA2, timesteps=1), dict(type='ReLU')])
def test_nothing_to_merge(neuron):
    head = spiking_module(LINEAR, neuron, mean_over_time=True)
    assert type(head) is MODELS.get('mmpretrain.LinearClsHead')
    assert head((torch.rand(6, 6), )).shape == (6, 3)


def test_heads_that_call_forward_themselves():
    head = spiking_module(dict(type=TwoBranches), SFA2, mean_over_time=True)
    feats = [torch.rand(4, 4, s, s) for s in (4, 2)]
    for outs in (head(feats), head.loss(feats)):
        for part, channels in zip(outs, (2, 4)):
            assert [tuple(x.shape) for x in part] == [
                (2, channels, 4, 4), (2, channels, 2, 2)]
    assert torch.equal(head(feats)[0][0], head.loss(feats)[0][0])


def test_one_class_for_each_class():
    heads = [spiking_module(LINEAR, SFA2, mean_over_time=True) for _ in '12']
    other = spiking_module(dict(type=TwoBranches), SFA2, mean_over_time=True)
    assert type(heads[0]) is type(heads[1]) is not type(other)
    # The class that is wrapped is not changed itself.
    plain = TwoBranches()
    assert len(plain([torch.rand(4, 4, 1, 1)])[0][0]) == 4


@pytest.mark.parametrize('again', [
    copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_merge_too(again):
    head = spiking_module(LINEAR, SFA2, mean_over_time=True)
    other = again(head)
    x = torch.rand(4, 6)
    assert type(other) is type(head) and other.fc is not head.fc
    assert torch.equal(other((x, )), head((x, )))


def segmentor(steps, merge_in_neck):
    neuron = dict(SFA2, timesteps=steps)
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='mmseg.EncoderDecoder',
            backbone=dict(
                type='mmsnn.ESpikeFormer',
                arch=dict(embed_dims=WIDTHS, depths=[1] * 5),
                out_indices=(1, 2, 3, 4),
                neuron=neuron),
            neck=dict(
                type='mmsnn.SpikingModule',
                neuron=neuron,
                mean_over_time=merge_in_neck,
                module=dict(type='mmseg.FPN', in_channels=WIDTHS,
                            out_channels=8, num_outs=4)),
            decode_head=dict(
                type='mmsnn.SpikingModule',
                neuron=dict(neuron, timesteps=1) if merge_in_neck else neuron,
                mean_over_time=True,
                module=dict(
                    type='mmseg.FPNHead', in_channels=[8] * 4,
                    in_index=[0, 1, 2, 3], feature_strides=[4, 8, 16, 16],
                    channels=8, num_classes=5, norm_cfg=dict(type='BN'),
                    align_corners=False))))


@pytest.mark.parametrize('merge_in_neck', [False, True])
@pytest.mark.parametrize('shape', [(2, 3, 32, 32), (2, 2, 3, 32, 32)])
def test_a_segmentor_over_time(shape, merge_in_neck):
    sample = pytest.importorskip('mmseg.structures').SegDataSample
    model = segmentor(2, merge_in_neck)
    x = torch.rand(*shape)
    assert model(x, mode='tensor').shape == (2, 5, 8, 8)
    targets = [
        sample(gt_sem_seg=PixelData(data=torch.zeros(1, 32, 32).long()))
        for _ in range(2)]
    losses = model(x, targets, mode='loss')
    assert losses['decode.loss_ce'] > 0


def test_a_detector_over_time():
    pytest.importorskip('mmdet.models')
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData
    model = MODELS.build(
        dict(
            type='mmdet.RetinaNet',
            backbone=dict(
                type='mmsnn.MetaSpikeFormer',
                arch=dict(embed_dims=WIDTHS, depths=[1] * 5),
                out_indices=(1, 2, 3, 4),
                neuron=dict(type='mmsnn.LIFNeuron', timesteps=2)),
            neck=dict(
                type='mmsnn.SpikingModule',
                neuron=SFA2,
                module=dict(type='mmdet.FPN', in_channels=WIDTHS,
                            out_channels=8, num_outs=4)),
            bbox_head=dict(
                type='mmsnn.SpikingModule',
                neuron=SFA2,
                mean_over_time=True,
                module=dict(
                    type='mmdet.RetinaHead', num_classes=3, in_channels=8,
                    feat_channels=8, stacked_convs=1,
                    anchor_generator=dict(
                        type='mmdet.AnchorGenerator',
                        octave_base_scale=4, scales_per_octave=1,
                        ratios=[1.], strides=[4, 8, 16, 16]))),
            train_cfg=dict(
                assigner=dict(
                    type='mmdet.MaxIoUAssigner', pos_iou_thr=0.5,
                    neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1),
                allowed_border=-1, pos_weight=-1, debug=False)))
    targets = []
    for _ in range(2):
        boxes = InstanceData(
            bboxes=torch.tensor([[2., 2., 18., 18.]]),
            labels=torch.tensor([1]))
        targets.append(
            DetDataSample(
                gt_instances=boxes,
                metainfo=dict(img_shape=(32, 32), pad_shape=(32, 32),
                              batch_input_shape=(32, 32))))
    for shape in ((2, 3, 32, 32), (2, 2, 3, 32, 32)):
        losses = model(torch.rand(*shape), targets, mode='loss')
        assert sum(x for part in losses.values() for x in part) > 0
        scores, _ = model(torch.rand(*shape), mode='tensor')
        assert [tuple(x.shape) for x in scores] == [
            (2, 3, 8, 8), (2, 3, 4, 4), (2, 3, 2, 2), (2, 3, 2, 2)]
