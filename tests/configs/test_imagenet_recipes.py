"""The ImageNet recipes: what their names say, learning rates, one epoch."""

import argparse
import copy
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from mmsnn.engine.cli import build_runner, load_config

mmpretrain = pytest.importorskip('mmpretrain')

ROOT = Path(__file__).parents[2]
CONFIGS = {path.stem: path for path in sorted(
    ROOT.glob('configs/*spikeformer/*_in1k*.py'))}
BASE = dict(embed_dims=[8, 8, 16, 16], depths=[1, 1, 1, 1, 1], num_heads=2)
LARGE = dict(family='large', embed_dims=[8, 16, 32], depths=[1, 1, 1, 2],
             num_heads=2)
#: One recipe of each kind, its tiny arch and the width that its head sees.
KINDS = {
    'espikeformer-10m_sfa4_8xb256-200e_in1k': (BASE, 16),
    'espikeformer-83m_sfa8_8xb128-150e_in1k': (LARGE, 32),
    'espikeformer-83m_sfa8-distill_8xb128-100e_in1k': (LARGE, 32),
    'espikeformer-83m_sfa8-distill_32xb32-100e_in1k-384px': (LARGE, 32),
    'metaspikeformer-15m_lif-t4_8xb64-accum4-200e_in1k': (BASE, 16),
    'metaspikeformer-31m_lif-t1_8xb256-200e_in1k': (BASE, 16),
    'metaspikeformer-55m_sfa4_8xb256-200e_in1k': (BASE, 16),
}
TEACHER = dict(
    _delete_=True,
    type='ImageClassifier',
    backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=8,
                  stem_channels=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=64))


def shrunk(name: str) -> Config:
    """A recipe with a tiny network and a tiny teacher."""
    arch, width = KINDS[name]
    cfg = Config.fromfile(CONFIGS[name])
    cfg.model.backbone.arch = arch
    head = cfg.model.head.get('module', cfg.model.head)
    head.in_channels = width
    if 'teacher' in cfg.model:
        cfg.merge_from_dict({'model.teacher': TEACHER})
    return cfg


@pytest.mark.parametrize('name', CONFIGS)
def test_name_says_what_the_config_does(name):
    cfg = Config.fromfile(CONFIGS[name])
    gpus, batch, accumulated, epochs = re.search(
        r'_(\d+)xb(\d+)(?:-accum(\d+))?-(\d+)e_', name).groups()
    assert cfg.train_dataloader.batch_size == int(batch)
    assert cfg.train_cfg.max_epochs == int(epochs)
    counts = cfg.optim_wrapper.get('accumulative_counts', 1)
    assert counts == int(accumulated or 1)
    images = int(gpus) * int(batch) * counts
    # mmengine does not count accumulated batches when it scales.
    assert cfg.auto_scale_lr.base_batch_size * counts == images
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.trust_clip) == ('Lamb', True)
    assert optimizer.lr == pytest.approx(
        1e-3 if 'distill' in name else 6e-4 * images / 256)

    neuron = dict(cfg.model.backbone.neuron)
    kind, number = re.search(r'_(sfa|lif-t)(\d)', name).groups()
    if kind == 'sfa':
        assert neuron == dict(type='mmsnn.SFANeuron', max_spikes=int(number))
    else:
        assert neuron == dict(type='mmsnn.LIFNeuron', timesteps=int(number))
    # What --cfg-options neuron... changes is what the model has.
    assert cfg.get('neuron', neuron) == neuron
    if 'neuron' in cfg.model.head:
        head = dict(cfg.model.head.neuron)
        assert head.pop('scale', 1.) == 1.
        assert head == neuron
    size = 384 if name.endswith('-384px') else 224
    sizes = {step.get('scale', step.get('crop_size'))
             for step in cfg.train_dataloader.dataset.pipeline
             + cfg.val_dataloader.dataset.pipeline
             if step.type in ('RandomResizedCrop', 'CenterCrop')}
    assert sizes == {size}


