"""Values of a config that can not be are refused by their keys."""

import argparse
import os

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, MODELS
from torch import nn

from mmsnn.engine.cfg_options import CfgOptions
from mmsnn.engine.cli import load_config
from mmsnn.engine.config_values import (
    check_options,
    check_values,
    check_work_dir,
    naming_keys_of,
)

CONFIG = '''
default_scope = 'mmseg'
neuron = dict(type='mmsnn.SFANeuron', max_spikes=4)
model = dict(backbone=dict(type='mmsnn.ESpikeFormer', neuron=neuron,
                           drop_path_rate=0.1, out_indices=(1, 2)))
train_dataloader = dict(batch_size=2, num_workers=1, persistent_workers=True)
val_dataloader = dict(batch_size=2, num_workers=1)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=100, val_interval=10)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=10),
    dict(type='MultiStepLR', milestones=[20, 30], by_epoch=False)]
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=10))
randomness = dict(seed=0)
'''


def load(folder, *options, work_dir=None):
    (folder / 'tiny.py').write_text(CONFIG)
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions)
    args = parser.parse_args(['--cfg-options', *options] if options else [])
    args.config, args.work_dir = folder / 'tiny.py', work_dir
    args.launcher, args.local_rank = 'none', 0
    return load_config(args)


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize('option, said', [
    ('optim_wrapper.optimizer.lr=abc', 'has 0.001 there, .* a number'),
    ('optim_wrapper.optimizer.lr=-1', 'optimizer.lr must be a finite .* -1'),
    ('optim_wrapper.optimizer.lr=nan', 'optimizer.lr must be a finite'),
    ('optim_wrapper.optimizer.weight_decay=abc', 'weight_decay must be a fin'),
    ('train_dataloader.batch_size=many', 'has 2 there, .* a number'),
    ('val_dataloader.batch_size=0', 'val_dataloader.batch_size must be a pos'),
    ('train_dataloader.batch_size=1.5', 'must be a positive integer, but is'),
    ('train_dataloader.num_workers=-1', 'num_workers must be an integer of 0'),
    ('train_dataloader.persistent_workers=1', 'True there, .* True or False'),
    ('train_dataloader.pin_memory=yes', 'pin_memory must be True or False'),
    ('train_cfg.max_iters=0', 'train_cfg.max_iters must be a positive'),
    ('train_cfg.val_interval=x', 'has 10 there, which must be a number'),
    ('param_scheduler.1.milestones=x', 'must be a list of numbers'),
    ('param_scheduler.1.milestones=8', 'param_scheduler.1.milestones must be'),
    ('param_scheduler.0.begin=-1', 'param_scheduler.0.begin must be'),
    ('param_scheduler.0.by_epoch=0', 'has False there, .* True or False'),
    ('default_hooks.checkpoint.interval=1.5', 'interval must be an integer'),
    ('randomness.seed=abc', 'has 0 there, which must be a number'),
    ('neuron.max_spikes=four', 'has 4 there, which must be a number'),
    ('model.backbone.drop_path_rate=high', 'has 0.1 there'),
    ('model.backbone.out_indices=x', 'must be a list of numbers'),
    ('custom_hooks=[EMAHook]', 'custom_hooks must be a dict or a list of'),
    ('param_scheduler=LinearLR', 'param_scheduler must be a dict or a list'),
    ('optim_wrapper.optimizer=SGD', 'optim_wrapper.optimizer must be a dict'),
    ('optim_wrapper.paramwise_cfg=x', 'paramwise_cfg must be a dict, but'),
    ('val_dataloader.sampler=x', 'val_dataloader.sampler must be a dict'),
    ('train_dataloader.dataset=x', 'train_dataloader.dataset must be a dict'),
    ('default_hooks.logger=3', 'default_hooks.logger must be a dict, but'),
    ('log_level=FOO', 'log_level must be a level of logging such as INFO'),
    ('env_cfg.mp_cfg.mp_start_method=x', "must be 'fork', 'spawn' or 'fork"),
    ('env_cfg.dist_cfg.timeout=x', 'timeout must be a finite number'),
    ('find_unused_parameters=maybe', 'must be True or False'),
    ('optim_wrapper.optimizer.type=AdmaW', "'AdmaW' is .* mean 'AdamW'"),
    ('trian_cfg.max_iters=5', "no key trian_cfg .did you mean 'train_cfg'"),
])
def test_values_that_can_not_be(tmp_path, option, said):
    with pytest.raises(ValueError, match=said) as error:
        load(tmp_path, option)
    assert option.partition('=')[0] in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('option', [
    'custom_hooks=[dict(type=EMAHook)]', 'work_dir', 'a=(1,2',
    'custom_hooks=[a(b,c]d)]'
])
def test_options_that_can_not_be_read(tmp_path, option, capsys):
    with pytest.raises(SystemExit):
        load(tmp_path, 'randomness.seed=1', option)
    said = capsys.readouterr().err.splitlines()[-1]
    assert f'argument --cfg-options: {option} must be KEY=VALUE' in said


