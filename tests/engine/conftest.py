"""Tiny spiking models of each framework, with weights in a file."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmsnn

ZOO = Path(mmsnn.ZOO) / 'configs'
CONFIGS = dict(
    mmpretrain=f'''
_base_ = [{str(ZOO / 'espikeformer' /
               'espikeformer-tiny_sfa4_1xb64-20e_digits-32x32.py')!r}]
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=[8, 8, 16, 16], depths=[1] * 5)),
    head=dict(module=dict(in_channels=16)))
''',
    mmseg=f'''
_base_ = [{str(ZOO / 'semantic_fpn' / 'espikeformer-tiny_semantic-fpn_'
               'sfa4_1xb8-2400i_digits-64x64.py')!r}]
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=[8, 8, 16, 16], depths=[1] * 5)),
    neck=dict(module=dict(in_channels=[8, 8, 16, 16], out_channels=8)),
    decode_head=dict(module=dict(in_channels=[8] * 4, channels=8)))
''',
    mmdet=f'''
_base_ = [{str(ZOO / '_base_' / 'datasets' / 'digit_scenes_det.py')!r},
          'mmdet::_base_/default_runtime.py']
neuron = dict(type='mmsnn.SFANeuron', max_spikes=3)
model = dict(
    type='RetinaNet',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[123., 116., 103.],
        std=[58., 57., 57.], bgr_to_rgb=True, pad_size_divisor=32),
    backbone=dict(
        type='mmsnn.ESpikeFormer', out_indices=(1, 2, 3, 4), neuron=neuron,
        arch=dict(embed_dims=[8, 8, 16, 16], depths=[1] * 5)),
    neck=dict(
        type='mmsnn.SpikingModule', neuron=neuron, module=dict(
            type='mmdet.FPN', in_channels=[8, 8, 16, 16], out_channels=8,
            num_outs=4)),
    bbox_head=dict(
        type='mmsnn.SpikingModule', neuron=neuron, module=dict(
            type='mmdet.RetinaHead', num_classes=10, in_channels=8,
            stacked_convs=1, feat_channels=8,
            anchor_generator=dict(
                type='AnchorGenerator', ratios=[1.0], strides=[4, 8, 16, 16],
                octave_base_scale=4, scales_per_octave=1),
            bbox_coder=dict(type='DeltaXYWHBBoxCoder'))),
    train_cfg=None,
    test_cfg=dict(
        nms_pre=100, min_bbox_size=0, score_thr=0.,
        nms=dict(type='nms', iou_threshold=0.5), max_per_img=3))
''')


@pytest.fixture
def image(tmp_path):
    """An image file of blurred noise, 40 pixels high and 64 wide."""
    noise = np.random.default_rng(0).integers(0, 256, (10, 16, 3), np.uint8)
    path = tmp_path / 'noise.png'
    cv2.imwrite(str(path), cv2.resize(noise, (64, 40)))
    return path


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Write config and weights of a tiny model as a Runner leaves them;
    return both paths."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('MMSNN_DATA', raising=False)

    def write(scope, **meta):
        config = tmp_path / f'{scope}_config.py'
        config.write_text(CONFIGS[scope])
        with DefaultScope.overwrite_default_scope(scope):
            model = MODELS.build(Config.fromfile(config).model)
        for module in model.modules():  # so that many neurons fire
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.bias, -.5, 1.5)
        checkpoint = tmp_path / f'{scope}.pth'
        torch.save(
            dict(meta=meta, state_dict=model.state_dict()), checkpoint)
        return config, checkpoint

    return write
