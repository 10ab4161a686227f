import copy

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmsnn.engine.hooks import FreezeHook


class Model(BaseModel):
    """A trunk with statistics and dropout, and a head."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.head = nn.Linear(4, 1)
        self.states = []

    def forward(self, inputs, mode):
        self.states.append(copy.deepcopy(self.state_dict()))
        return dict(loss=self.head(self.trunk(inputs)).square().mean())


def train(work_dir, begin, iterations=4, modules=('trunk',), model=Model,
          **keys):
    """States of the model before each iteration."""
    torch.manual_seed(0)
    data = [dict(inputs=row) for row in torch.rand(8, 3)]
    keys.setdefault('optim_wrapper', dict(
        optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.1)))
    runner = Runner(
        model(),
        str(work_dir),
        train_dataloader=DataLoader(data, batch_size=4),
        train_cfg=dict(by_epoch=False, max_iters=iterations),
        default_hooks=dict(checkpoint=dict(
            type='CheckpointHook', interval=2, by_epoch=False)),
        custom_hooks=[
            dict(type='mmsnn.FreezeHook', modules=modules, begin=begin)
        ],
        default_scope='mmsnn',
        experiment_name=f'{work_dir.name}_{begin}_{iterations}',
        **keys)
    runner.train()
    return [*runner.model.states, runner.model.state_dict()], runner


def changed(before, after, part):
    return [
        not torch.equal(before[key], after[key])
        for key in before if key.startswith(part)
    ]


def test_weights_and_statistics_rest_from_begin_on(tmp_path):
    states, _ = train(tmp_path, begin=2)
    for k, (before, after) in enumerate(zip(states, states[1:])):
        trunk = changed(before, after, 'trunk')
        assert all(trunk) if k < 2 else not any(trunk)
        assert all(changed(before, after, 'head'))


def test_resumed_training_rests_as_well(tmp_path):
    whole, _ = train(tmp_path, begin=1, iterations=2)
    resumed, runner = train(tmp_path, begin=1, resume=True)
    assert runner.iter == 4 and len(resumed) == 3
    assert not any(changed(whole[-1], resumed[-1], 'trunk'))
    assert not any(changed(whole[1], resumed[-1], 'trunk'))
    assert all(changed(whole[-1], resumed[-1], 'head'))


def test_part_is_in_evaluation_mode_and_can_be_trained_later(tmp_path):
    _, runner = train(tmp_path, begin=0)
    assert not runner.model.trunk.training and runner.model.head.training
    assert all(p.requires_grad for p in runner.model.parameters())


def test_accumulated_gradients_are_dropped(tmp_path):
    """Without weight decay and momentum, what was accumulated before
    ``begin`` would be the only step of the trunk's weights."""
    states, _ = train(
        tmp_path, begin=1, iterations=2, optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=1.0), accumulative_counts=2))
    assert not any(changed(states[0], states[-1], 'trunk.0'))
    assert all(changed(states[0], states[-1], 'head'))


def test_what_was_frozen_before_stays_frozen(tmp_path):
    class Frozen(Model):

        def __init__(self):
            super().__init__()
            self.trunk[0].bias.requires_grad = False

    _, runner = train(tmp_path, begin=0, model=Frozen)
    assert [name for name, p in runner.model.named_parameters()
            if not p.requires_grad] == ['trunk.0.bias']


@pytest.mark.parametrize('keys, message', [
    (dict(modules='backbone'), r'FreezeHook.modules must be a list.*backbone'),
    (dict(modules=[]), 'FreezeHook.modules must be a list'),
    (dict(modules=['head'], begin=-1), 'FreezeHook.begin = -1'),
])
def test_bad_keys_are_named(keys, message):
    with pytest.raises(ValueError, match=message):
        FreezeHook(**keys)


def test_unknown_module_is_named(tmp_path):
    with pytest.raises(ValueError, match='no neck; it consists of .*trunk'):
        train(tmp_path, begin=0, modules=['neck', 'trunk'])


@pytest.mark.parametrize('find', [False, True])
def test_distributed_training(tmp_path, find):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    try:
        from mmengine.model import MMDistributedDataParallel
        torch.manual_seed(0)
        data = [dict(inputs=row) for row in torch.rand(8, 3)]
        model = MMDistributedDataParallel(Model(), find_unused_parameters=find)
        runner = Runner(
            model, str(tmp_path),
            train_dataloader=DataLoader(data, batch_size=4),
            train_cfg=dict(by_epoch=False, max_iters=4),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            custom_hooks=[dict(type='mmsnn.FreezeHook', modules=['trunk'],
                               begin=2)],
            default_scope='mmsnn', experiment_name=f'distributed_{find}')
        if not find:
            with pytest.raises(ValueError, match='find_unused_parameters'):
                runner.train()
            return
        runner.train()
        states = [*model.module.states, model.module.state_dict()]
        assert all(changed(states[1], states[2], 'trunk.0.weight'))
        assert not any(changed(states[2], states[4], 'trunk'))
        assert all(changed(states[2], states[4], 'head'))
    finally:
        torch.distributed.destroy_process_group()
