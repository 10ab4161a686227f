"""The hook's try with one image before training."""

import copy

import torch
from mmengine.registry import MODELS

from mmsnn.engine.cli import build_runner


def trained(config, tmp_path, name, **options):
    """Weights and losses of a training with noise in data and model."""
    config = copy.deepcopy(config)
    config.work_dir = str(tmp_path / name)
    config.model.backbone.drop_path_rate = 0.5
    config.train_dataloader.sampler.shuffle = True
    config.train_dataloader.dataset.pipeline.insert(
        1, dict(type='RandomFlip', prob=0.5))
    config.train_cfg.update(max_epochs=2, val_interval=3)
    config.custom_hooks = [dict(type='mmsnn.SpikeInferenceHook', **options)]
    runner = build_runner(config)
    runner.train()
    log, = (tmp_path / name).glob('*/*.log')
    losses = runner.message_hub.log_scalars['train/loss'].data[0].tolist()
    return runner.model.state_dict(), losses, log.read_text()


def test_the_try_before_training_changes_nothing(config, tmp_path):
    with_it, losses, log = trained(config, tmp_path, 'a')
    without, expected, other = trained(config, tmp_path, 'b', dry_run=False)
    assert losses == expected and len(losses) == 6
    assert all(torch.equal(v, without[k]) for k, v in with_it.items())
    sentence = 'an image was tried in spike-train form'
    assert log.index(sentence) < log.index('Checkpoints will be saved to')
    assert sentence not in other


@MODELS.register_module()
class UnknownPooling(torch.nn.Module):
    """A neck with an op that no rule can know."""

    def forward(self, x):
        x = x[-1] if self.training else torch.ops.mmsnn_hook_tests.fresh(x[-1])
        return (x.mean((2, 3)), )


def test_what_cannot_be_counted_is_said_before_training(config, tmp_path):
    library = torch.library.Library('mmsnn_hook_tests', 'DEF')
    library.define('fresh(Tensor x) -> Tensor')
    library.impl('fresh', lambda x: x * 1, 'CompositeExplicitAutograd')
    config.model.neck = dict(type='UnknownPooling')
    log = trained(config, tmp_path, 'a', phases='test')[2]
    before = log[:log.index('Checkpoints will be saved to')]
    assert 'is going to fail' in before and 'WARNING' in before
    assert 'neck: ' in before and 'fresh' in before
