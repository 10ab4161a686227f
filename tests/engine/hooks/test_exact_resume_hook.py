"""What a resumed run says that it can't restore."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, MODELS
from mmengine.runner import Runner
from torch import nn

from mmsnn.checkpoints import CheckpointError
from mmsnn.engine.cli import build_runner
from mmsnn.engine.hooks import ExactResumeHook
from mmsnn.engine.resume.run_state import hook_states, set_hook_states


@DATASETS.register_module()
class ResumedStream(torch.utils.data.IterableDataset):

    def __len__(self):
        return 4

    def __iter__(self):
        while True:
            yield dict(inputs=torch.rand(1))


@MODELS.register_module()
class ResumedModel(BaseModel):

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, inputs, mode='tensor'):
        x = torch.stack(list(inputs)).float()
        x = nn.functional.dropout(x, training=self.training)
        return dict(loss=self.linear(x).square().mean())


class Mosaic:

    def __init__(self):
        self.results_cache = []


@DATASETS.register_module()
class ResumedData(torch.utils.data.Dataset):
    metainfo: dict = {}

    def __init__(self, number=12, cached=False):
        self.number = number
        self.pipeline = [Mosaic()] if cached else []

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        for mosaic in self.pipeline:
            mosaic.results_cache.append(index)
        return dict(inputs=torch.rand(1) + index)


def config(folder, batch_size=2, workers=0, dataset=None, loop=None,
           sampler='InfiniteSampler', **options):
    return Config(dict(dict(
        default_scope='mmengine',
        model=dict(type='ResumedModel'),
        work_dir=str(folder),
        launcher='none',
        train_dataloader=dict(
            batch_size=batch_size, num_workers=workers,
            dataset=dict(type='ResumedData', **(dataset or {})),
            sampler=dict(type=sampler)),
        train_cfg=loop or dict(type='IterBasedTrainLoop', max_iters=5),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3, momentum=0.9)),
        default_hooks=dict(checkpoint=dict(
            type='CheckpointHook', by_epoch=False, interval=3,
            save_last=False)),
        randomness=dict(seed=1)), **options))


def said(capsys):
    found = re.findall('resumed at iteration 3, but not exactly: (.*)',
                       capsys.readouterr().out)
    return found[0] if found else ''


def resumed(folder, **options):
    runner = build_runner(config(folder, resume=True, **options))
    runner.train()
    return runner


@pytest.mark.parametrize('changed, sentence', [
    (dict(), ''),
    (dict(batch_size=3), 'train_dataloader: batch_size was 2 and is 3'),
    (dict(workers=1), 'train_dataloader: num_workers was 0 and is 1'),
    (dict(dataset=dict(number=10)),
     'train_dataloader: samples was 12 and is 10'),
    (dict(sampler='DefaultSampler'), 'train_dataloader: sampler was '
     'InfiniteSampler and is DefaultSampler'),
    (dict(loop=dict(by_epoch=True, max_epochs=1), sampler='DefaultSampler'),
     'loop was iterations and is epochs'),
])
def test_what_differs_is_said(tmp_path, capsys, changed, sentence):
    build_runner(config(tmp_path)).train()
    resumed(tmp_path, **changed)
    assert sentence in said(capsys) if sentence else not said(capsys)


def test_data_of_earlier_samples_are_said(tmp_path, capsys):
    for dataset in (dict(cached=True), dict()):
        build_runner(config(tmp_path, dataset=dataset, workers=1)).train()
        resumed(tmp_path, dataset=dataset, workers=1)
        sentence = said(capsys)
        assert ('Mosaic.results_cache held data of earlier samples'
                in sentence) == ('cached' in dataset)


@pytest.mark.parametrize('damage', [
    lambda found: [1],
    lambda found: dict(found, processes=[]),
    lambda found: dict(found, processes=[dict(
        found['processes'][0], random={})]),
    lambda found: dict(found, processes=[dict(
        found['processes'][0], place=dict(settings={}))]),
    lambda found: dict(found, processes=[dict(
        found['processes'][0],
        buffers=found['processes'][0]['random'])], hooks=3),
    lambda found: dict(found, processes=[dict(
        found['processes'][0], gradients={'linear.weight': torch.ones(7)})]),
])
def test_states_that_are_damaged_are_said_with_the_file(tmp_path, damage):
    build_runner(config(tmp_path)).train()
    file = tmp_path / 'iter_3.pth'
    checkpoint = torch.load(file, weights_only=False)
    checkpoint['exact_resume'] = damage(checkpoint['exact_resume'])
    torch.save(checkpoint, file)
    with pytest.raises(ValueError, match=f'{file} is damaged .* can not go'):
        resumed(tmp_path)


@pytest.mark.parametrize('place, value', [
    (('meta', 'iter'), 'x'), (('meta', 'epoch'), -1), (('meta', ), 3),
    (('message_hub', ), 3), (('optimizer', 'state', 0), 3),
    (('optimizer', 'param_groups'), []), (('meta', 'seed'), 'x')])
def test_a_run_that_is_damaged_is_said_with_the_file(tmp_path, place, value):
    build_runner(config(tmp_path)).train()
    file = tmp_path / 'iter_3.pth'
    part = checkpoint = torch.load(file, weights_only=False)
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    torch.save(checkpoint, file)
    with pytest.raises(CheckpointError, match=f'state (of|in) {file} is '
                       'damaged or of another run, so that this one can not'):
        resumed(tmp_path)


@pytest.mark.parametrize('damage', [
    lambda state: state.update(momentum_buffer=3),
    lambda state: state.update(momentum_buffer=torch.ones(7)),
])
def test_a_state_that_the_optimiser_can_not_use(tmp_path, damage):
    build_runner(config(tmp_path)).train()
    file = tmp_path / 'iter_3.pth'
    checkpoint = torch.load(file, weights_only=False)
    damage(checkpoint['optimizer']['state'][0])
    torch.save(checkpoint, file)
    with pytest.raises(CheckpointError, match=f'optimiser state in {file}'):
        resumed(tmp_path)


def test_another_optimiser_is_said(tmp_path):
    build_runner(config(tmp_path)).train()
    with pytest.raises(CheckpointError, match="of .*iter_3.pth .*'step'"):
        resumed(tmp_path, optim_wrapper=dict(
            optimizer=dict(type='Adam', lr=1e-3)))


SCHEDULE = dict(type='LinearLR', start_factor=.5, by_epoch=False)


@pytest.mark.parametrize('before, after, differ', [
    ([SCHEDULE], [SCHEDULE], False), ([SCHEDULE], [], True),
    ([SCHEDULE], [SCHEDULE] * 2, True),
    ([SCHEDULE], [dict(type='ExponentialLR', gamma=.9, by_epoch=False)], True),
])
def test_another_schedule_is_said(tmp_path, capsys, before, after, differ):
    build_runner(config(tmp_path, param_scheduler=before)).train()
    runner = resumed(tmp_path, param_scheduler=after)
    assert ('param_scheduler is another' in said(capsys)) == differ
    assert 'first_step' not in str(runner.optim_wrapper.optimizer.step)


@pytest.mark.parametrize('before, after, sentence', [
    (True, True, ''), (False, True, 'holds no averaged weights'),
    (True, False, 'are averages of an EMAHook, which is not there')])
def test_averages_that_come_and_go_are_said(tmp_path, capsys, before, after,
                                            sentence):
    averaging = [dict(type='EMAHook')]
    build_runner(config(tmp_path, custom_hooks=averaging * before)).train()
    resumed(tmp_path, custom_hooks=averaging * after)
    assert sentence in said(capsys) if sentence else not said(capsys)


def test_a_stream_is_said(tmp_path, capsys):
    for resume in (False, True):
        cfg = config(tmp_path, resume=resume)
        cfg.train_dataloader.update(
            dataset=dict(type='ResumedStream'), sampler=None)
        build_runner(cfg).train()
    assert 'the data set is a stream, which has no indices' in said(capsys)


def test_checkpoints_without_states(tmp_path, capsys):
    options = dict(default_hooks=dict(
        config(tmp_path).default_hooks, exact_resume=None))
    build_runner(config(tmp_path, **options)).train()
    resumed(tmp_path)
    assert 'holds no random states (it was written without' in said(capsys)
    bare = config(tmp_path / 'bare')
    bare.default_hooks.checkpoint.save_optimizer = False
    build_runner(bare).train()
    resumed(tmp_path / 'bare')
    assert said(capsys).startswith('the checkpoint holds no optimizer')


def test_the_hook_alone_is_enough_for_mmengines_runner(tmp_path, capsys):
    weights = []
    for folder, iterations in (('whole', [5]), ('parts', [3, 5])):
        for number in iterations:
            torch.seed()
            cfg = config(
                tmp_path / folder,
                loop=dict(type='IterBasedTrainLoop', max_iters=number),
                custom_hooks=[dict(type=ExactResumeHook)], resume=number == 5,
                runner_type='Runner')
            if folder == 'whole':
                cfg.resume = False
            runner = build_runner(cfg)
            assert type(runner) is Runner
            runner.train()
        weights.append(runner.model.linear.weight.clone())
    assert torch.equal(*weights)
    assert not said(capsys)


@HOOKS.register_module()
class Counting(Hook):
    priority = 'LOWEST'  # behind the one that writes checkpoints
    count = 0

    def after_train_iter(self, runner, *args, **kwargs):
        self.count += 1

    def state_dict(self):
        return dict(count=self.count)

    def load_state_dict(self, state):
        self.count = state['count']


def test_states_of_hooks(tmp_path):
    hooks = [dict(type='Counting')]
    build_runner(config(tmp_path, custom_hooks=hooks)).train()
    runner = resumed(tmp_path, custom_hooks=hooks)
    assert [hook.count for hook in runner.hooks
            if isinstance(hook, Counting)] == [5]


def test_early_stopping_goes_on_counting():
    one, other = (EarlyStoppingHook('accuracy', rule='greater')
                  for _ in range(2))
    one._check_stop_condition(0.7)
    one._check_stop_condition(0.6)
    set_hook_states([other], hook_states([one]))
    assert (other.best_score, other.wait_count) == (0.7, 1)


def test_checkpoints_are_read_as_data(tmp_path):
    build_runner(config(tmp_path, workers=1)).train()
    checkpoint = torch.load(tmp_path / 'iter_3.pth', weights_only=False)
    torch.save(checkpoint['exact_resume'], tmp_path / 'states.pth')
    found = torch.load(tmp_path / 'states.pth', weights_only=True)
    assert found['stage'] == 'iteration' and len(found['processes']) == 1