def test_values_that_can_be(tmp_path):
    cfg = load(
        tmp_path, 'train_cfg.max_iters=1e5', 'optim_wrapper.optimizer.lr=1',
        'val_dataloader.batch_size=8.0', 'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False', 'load_from=a.pth',
        'param_scheduler.1.milestones=[5,6]', 'randomness.seed=None',
        'model.backbone.out_indices=3', 'log_level=10',
        'find_unused_parameters=True')
    assert cfg.train_cfg.max_iters == 100000
    assert type(cfg.train_cfg.max_iters) is int
    assert type(cfg.val_dataloader.batch_size) is int
    assert cfg.optim_wrapper.optimizer.lr == 1
    assert cfg.param_scheduler[1].milestones == [5, 6]
    assert cfg.log_level == 10
    assert cfg.randomness.seed is None and cfg.load_from == 'a.pth'


@pytest.mark.parametrize('place', ['file', 'file/below/more'])
def test_a_work_dir_that_is_a_file(tmp_path, place):
    (tmp_path / 'file').touch()
    with pytest.raises(NotADirectoryError,
                       match=f'work_dir = {place}: .*file is a file; .*-work'):
        load(tmp_path, work_dir=place)
    with pytest.raises(NotADirectoryError, match='work_dir'):
        load(tmp_path, f'work_dir={place}')
    assert load(tmp_path, work_dir='a/b').work_dir == 'a/b'
    assert not (tmp_path / 'a').exists()


def test_a_work_dir_that_can_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    with pytest.raises(PermissionError, match='work_dir = .*new: nothing can '
                       f'be written into {tmp_path};'):
        check_work_dir(str(tmp_path / 'new'))


PARTS = dict(
    model=dict(type='mmsnn.ESpikeFormer', arch='10m',
               neuron=dict(type='mmsnn.SFANeuron', max_spikes=4)),
    optim_wrapper=dict(type='OptimWrapper',
                       optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
    custom_hooks=[dict(type='mmsnn.FreezeHook', modules=['0']),
                  dict(type='mmsnn.FreezeHook', modules=['1'])])


def build(cfg):
    MODELS.build(cfg.model)
    build_optim_wrapper(nn.Linear(1, 1), cfg.optim_wrapper)
    for hook in cfg.custom_hooks:
        HOOKS.build(hook)


@pytest.mark.parametrize('key, value, said', [
    ('optim_wrapper.optimizer.lr', 'x', r'optim_wrapper.optimizer \(SGD; '
     r'--cfg-options optim_wrapper.optimizer.lr=x\): .* not supported'),
    ('optim_wrapper.clip_grad', 5, r'optim_wrapper \(OptimWrapper; .*'),
    ('optim_wrapper.clip', 5, r"optim_wrapper \(OptimWrapper; .*'clip'"),
    ('model.arch', 'huge', r'model \(mmsnn.ESpikeFormer; .*huge.*choose'),
    ('model.neuron.max_spikes', -4, r'model\S* \(mmsnn.*neuron.max_spikes'),
    ('custom_hooks.1.modul', 5, r'custom_hooks.1 \(mmsnn.FreezeHook; .*modul'),
])
def test_what_can_not_be_built_is_named(key, value, said):
    cfg = Config(PARTS)
    build(cfg)
    options = {key: value}
    cfg.merge_from_dict(options)
    with pytest.raises(ValueError, match=f'^{said}') as error, naming_keys_of(
            cfg, options):
        build(cfg)
    assert '\n' not in str(error.value)


def test_errors_of_other_kinds_are_left_alone():
    cfg = Config(PARTS)
    with pytest.raises(KeyError, match='no part of it'), naming_keys_of(cfg):
        raise KeyError('no part of it')
    with pytest.raises(TypeError), naming_keys_of(cfg):
        MODELS.build(dict(type='ReLU', sides=3))


def test_words_that_stand_for_numbers(tmp_path):
    text = CONFIG.replace("type='OptimWrapper'",
                          "type='AmpOptimWrapper', loss_scale=512.")
    (tmp_path / 'amp.py').write_text(text)
    options = argparse.Namespace(
        config=str(tmp_path / 'amp.py'), work_dir=str(tmp_path), local_rank=0,
        launcher='none', cfg_options={'optim_wrapper.loss_scale': 'dynamic'})
    assert load_config(options).optim_wrapper.loss_scale == 'dynamic'
    options.cfg_options = {'optim_wrapper.loss_scale': 'high'}
    with pytest.raises(ValueError, match='loss_scale=high.*a number'):
        load_config(options)


@pytest.mark.parametrize('key', ['model..backbone', '.model', 'model.', ''])
def test_keys_with_a_dot_too_many(key):
    with pytest.raises(ValueError, match='a name is missing beside a dot'):
        check_options(Config(dict(model=dict(depth=3))), {key: 3})


@pytest.mark.parametrize('key', ['model', 'train_dataloader', 'val_cfg'])
def test_a_number_in_place_of_a_part(key):
    with pytest.raises(ValueError, match=f'{key} must be a dict, but is 3'):
        check_values(Config({key: 3}))
    check_values(Config({key: None}))
