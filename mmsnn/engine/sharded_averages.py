"""Averaged weights (EMA) of a model whose weights lie in several processes."""

from mmengine.hooks import EMAHook
from mmengine.registry import MODELS
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel


class Shards(nn.Module):
    """What this process has of a sharded model, under other names.

    Args:
        model (FullyShardedDataParallel): Shares memory with it.
    """

    def __init__(self, model: FullyShardedDataParallel) -> None:
        super().__init__()
        for name, x in model.named_parameters():
            self.register_parameter(
                name.replace('.', '/'),
                nn.Parameter(x.data, requires_grad=False))
        for name, x in model.named_buffers():
            self.register_buffer(name.replace('.', '/'), x)


class ShardedAverages:
    """In front of a class of ``EMAHook``: each process averages its part of
    the weights; checkpoints hold all of them, as those of one process do.
    """

    @property
    def src_model(self) -> nn.Module:
        """The weights that are averaged, as far as this process has them."""
        return Shards(self._model)

    @src_model.setter
    def src_model(self, model: nn.Module) -> None:
        pass  # a module inside of the sharded model

    def before_run(self, runner) -> None:
        """Copy this process's part of the model.

        Args:
            runner (Runner): The runner.
        """
        self._model = runner.model
        self.ema_model = MODELS.build(
            self.ema_cfg, default_args=dict(model=self.src_model))

    def _swap_ema_parameters(self) -> None:
        """Swap what was trained and the averages of this process.

        What a forward pass has gathered of all processes is kept for the
        next one, which would not see that weights have changed.
        """
        for module in FullyShardedDataParallel.fsdp_modules(self._model):
            if module._handle is not None:
                module._handle.reshard(True)
        super()._swap_ema_parameters()

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Gather the averages of all processes, which all must do.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): Gets them as ``state_dict``; what was trained
                goes to ``ema_state_dict``, as mmengine has it.
        """
        trained = checkpoint['state_dict']
        self._swap_ema_parameters()
        checkpoint['state_dict'] = runner.strategy.model_state_dict()
        self._swap_ema_parameters()
        checkpoint['ema_state_dict'] = dict(
            steps=self.ema_model.steps,
            **{f'module.{name}': x for name, x in trained.items()})

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Take this process's part of the averages of a checkpoint.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): Its ``state_dict`` becomes what was trained.
        """
        runner.strategy.load_model_state_dict(
            dict(checkpoint['state_dict']), strict=self.strict_load)
        for mine, theirs in zip(self.ema_model.module.state_dict().values(),
                                self.src_model.state_dict().values()):
            mine.copy_(theirs)
        averaged = checkpoint.get('ema_state_dict')
        if averaged is not None and runner._resume:
            self.ema_model.steps.copy_(averaged['steps'])
            checkpoint['state_dict'] = {
                name.removeprefix('module.'): x
                for name, x in averaged.items() if name != 'steps'
            }


def average_shards(hook: EMAHook) -> None:
    """Let a hook average the parts of a sharded model.

    Args:
        hook (EMAHook): Of mmengine or a subclass, such as mmpretrain's;
            changed in place.
    """
    kind = type(hook)
    hook.__class__ = type(kind.__name__, (ShardedAverages, kind), {})
