"""tools/image_demo.py, as a user would call it, but in this process."""

import runpy
import sys
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

ROOT = Path(__file__).parents[2]
CONFIG = (
    ROOT / 'configs' / 'espikeformer' /
    'espikeformer-tiny_sfa4_1xb64-20e_digits-32x32.py')


def test_writes_a_picture_and_a_table(tmp_path, monkeypatch, capsys):
    smaller = dict(embed_dims=[8, 8, 16, 80], depths=[1] * 5)
    config = Config.fromfile(CONFIG)
    config.merge_from_dict({'model.backbone.arch': smaller})
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(config.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'weights.pth')
    Image.fromarray(np.full((32, 32, 3), 99, np.uint8)).save(
        tmp_path / 'grey.jpg')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [
        'image_demo.py', 'grey.jpg', str(CONFIG), 'weights.pth', '--out-dir',
        'out', '--form', 'counts', '--device', 'cpu', '--cfg-options',
        'model.backbone.arch.embed_dims=[8,8,16,80]',
        'model.backbone.arch.depths=[1,1,1,1,1]'
    ])
    runpy.run_path(str(ROOT / 'tools' / 'image_demo.py'),
                   run_name='__main__')
    with Image.open('out/grey.png') as picture:
        assert picture.size[0] == 15 * 120
    printed = capsys.readouterr().out
    for text in ('spiking form, FP32 weights: ', 'float twin, FP32 weights: ',
                 'quantised twin, INT8 weights: ', 'training form: ',
                 'spike-train form, run as spike counts',
                 'sub-steps: on the longest path '):
        assert text in printed
    assert not (tmp_path / 'data').exists()
