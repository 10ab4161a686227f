"""What is said of weights that do not fit the model."""

import logging
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel, BaseModule
from mmengine.model.weight_init import PretrainedInit
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from torch import nn

from mmsnn.checkpoints import CheckpointError


@MODELS.register_module()
class FitTestModel(BaseModel):
    """A backbone and a head."""

    def __init__(self, width=2, classes=3, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.backbone = nn.Sequential(
            nn.Linear(2, width), nn.BatchNorm1d(width))
        self.head = nn.Linear(width, classes)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        out = self.head(self.backbone(inputs))
        return dict(loss=out.square().mean()) if mode == 'loss' else [out]


class OtherModel(BaseModule):

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)


def saved(tmp_path, model=None, state=None, **kept):
    path = tmp_path / 'other.pth'
    state = (model or FitTestModel()).state_dict() if state is None else state
    torch.save(dict(state_dict=state, **kept), path)
    return str(path)


def test_all_fit(tmp_path, caplog):
    model, other = FitTestModel(), FitTestModel()
    load_checkpoint(model, saved(tmp_path, other), logger=logging.getLogger())
    assert all(a.equal(b) for a, b in zip(
        model.state_dict().values(), other.state_dict().values(), strict=True))
    assert not caplog.records


def test_none_fits(tmp_path):
    path = saved(tmp_path, OtherModel())
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(FitTestModel(), path)
    assert str(error.value) == (
        f'{path}: none of its 2 entries fits the 8 weights of FitTestModel: '
        'it has layer.weight, layer.bias, the model backbone.0.weight, '
        'backbone.0.bias, backbone.1.weight, ...')
    with pytest.raises(CheckpointError, match='it has none'):
        load_checkpoint(FitTestModel(), saved(tmp_path, state={}))
    load_checkpoint(nn.ReLU(), path)  # has no weights that could stay random


def test_some_fit(tmp_path, caplog):
    state = FitTestModel().state_dict()
    state['haed.weight'] = state.pop('head.weight')
    state['extra'] = torch.ones(1)
    path = saved(tmp_path, state=state)
    load_checkpoint(FitTestModel(), path, logger=logging.getLogger())
    record, = caplog.records
    assert record.levelname == 'WARNING'
    assert record.getMessage() == (
        f'{path}: 1 of the 8 weights of FitTestModel are not in it: '
        "head.weight (did you mean 'haed.weight'?); 2 of its 9 are not in "
        'FitTestModel: haed.weight, extra')
    with pytest.raises(CheckpointError, match='are not in it: head.weight'):
        load_checkpoint(FitTestModel(), path, strict=True)


def test_a_runner_logs_what_does_not_fit(tmp_path):
    state = dict(FitTestModel().state_dict(), extra=torch.ones(1))
    path = saved(tmp_path, state=state)
    runner = Runner.from_cfg(config(tmp_path, path))
    runner.load_checkpoint(path)
    log = Path(runner.log_dir, f'{runner.timestamp}.log').read_text()
    assert (f'WARNING - {path}: 1 of its 9 are not in FitTestModel: '
            'extra\n') in log


def test_a_prefix(tmp_path):
    path = saved(tmp_path)
    backbone = FitTestModel().backbone
    PretrainedInit(path, prefix='backbone.')(backbone)
    assert backbone[0].weight.equal(
        torch.load(path)['state_dict']['backbone.0.weight'])
    with pytest.raises(CheckpointError) as error:
        PretrainedInit(path, prefix='backbon')(backbone)
    assert str(error.value) == (
        f"{path} has no weights under the prefix 'backbon' (did you mean "
        "'backbone.'?): its names start with backbone., head.")
    with pytest.raises(CheckpointError, match='other.pth: none of its 2'):
        PretrainedInit(path, prefix='head.')(nn.Sequential(nn.Linear(2, 2)))


def config(tmp_path, path, **model):
    return Config(
        dict(
            model=dict(type='FitTestModel', **model), load_from=path,
            default_scope='mmengine', work_dir=str(tmp_path / 'work'),
            test_cfg=dict(), test_evaluator=[],
            test_dataloader=dict(
                dataset=[], batch_size=1, num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False)),
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1)),
            train_dataloader=dict(
                dataset=[], batch_size=1, num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False)),
            param_scheduler=None, custom_hooks=[]))


@pytest.mark.parametrize('where', ['cfg', 'config', 'hub'])
def test_the_config_key_of_another_shape(tmp_path, where, caplog):
    text = Config(dict(model=dict(type='FitTestModel', classes=3))).pretty_text
    kept = dict(message_hub=dict(runtime_info=dict(cfg=text))) if (
        where == 'hub') else dict(meta={where: text})
    path = saved(tmp_path, **kept)
    runner = Runner.from_cfg(config(tmp_path, path, classes=5))
    said = (f'{path}: 2 of the 8 weights of FitTestModel have another shape: '
            'head.weight is (3, 2) in it and (5, 2) here, head.bias is (3) in '
            'it and (5) here; config keys that differ: model.classes is 3 in '
            'the checkpoint and 5 here')
    with pytest.raises(CheckpointError) as error:
        runner.test()
    assert str(error.value) == said
    runner.load_checkpoint(path)  # to train another head is usual
    assert runner.model.backbone[0].weight.equal(
        torch.load(path)['state_dict']['backbone.0.weight'])


def test_a_test_of_an_untrained_model_is_refused(tmp_path):
    path = saved(tmp_path, OtherModel())
    with pytest.raises(CheckpointError, match='other.pth: none of its 2'):
        Runner.from_cfg(config(tmp_path, path)).test()


def test_averaged_weights_are_named_by_their_file(tmp_path):
    path = saved(tmp_path, OtherModel())
    settings = config(tmp_path, path)
    settings.custom_hooks = [dict(type='EMAHook')]
    with pytest.raises(CheckpointError, match='other.pth: none of its 2'):
        Runner.from_cfg(settings).test()


@pytest.mark.parametrize('content, kind', [
    ([1], 'list'), (dict(state_dict=[1]), 'list'), ({0: 1}, 'dict'),
    (dict(state_dict=torch.ones(1)), 'Tensor')])
def test_no_weights_at_all(tmp_path, content, kind):
    path = str(tmp_path / 'a.pth')
    torch.save(content, path)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(FitTestModel(), path)
    said = f'{path} holds a {kind} and no weights by name'
    assert str(error.value) == said
    with pytest.raises(CheckpointError, match=re.escape(said)):
        Runner.from_cfg(config(tmp_path, path)).test()


def test_a_tensor_alone_may_be_read(tmp_path):
    path = tmp_path / 'embeddings.pth'
    torch.save(torch.ones(3), path)
    assert CheckpointLoader.load_checkpoint(str(path)).sum() == 3


@pytest.mark.parametrize('value', [1.5, np.ones((2, 2), np.float32)])
def test_weights_that_are_no_tensors(tmp_path, value):
    state = FitTestModel().state_dict()
    path = saved(tmp_path, state=dict(state, **{'backbone.0.weight': value}))
    kind = re.escape(str(type(value)))
    with pytest.raises(CheckpointError, match=(
            f'^{path}: weights of FitTestModel can not be copied from it: '
            f'.*"backbone.0.weight".* received {kind}$')):
        load_checkpoint(FitTestModel(), path)
