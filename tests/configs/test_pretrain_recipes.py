"""configs/pretrain: what names say, the published recipe, one epoch each of
pre-training, fine-tuning and probing."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmsnn.engine.cli import build_runner

pytest.importorskip('mmpretrain')

ROOT = Path(__file__).parents[2]
CONFIGS = {path.stem: path for path in sorted(
    ROOT.glob('configs/pretrain/*.py'))}
PRETRAINING = [name for name in CONFIGS if name.startswith('spark-')]
AFTER = [name for name in CONFIGS if '-pre_' in name]
BASELINE = 'spark-espikeformer-10m_sfa4_8xb256-200e_in1k'
STATED = {model['Name']: model['Metadata'] for model in yaml.safe_load(
    (ROOT / 'configs/pretrain/metafile.yml').read_text())['Models']}


def read(name: str) -> Config:
    return Config.fromfile(CONFIGS[name])


def build(cfg: Config):
    """Without memory."""
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope(
            cfg.default_scope), torch.device('meta'):
        return MODELS.build(cfg.model)


def pretraining_of(name: str) -> str:
    """The config whose checkpoint another one reads."""
    folder, file = Path(
        read(name).model.backbone.init_cfg.checkpoint).parts[1:]
    assert file == f'epoch_{read(folder).train_cfg.max_epochs}.pth'
    return folder


def test_every_config_is_one_of_both_kinds():
    assert sorted(PRETRAINING + AFTER) == sorted(CONFIGS)


@pytest.mark.parametrize('name', CONFIGS)
def test_name_says_what_the_config_does(name):
    cfg, stated = read(name), STATED[name]
    gpus, batch, epochs = map(int, re.search(
        r'_(\d+)xb(\d+)-(?:linear-)?(\d+)e_', name).groups())
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.train_cfg.max_epochs == epochs == stated['Epochs']
    assert stated['Batch Size'] == gpus * batch
    if '_in1k' in name:
        assert cfg.auto_scale_lr.base_batch_size == gpus * batch
    neuron = dict(cfg.model.backbone.neuron)
    kind, number = re.search(r'_(sfa|lif-t)(\d)', name).groups()
    assert neuron == (
        dict(type='mmsnn.SFANeuron', max_spikes=int(number)) if kind == 'sfa'
        else dict(type='mmsnn.LIFNeuron', timesteps=int(number)))
    arch = re.search(r'espikeformer-(\w+?)_', name).group(1)
    assert arch == 'tiny' or cfg.model.backbone.arch == arch
    assert stated['Parameters'] == sum(
        p.numel() for p in build(cfg).parameters())


@pytest.mark.parametrize('name', PRETRAINING)
def test_pretraining_as_published(name):
    cfg = read(name)
    assert not any(cfg.get(f'{split}_{key}') for split in ('val', 'test')
                   for key in ('cfg', 'dataloader', 'evaluator'))
    assert (cfg.model.patch_size, cfg.model.backbone.type) == (
        16, 'mmsnn.MaskedESpikeFormer')
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.betas) == ('AdamW', (0.9, 0.95))
    assert [hook.type for hook in cfg.custom_hooks] == [
        'mmsnn.EffectiveRankHook', 'mmsnn.ReconstructionHook']
    if '_in1k' in name:
        images = cfg.auto_scale_lr.base_batch_size
        assert optimizer.lr == pytest.approx(1.5e-4 * images / 256)
        assert cfg.train_cfg.max_epochs == 200
        warm_up, cosine = cfg.param_scheduler
        assert (warm_up.end, cosine.begin) == (20, 20)
        crop = cfg.train_dataloader.dataset.pipeline[1]
        assert (crop.type, crop.scale) == ('RandomResizedCrop', 224)
    if name in [pretraining_of(other) for other in AFTER]:
        assert cfg.model.mask_ratio == 0.5
        assert cfg.model.backbone.get('ssc', True)


@pytest.mark.parametrize('name', [
    n for n in PRETRAINING if '-10m_' in n and n != BASELINE])
def test_ablations_change_one_key(name):
    baseline, cfg = (read(n).model.to_dict() for n in (BASELINE, name))
    if 'multiscale' in name:
        assert cfg['neck']['type'] == 'mmsnn.MultiScaleDecoder'
        cfg['neck'] = baseline['neck']
        del cfg['backbone']['out_indices']
        assert cfg == baseline
        return
    changed = {
        'mask': lambda n: baseline.update(mask_ratio=n / 100),
        'depth': lambda n: baseline['neck'].update(depth=n),
        'width': lambda n: baseline['neck'].update(embed_dims=n),
        'no-ssc': lambda n: baseline['backbone'].update(ssc=False),
        'lif-t': lambda n: baseline['backbone'].update(
            neuron=dict(type='mmsnn.LIFNeuron', timesteps=n)),
    }
    key, number = re.search(
        r'_(?:sfa4-)?(mask|depth|width|no-ssc|lif-t)(\d*)_', name).groups()
    changed[key](int(number or 0))
    assert cfg == baseline


@pytest.mark.parametrize('name', AFTER)
def test_encoder_is_the_pretrained_one(name):
    before = build(read(pretraining_of(name))).backbone
    cfg = read(name)
    assert cfg.model.backbone.init_cfg.prefix == 'backbone.'
    model = build(cfg)
    loaded, own = before.state_dict(), model.backbone.state_dict()
    new = own.keys() - loaded.keys()
    assert not loaded.keys() - own.keys()
    assert all('.layer_scales.' in key for key in new)
    assert all(own[key].shape == value.shape for key, value in loaded.items())
    if '-linear-' in name:
        assert not new
        assert {key for key, p in model.named_parameters()
                if p.requires_grad} == {'head.fc.weight', 'head.fc.bias'}
        assert not any(m.training for m in model.backbone.train().stages)
    else:
        assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == 0.75
        assert all(p.requires_grad for p in model.parameters())


@pytest.fixture
def images(tmp_path, monkeypatch):
    """CIFAR-10 with two images to train on and one to test on per class."""
    for split, number in (('train', 2), ('test', 1)):
        for label in range(10):
            folder = tmp_path / 'data/cifar10_12k' / split / f'{label}'
            folder.mkdir(parents=True)
            for i in range(number):
                cv2.imwrite(str(folder / f'{i}.jpg'), np.random.randint(
                    0, 256, (32, 32, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MMSNN_DATA', str(tmp_path / 'data'))


SMALL = [
    'train_cfg.max_epochs=1',
    'train_dataloader.batch_size=10',
    'model.backbone.arch.embed_dims=[8,8,16,16]',
    'model.backbone.arch.depths=[0,0,0,1,1]',
    # The schedule would be in its warm-up.
    'param_scheduler=None']
TWINS = [name for name in CONFIGS if 'cifar10' in name]


def one_epoch(name, options, from_command_line):
    runner = build_runner(from_command_line(
        CONFIGS[name], SMALL + options))
    runner.train()
    return runner


def test_twins_train_one_after_the_other(images, from_command_line, tmp_path,
                                         validate_one_answer):
    first, = set(TWINS) & set(PRETRAINING)
    encoder = one_epoch(first, [
        'model.neck.in_channels=16', 'model.neck.embed_dims=16',
        'custom_hooks.0.interval=1', 'custom_hooks.1.interval=1'],
        from_command_line).model.backbone.state_dict()
    assert (tmp_path / 'work/reconstructions/epoch_1.png').exists()
    weights = (tmp_path / 'work/epoch_1.pth').rename(tmp_path / 'first.pth')
    for name in sorted(set(TWINS) - {first}):
        probe = '-linear-' in name
        runner = one_epoch(name, [
            'train_cfg.val_interval=1',
            f'model.backbone.init_cfg.checkpoint={weights}',
            *(['model.neck.input_features=16', 'model.head.in_channels=16']
              if probe else ['model.head.module.in_channels=16'])],
            from_command_line)
        found = runner.model.backbone.state_dict()
        same = [torch.equal(found[key], encoder[key]) for key in encoder]
        # The frozen encoder is that of pre-training, to the last bit.
        assert all(same) if probe else not any(
            torch.equal(found[key], encoder[key]) for key in encoder
            if key.endswith('conv.weight'))
        assert 'val/accuracy/top1' in runner.message_hub.log_scalars
        scores = validate_one_answer(runner, [runner.model.head.fc], 3)
        assert scores['accuracy/top1'] == 10  # one of ten images
