"""What the command-line tools share."""

import argparse

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmsnn.engine.cli import (
    add_common_arguments,
    enable_amp,
    enable_output,
    enable_painting,
    enable_tta,
    load_config,
)


def load(path, *options):
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    add_common_arguments(parser)
    return load_config(parser.parse_args([str(path), *options]))


def write(tmp_path, text, scope='mmseg'):
    path = tmp_path / 'some_config.py'
    path.write_text(f"default_scope = '{scope}'\n{text}")
    return path


@pytest.mark.parametrize('text, options, expected', [
    ('', [], 'work_dirs/some_config'),
    ("work_dir = 'a'", [], 'a'),
    ("work_dir = 'a'", ['--work-dir', 'b'], 'b'),
    ("work_dir = 'a'", ['--cfg-options', 'work_dir=c'], 'c'),
    ('', ['--cfg-options', 'work_dir=c', '--work-dir', 'b'], 'b'),
])
def test_work_dir_priority(tmp_path, text, options, expected):
    assert load(write(tmp_path, text), *options).work_dir == expected


def test_loader_defaults_are_for_mmpretrain_only(tmp_path):
    text = ('train_dataloader = dict(num_workers=2)\n'
            'val_dataloader = dict(num_workers=0)\n'
            'test_dataloader = dict(pin_memory=False, collate_fn=1)\n')
    cfg = load(write(tmp_path, text, 'mmseg'))
    assert cfg.train_dataloader == dict(num_workers=2)
    cfg = load(write(tmp_path, text, 'mmpretrain'), '--cfg-options',
               'train_dataloader.num_workers=0')
    assert cfg.train_dataloader.collate_fn == dict(type='default_collate')
    assert cfg.train_dataloader.pin_memory is torch.cuda.is_available()
    assert not cfg.train_dataloader.persistent_workers
    assert not cfg.val_dataloader.persistent_workers
    assert cfg.test_dataloader.collate_fn == 1
    assert cfg.test_dataloader.pin_memory is False
    cfg = load(write(tmp_path, text, 'mmpretrain'))
    assert cfg.train_dataloader.persistent_workers


def test_an_unknown_scope_is_named(tmp_path):
    with pytest.raises(ValueError, match="mmseg, got 'mmpose'"):
        load(write(tmp_path, '', 'mmpose'))


def test_amp_without_accelerator_is_refused():
    if torch.cuda.is_available():
        pytest.skip('for machines without an accelerator')
    with pytest.raises(RuntimeError, match='--amp needs an accelerator'):
        enable_amp(Config(dict(optim_wrapper=dict(type='OptimWrapper'))))


def test_tta_averages_an_image_with_its_mirror_image():
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    cfg = Config(
        dict(
            default_scope='mmseg',
            model=dict(type='EncoderDecoder'),
            test_dataloader=dict(
                dataset=dict(
                    type='RepeatDataset', dataset=dict(pipeline=pipeline)))))
    enable_tta(cfg)
    found = cfg.test_dataloader.dataset.dataset.pipeline
    assert found[0] == pipeline[0]
    # The untouched image first: its ground truth is the one that is kept.
    assert found[1].transforms[0] == [
        dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)]
    assert found[1].transforms[1] == [pipeline[1]]
    assert cfg.model == dict(
        type='mmseg.SegTTAModel', module=dict(type='EncoderDecoder'))


def test_tta_of_the_config_is_kept():
    own = [dict(type='TestTimeAug')]
    cfg = Config(
        dict(
            default_scope='mmpretrain', model=dict(type='A'),
            tta_model=dict(type='B'), tta_pipeline=own,
            test_dataloader=dict(dataset=dict(pipeline=[]))))
    enable_tta(cfg)
    assert cfg.test_dataloader.dataset.pipeline == own
    assert cfg.model == dict(type='B', module=dict(type='A'))


def test_tta_of_masks_is_refused():
    model = dict(
        type='MaskRCNN', roi_head=dict(type='StandardRoIHead', mask_head={}))
    cfg = Config(
        dict(
            default_scope='mmdet', model=model,
            test_dataloader=dict(dataset=dict(pipeline=[dict(type='A')]))))
    with pytest.raises(ValueError, match=r'model\.roi_head\.mask_head'):
        enable_tta(cfg)
    cfg.tta_model = dict(type='mmdet.MergesMasks')
    enable_tta(cfg)
    assert cfg.model == dict(type='mmdet.MergesMasks', module=model)


def test_output_is_checked_before_anything_runs():
    cfg = Config(dict(default_scope='mmdet', test_evaluator=dict()))
    with pytest.raises(ValueError, match=r'\.pkl .* got preds\.txt'):
        enable_output(cfg, 'preds.txt')
    with pytest.raises(ValueError, match='folder'):
        enable_output(cfg, 'preds')
    cfg = Config(dict(default_scope='mmseg', test_evaluator=dict()))
    assert enable_output(cfg, 'preds') is Runner.test
    assert cfg.test_evaluator.output_dir == 'preds'


def test_painting_needs_a_hook():
    with pytest.raises(KeyError, match='visualization'):
        enable_painting(Config(dict(default_hooks=dict())), 'out')
