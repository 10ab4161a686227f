"""Training by two processes with half the batch each, against one."""

import copy
from importlib.util import find_spec

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from processes import run_in_processes
from torch import nn
from torch.utils.data import Dataset

from mmsnn.engine.cli import build_runner
from mmsnn.neurons import SFANeuron


@DATASETS.register_module()
class TwoProcessesData(Dataset):
    """Eight images of noise."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return dict(inputs=torch.rand(2, 6, 6, generator=generator,
                                      dtype=torch.float64))


@MODELS.register_module()
class TwoProcessesModel(BaseModel):
    """A spiking layer between norms, in front of which there are no biases:
    Adam would take rounding of their gradient, 0, for a direction."""

    def __init__(self, norm='SyncBatchNorm'):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(2, 5, 3, bias=False), nn.__dict__[norm](5),
            SFANeuron(max_spikes=3))
        self.head = nn.Sequential(
            nn.Conv2d(5, 3, 3, bias=False), nn.__dict__[norm](3))
        self.double()
        self.backbone.get_layer_depth = _depth

    def forward(self, inputs, mode='tensor'):
        out = self.head(self.backbone(torch.stack(list(inputs))))
        if mode == 'predict':
            return [dict(mean=float(x.mean())) for x in out]
        wanted = torch.linspace(-1, 2, 3, dtype=out.dtype)[:, None, None]
        return dict(loss=(out - wanted).square().mean())


@METRICS.register_module()
class TwoProcessesMean(BaseMetric):
    """The mean of what a model predicts."""

    def process(self, data_batch, data_samples):
        self.results += [sample['mean'] for sample in data_samples]

    def compute_metrics(self, results):
        return dict(mean=sum(results) / len(results))


def _depth(name, prefix=''):
    return int(name.startswith(prefix + '1')), 4


def config(folder, launcher, **changes):
    batch = 4 if launcher == 'none' else 2
    cfg = Config(dict(
        default_scope='mmengine', launcher=launcher, work_dir=str(folder),
        model=dict(type='TwoProcessesModel'),
        env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=60)),
        train_dataloader=dict(
            batch_size=batch, num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=dict(type='TwoProcessesData')),
        train_cfg=dict(by_epoch=False, max_iters=4),
        optim_wrapper=dict(
            optimizer=dict(
                type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1),
            clip_grad=dict(max_norm=0.05),
            paramwise_cfg=dict(norm_decay_mult=0.)),
        default_hooks=dict(checkpoint=dict(
            type='CheckpointHook', by_epoch=False, interval=2)),
        randomness=dict(seed=0)))
    cfg.merge_from_dict(changes)
    return cfg


def train(folder, launcher, **changes):
    """Train; return the state of the model in this process."""
    runner = build_runner(config(folder, launcher, **changes))
    model = runner.train()
    return {k: v.clone() for k, v in model.state_dict().items()}


def saved(folder, name='iter_4.pth'):
    return torch.load(folder / name, weights_only=False)


def difference(one, other):
    """Largest difference of two state dicts, relative to the larger one of
    value and 1."""
    one = {k.removeprefix('module.'): v for k, v in one.items()}
    other = {k.removeprefix('module.'): v for k, v in other.items()}
    assert one.keys() == other.keys()
    return max(
        float(((one[k] - other[k]).abs() / one[k].abs().clamp(min=1)).max())
        for k in one)


@pytest.mark.parametrize('norm, sync_bn', [
    ('SyncBatchNorm', None), ('BatchNorm2d', 'torch')])
def test_ddp_with_synchronised_norms(tmp_path, norm, sync_bn):
    changes = dict(sync_bn=sync_bn, **{'model.norm': norm})
    first, second = run_in_processes(
        tmp_path, train, tmp_path / 'two', 'pytorch', **changes)
    one = train(tmp_path / 'one', 'none', **changes)
    assert difference(one, first) < 1e-12
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


def go_on(folder, launcher, **changes):
    """Train up to the first checkpoint, then resume from it."""
    train(folder, launcher, **changes, **{'train_cfg.max_iters': 2})
    return train(folder, launcher, **changes, resume=True)


STRATEGIES = dict(
    ddp=dict(type='DDPStrategy'),
    fsdp=dict(type='FSDPStrategy'),
    parts=dict(
        type='FSDPStrategy', model_wrapper=dict(
            type='MMFullyShardedDataParallel',
            auto_wrap_policy=dict(
                type='torch.distributed.fsdp.wrap.size_based_auto_wrap_policy',
                min_num_params=50))))


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_strategies(tmp_path, strategy):
    changes = dict(
        custom_hooks=[
            dict(type='EMAHook', momentum=0.1),
            dict(type='mmsnn.FreezeHook', modules=['backbone'], begin=2)])
    # What a validation by averaged weights has gathered must not be what the
    # next iteration trains, nor what its checkpoint holds.
    changes.update({
        'train_cfg.val_interval': 1, 'val_cfg': dict(),
        'val_evaluator': dict(type='TwoProcessesMean'),
        'val_dataloader': dict(
            batch_size=2, num_workers=0, dataset=dict(type='TwoProcessesData'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        'default_hooks.checkpoint.save_best': 'mean',
        'default_hooks.checkpoint.rule': 'less'})
    changes['optim_wrapper.constructor'] = 'mmsnn.LayerDecay' \
        'OptimWrapperConstructor'
    changes['optim_wrapper.paramwise_cfg'] = dict(layer_decay_rate=0.5)
    two = dict(changes, find_unused_parameters=True,
               runner_type='FlexibleRunner',
               strategy=copy.deepcopy(STRATEGIES[strategy]))
    if strategy == 'ddp':
        two['strategy']['model_wrapper'] = dict(find_unused_parameters=True)
    run_in_processes(tmp_path, go_on, tmp_path / 'two', 'pytorch', **two)
    train(tmp_path / 'one', 'none', **changes)
    one, found = saved(tmp_path / 'one'), saved(tmp_path / 'two')
    assert difference(one['state_dict'], found['state_dict']) < 1e-12
    assert difference(one['ema_state_dict'], found['ema_state_dict']) < 1e-12
    means = [x['message_hub']['log_scalars']['val/mean'].data[0]
             for x in (one, found)]
    assert len(means[0]) == 3 and len(set(means[0])) == 3
    assert means[1] == pytest.approx(means[0], rel=1e-9)


def test_strategies_that_can_not_be(tmp_path):
    for strategy, kind, message in [
            (dict(type='FSDPStrategy'), ValueError, 'dist_train.sh'),
            (dict(type='DDPStrategy'), ValueError, 'dist_train.sh'),
            (dict(type='DeepSpeedStrategy'), ImportError,
             'pip install deepspeed')]:
        if find_spec('deepspeed') and kind is ImportError:
            continue
        with pytest.raises(kind, match=message):
            build_runner(config(tmp_path, 'none', strategy=strategy,
                                runner_type='FlexibleRunner'))


def parts_of(folder, **changes):
    """Numbers of elements that this process holds, and of the model."""
    runner = build_runner(config(folder, 'pytorch', **changes))
    runner.train()
    return (sum(p.numel() for p in runner.model.parameters()),
            sum(p.numel() for p in TwoProcessesModel().parameters()))


def test_each_process_holds_a_part(tmp_path):
    (first, whole), (second, _) = run_in_processes(
        tmp_path, parts_of, tmp_path / 'w', runner_type='FlexibleRunner',
        strategy=copy.deepcopy(STRATEGIES['fsdp']))
    assert first + second == whole
    assert abs(first - second) <= 1
