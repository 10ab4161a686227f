"""Masked pre-training by tools/train.py, then what fine-tuning loads."""

import logging
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import load_checkpoint

import mmsnn  # noqa: F401

ARCHS = dict(
    base=dict(embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 1, 1]),
    large=dict(family='large', embed_dims=[8, 16, 24], depths=[1, 1, 1, 1]))
PRETRAIN = '''
model = dict(
    _delete_=True,
    type='mmsnn.SpikeSparK',
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor', mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375], to_rgb=True),
    backbone=dict(type='mmsnn.MaskedESpikeFormer', arch={arch}))
val_cfg = val_dataloader = val_evaluator = None
test_cfg = test_dataloader = test_evaluator = None
'''


@pytest.fixture(params=list(ARCHS))
def pretrained(request, write_config, run, tmp_path):
    """Arch, and a checkpoint of two iterations."""
    arch = ARCHS[request.param]
    config = tmp_path / 'pretrain.py'
    config.write_text(f'_base_ = [{str(write_config("cls"))!r}]' +
                      PRETRAIN.format(arch=arch))
    log = run('train.py', config)
    assert 'Iter(train) [2/2]' in log and 'loss: ' in log
    return arch, tmp_path / 'work_dirs' / 'pretrain' / 'iter_2.pth'


@pytest.fixture
def warnings():
    """What loading has to say."""
    said = []

    class Handler(logging.Handler):

        def emit(self, record):
            if record.levelno >= logging.WARNING:
                said.append(record.getMessage())

    handler = Handler()
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield said
    logger.removeHandler(handler)


def finetuned(task, arch, write_config, checkpoint=None):
    """A model of each framework with our backbone."""
    pytest.importorskip(dict(cls='mmpretrain', det='mmdet', seg='mmseg')[task])
    config = Config.fromfile(write_config(task))
    init_default_scope(config.default_scope)
    model, widths = config.model, arch['embed_dims']
    last = len(widths)
    model.backbone = dict(
        type='mmsnn.ESpikeFormer', arch=arch,
        out_indices=tuple(range(1, last + 1)) if task == 'det' else last,
        init_cfg=checkpoint and dict(
            type='Pretrained', checkpoint=str(checkpoint),
            prefix='backbone.'))
    if task == 'cls':
        model.head.in_channels = widths[-1]
    elif task == 'det':
        model.neck.in_channels = widths
    else:
        model.decode_head.update(in_channels=widths[-1], in_index=0)
    return MODELS.build(model)


def test_fine_tuning(pretrained, write_config, warnings):
    arch, checkpoint = pretrained
    state = torch.load(checkpoint, weights_only=False)['state_dict']
    own = {k: v for k, v in state.items() if k.startswith('backbone.')}
    assert {k.split('.')[0] for k in state} == {'backbone', 'norm', 'neck'}
    for task in ('cls', 'det', 'seg'):
        # init_cfg: what loads is what was saved, and nothing else is told
        # than that layer scales are new.
        warnings.clear()
        model = finetuned(task, arch, write_config, checkpoint)
        model.init_weights()
        scales = [k for k in model.state_dict() if 'layer_scales' in k]
        assert bool(scales) == ('family' in arch)
        text = '\n'.join(warnings)
        assert 'missing keys' not in text and 'unexpected key' not in text
        assert ('no layer scales' in text) == bool(scales)
        found = model.state_dict()
        keys = {k for k in found if k.startswith('backbone.')}
        assert keys - set(scales) == set(own)
        assert all(torch.equal(found[k], own[k]) for k in own)
        assert all((found[k] == 1e-6).all() for k in scales)
        # load_from: the rest of both models is named, no key of a backbone.
        warnings.clear()
        model = finetuned(task, arch, write_config)
        load_checkpoint(model, str(checkpoint), 'cpu', logger='current')
        text = '\n'.join(warnings)
        assert re.search(r'\d weights of \w+ are not in it: ', text)
        assert re.search(r'60 of its \d+ are not in \w+: norm.', text)
        assert 'backbone.' not in text
        found = model.state_dict()
        assert all(torch.equal(found[k], own[k]) for k in own)
