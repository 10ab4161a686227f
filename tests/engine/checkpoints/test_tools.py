"""No tool runs what came in a checkpoint, and each can be told to trust it."""

import os
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import nn

from mmsnn.checkpoints import TRUST, CheckpointError, CheckpointRefused

TOOLS = Path(__file__).parents[3] / 'tools'


@MODELS.register_module()
class HostileTestModel(BaseModel):
    """Is never trained."""

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return [inputs]


CONFIG = '''
model = dict(type='mmengine.HostileTestModel')
default_scope = 'mmpretrain'
load_from = None
loader = dict(
    dataset=[], batch_size=1, num_workers=0, sampler=dict(
        type='DefaultSampler', shuffle=False))
train_dataloader = test_dataloader = loader
train_cfg = dict(by_epoch=True, max_epochs=1)
test_cfg = dict()
test_evaluator = []
optim_wrapper = dict(optimizer=dict(type='SGD', lr=.1))
'''
CALLS = {
    'test.py': 'test.py a.py a.pth',
    'train.py --resume NAME': 'train.py a.py --resume a.pth',
    'train.py --resume': 'train.py a.py --resume',
    'train.py with load_from': 'train.py a.py --cfg-options load_from=a.pth',
    'train.py with init_cfg':
    'train.py a.py --cfg-options model.init_cfg.type=Pretrained '
    'model.init_cfg.checkpoint=a.pth',
    'hardware_report.py':
    'analysis_tools/hardware_report.py a.py a.pth --device cpu',
    'image_demo.py': 'image_demo.py noise.png a.py a.pth --device cpu',
    'convert_published.py': 'model_converters/convert_published.py a.pth b.pth'
}


@pytest.fixture
def call(tmp_path, monkeypatch, image):
    """Run a tool in this process, in a folder with a config, an image and a
    checkpoint."""
    pytest.importorskip('mmpretrain')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(TRUST, '')  # to be put back
    Path('a.py').write_text(CONFIG)
    Path('work_dirs/a').mkdir(parents=True)
    Path('work_dirs/a/last_checkpoint').write_text('a.pth')
    torch.save(dict(state_dict=HostileTestModel().state_dict()), 'a.pth')

    def run(line):
        tool, *arguments = line.split()
        monkeypatch.setattr(sys, 'argv', [tool, *arguments])
        runpy.run_path(str(TOOLS / tool), run_name='__main__')

    return run


@pytest.mark.parametrize('line', CALLS.values(), ids=CALLS)
def test_hostile_checkpoints(line, call, hostile, canary, capsys):
    hostile('a.pth')
    with pytest.raises((CheckpointRefused, SystemExit)) as error:
        call(line)
    said = str(error.value) + capsys.readouterr().err
    assert 'a.pth is not loaded' in said and 'it holds posix.mkdir' in said
    assert '--trust-checkpoint' in said
    assert not canary.exists()


@pytest.mark.parametrize('line', CALLS.values(), ids=CALLS)
def test_the_option(line, call, canary):
    """Whatever follows: these files hold no model that fits."""

    class Reduced:

        def __reduce__(self):
            return os.mkdir, (str(canary), )

    torch.save(dict(state_dict={}, more=Reduced()), 'a.pth')
    with pytest.raises((Exception, SystemExit)):
        call(line + ' --trust-checkpoint')
    assert canary.exists()
    assert os.environ[TRUST] == '1'


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_inferencers_with_a_config(scope, trained, hostile, canary):
    config, path = trained(scope)
    hostile(path)
    if scope == 'mmdet':
        apis = pytest.importorskip('mmdet.apis')
        calls = (apis.init_detector, apis.DetInferencer)
    elif scope == 'mmseg':
        apis = pytest.importorskip('mmseg.apis')
        calls = (apis.init_model, apis.MMSegInferencer)
    else:
        apis = pytest.importorskip('mmpretrain')
        calls = (apis.get_model, apis.ImageClassificationInferencer)
    for make in calls:
        with pytest.raises(CheckpointRefused, match=f'{scope}.pth is not'):
            make(str(config), str(path), device='cpu')
    assert not canary.exists()


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg'])
def test_inferencers_without_a_config(scope, trained, canary):
    apis = pytest.importorskip(f'{scope}.apis')
    Inferencer = getattr(
        apis, 'DetInferencer' if scope == 'mmdet' else 'MMSegInferencer')
    config, path = trained(scope)
    text = Config.fromfile(config).pretty_text
    saved = torch.load(path)
    saved['meta'] = dict(cfg=text, dataset_meta=dict(
        classes=[*'0123456789'], palette=[[0, 0, 0]] * 10))
    torch.save(saved, path)
    kept = dict(
        model=None, device='cpu', show_progress=False, scope=scope)
    inferencer = Inferencer(weights=str(path), **kept)
    for key, value in inferencer.model.state_dict().items():
        assert value.equal(saved['state_dict'][key])
    for hostile in (
            f'import os; os.mkdir({str(canary)!r})\n{text}',
            f"model = dict(type='os.mkdir', path={str(canary)!r})"):
        saved['meta']['cfg'] = hostile
        torch.save(saved, path)
        with pytest.raises(CheckpointRefused, match='--trust-checkpoint'):
            Inferencer(weights=str(path), **kept)
        assert not canary.exists()


def test_a_resumed_run_does_not_run_a_config(call, canary):
    text = f'import os; os.mkdir({str(canary)!r})'
    torch.save(
        dict(state_dict=HostileTestModel().state_dict(),
             meta=dict(epoch=0, iter=0, config=text)), 'a.pth')
    with pytest.raises(CheckpointRefused, match="text .*'import os'"):
        call('train.py a.py --resume a.pth')
    assert not canary.exists()
    with pytest.raises(Exception):
        call('train.py a.py --resume a.pth --trust-checkpoint')
    assert canary.exists()


def test_weights_alone_are_no_run(call):
    with pytest.raises(CheckpointError, match='no .meta.: .* as load_from'):
        call('train.py a.py --resume a.pth')