@pytest.mark.parametrize('name', [n for n in CONFIGS if 'm_sfa4_8xb128' in n])
def test_fine_tuning_as_published(name):
    cfg = Config.fromfile(CONFIGS[name])
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == 0.75
    assert cfg.model.backbone.drop_path_rate == 0.1
    assert cfg.model.train_cfg.augments == [
        dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert steps['RandAugment'].magnitude_level == 9
    assert steps['RandomErasing'].erase_prob == 0.25
    average, = cfg.custom_hooks
    assert average.type == 'EMAHook'
    assert 1 - average.momentum == pytest.approx(0.99996)


@pytest.mark.parametrize('name', [n for n in KINDS if '83m' in n])
def test_learning_rates_decay_by_layer(name):
    cfg = shrunk(name)
    cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = mmpretrain.get_model(cfg)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    groups = {group['param_name']: group
              for group in wrapper.optimizer.param_groups}
    assert set(groups) == {name for name, _ in model.named_parameters()}
    base = cfg.optim_wrapper.optimizer.lr

    def steps(part):
        """By how many factors of 0.75 the parameters of a part are slowed."""
        found = {round(np.log(group['lr'] / base) / np.log(0.75), 6)
                 for key, group in groups.items() if key.startswith(part)}
        assert len(found) == 1, f'{part}: {found}'
        return found.pop()

    # The head learns at the full rate, then one factor per block.
    assert steps('head.') == 0
    assert steps('backbone.stages.3.blocks.1.') == 1
    assert steps('backbone.stages.3.blocks.0.') == 2
    assert steps('backbone.stages.0.downsample.') == max(
        steps(key) for key in groups)
    for key, group in groups.items():
        decayed = key.endswith('weight') and model.get_parameter(key).dim() > 1
        assert group['weight_decay'] == (0.05 if decayed else 0), key


@pytest.fixture
def imagenet(tmp_path):
    """Four images to train on and two to validate on."""
    for split, number in (('train', 4), ('val', 2)):
        lines = []
        for i in range(number):
            path = tmp_path / split / f'{i}.JPEG'
            path.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(path), np.random.randint(
                0, 256, (40, 48, 3), np.uint8))
            lines.append(f'{path.name} {i * 300}\n')
        (tmp_path / 'meta').mkdir(exist_ok=True)
        (tmp_path / 'meta' / f'{split}.txt').write_text(''.join(lines))
    return tmp_path


@pytest.mark.parametrize('name', KINDS)
def test_one_epoch(name, imagenet, validate_one_answer):
    cfg = shrunk(name)
    loader = dict(batch_size=2, num_workers=0,
                  dataset=dict(data_root=str(imagenet)))
    cfg.merge_from_dict(dict(
        train_dataloader=loader, val_dataloader=loader,
        test_dataloader=loader,
        train_cfg=dict(max_epochs=1, val_interval=1),
        # The last epoch of a warm-up that is longer than the training.
        param_scheduler=[dict(type='LinearLR', by_epoch=True, end=1,
                              convert_to_iter_based=True)]))
    path = imagenet / f'{name}.py'
    cfg.dump(path)
    runner = build_runner(load_config(argparse.Namespace(
        config=str(path), cfg_options=None, launcher='none', local_rank=0,
        work_dir=str(imagenet / 'work'))))
    model = runner.model
    before = copy.deepcopy(model.state_dict())
    distilled = 'teacher' in cfg.model
    taught_by = copy.deepcopy(model.teacher.state_dict()) if distilled else {}
    runner.train()
    changed = {key for key, value in model.state_dict().items()
               if not torch.equal(before[key], value)}
    assert any(key.startswith('head.') for key in changed)
    assert any(key.startswith('backbone.stages.0.') for key in changed)
    for key, value in taught_by.items():
        assert torch.equal(model.teacher.state_dict()[key], value), key
    losses = {key for key in runner.message_hub.log_scalars
              if key.startswith('train/loss')}
    assert ('train/loss_kd' in losses) == distilled
    size = 384 if name.endswith('-384px') else 224
    assert (imagenet / 'work' / 'epoch_1.pth').exists()
    assert 'val/accuracy/top1' in runner.message_hub.log_scalars
    found = validate_one_answer(runner, [
        layer for layer in model.head.modules()
        if isinstance(layer, torch.nn.Linear)], 300)
    assert found['accuracy/top1'] == 50  # the classes are 0 and 300
    assert runner.val_dataloader.dataset[0]['inputs'].shape[-2:] == (
        size, size)


@pytest.mark.parametrize('name', [n for n in CONFIGS if 'distill' in n])
def test_teachers_of_timm(name):
    timm = pytest.importorskip('timm')
    cfg = Config.fromfile(CONFIGS[name])
    teacher = timm.get_pretrained_cfg(cfg.model.teacher.model_name)
    # The same classes, and the same normalised images.
    assert teacher.num_classes == 1000
    assert cfg.data_preprocessor.to_rgb
    for ours, theirs in ((cfg.data_preprocessor.mean, teacher.mean),
                         (cfg.data_preprocessor.std, teacher.std)):
        assert np.allclose(np.array(ours) / 255, theirs, atol=1e-3)
    size = 384 if name.endswith('-384px') else 224
    assert teacher.input_size == (3, size, size)

    cfg.model.teacher.pretrained = False  # nothing is downloaded
    with torch.device('meta'):
        model = mmpretrain.get_model(cfg)
    assert model.teacher.model.num_classes == model.head.num_classes
    assert not any(p.requires_grad for p in model.teacher.parameters())
