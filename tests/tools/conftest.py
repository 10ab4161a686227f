"""Tiny configs with upstream's own models, and a way to run the tools."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Scenes small enough for a test, two training iterations a run.
COMMON = '''
scenes = dict(size=32, digit_height=(16, 24), train=8, val=4, cls_size=32)
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False,
    dataset=dict(scenes=scenes))
val_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False,
    dataset=dict(scenes=scenes))
test_dataloader = val_dataloader
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=2, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2),
    logger=dict(type='LoggerHook', interval=1))
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
'''
MODELS = dict(
    cls='''
train_dataloader['sampler'] = dict(type='DefaultSampler', shuffle=True)
train_dataloader['dataset']['indices'] = 8
val_dataloader['dataset']['indices'] = 4
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=10, in_channels=64, topk=(1, ),
        loss=dict(type='CrossEntropyLoss')))
''',
    det='''
model = dict(
    type='RetinaNet',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[123., 116., 103.],
        std=[58., 57., 57.], bgr_to_rgb=True, pad_size_divisor=32),
    backbone=dict(
        type='ResNet', depth=18, base_channels=8, stem_channels=8,
        norm_cfg=dict(type='SyncBN')),
    neck=dict(
        type='FPN', in_channels=[8, 16, 32, 64], out_channels=8, num_outs=4),
    bbox_head=dict(
        type='RetinaHead', num_classes=10, in_channels=8, stacked_convs=1,
        feat_channels=8,
        anchor_generator=dict(
            type='AnchorGenerator', ratios=[1.0], strides=[4, 8, 16, 32],
            octave_base_scale=4, scales_per_octave=1),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder')),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4),
        sampler=dict(type='PseudoSampler'), pos_weight=-1,
        allowed_border=-1, debug=False),
    test_cfg=dict(
        nms_pre=10, min_bbox_size=0, score_thr=0.,
        nms=dict(type='nms', iou_threshold=0.5), max_per_img=3))
''',
    seg='''
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', size=(32, 32), seg_pad_val=255),
    backbone=dict(
        type='ResNet', depth=18, base_channels=8, stem_channels=8,
        norm_cfg=dict(type='SyncBN')),
    decode_head=dict(
        type='FCNHead', in_channels=64, channels=8, num_convs=1,
        norm_cfg=dict(type='SyncBN'), num_classes=11),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
''')
RUNTIMES = dict(
    cls='mmpretrain::_base_/default_runtime.py',
    det='mmdet::_base_/default_runtime.py',
    seg=f'{ROOT}/configs/_base_/mmseg_runtime.py')


@pytest.fixture
def write_config(tmp_path):
    """Write the tiny config of a task; return its path."""

    def write(task):
        path = tmp_path / f'tiny_{task}.py'
        base = f'{ROOT}/configs/_base_/datasets/digit_scenes_{task}.py'
        path.write_text(f'_base_ = [{base!r}, {RUNTIMES[task]!r}]' + COMMON +
                        MODELS[task])
        return path

    return write


@pytest.fixture
def run(tmp_path):
    """Run a command in an empty folder, as a user would; return its log."""

    def call(*command, check=True, **environ):
        if str(command[0]).endswith('.py'):
            command = [sys.executable, ROOT / 'tools' / command[0],
                       *command[1:]]
        env = dict(
            os.environ, PYTHONPATH=str(ROOT), PYTHON=sys.executable,
            OMP_NUM_THREADS='1', **environ)
        done = subprocess.run(
            [str(word) for word in command], cwd=tmp_path, env=env,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, timeout=300)
        assert not check or done.returncode == 0, done.stdout[-5000:]
        return done.stdout

    return call
