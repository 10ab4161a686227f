"""mmengine's runner with strategies, on CPU too."""

from mmengine.hooks import EMAHook
from mmengine.runner import FlexibleRunner as BaseFlexibleRunner
from torch import nn

from mmsnn.engine.compiling import compile_parts
from mmsnn.engine.runner import log_compiled, with_default_hooks
from mmsnn.engine.sharded_averages import average_shards
from mmsnn.engine.strategies import FSDPStrategy, missing_package
from mmsnn.registry import RUNNERS


@RUNNERS.register_module()
class FlexibleRunner(BaseFlexibleRunner):
    """mmengine's ``FlexibleRunner`` whose strategies run on CPU, too.

    ``DDPStrategy`` and ``FSDPStrategy`` of a config are
    :class:`mmsnn.engine.strategies.DDPStrategy` and
    :class:`mmsnn.engine.strategies.FSDPStrategy`; ``EMAHook`` averages sharded
    weights; ``compile`` compiles parts of the model
    (:func:`mmsnn.engine.compiling.compile_parts`).
    :func:`mmsnn.engine.cli.build_runner` chooses it for
    ``runner_type = 'FlexibleRunner'``.

    Raises:
        ImportError: The package of ``strategy`` is not installed.
    """

    def build_strategy(self, strategy=None, launcher: str = 'none', **kwargs):
        """Build the strategy of a config.

        Args:
            strategy (BaseStrategy | dict, optional): Defaults to None:
                ``DDPStrategy`` for several processes.
            launcher (str): What has started them; ``'none'`` for one.
            **kwargs: Those of mmengine's.

        Returns:
            BaseStrategy: The strategy.
        """
        if strategy is None and launcher != 'none':
            strategy = dict(type='DDPStrategy')
        if isinstance(strategy, dict):
            kind = strategy['type']
            kind = kind if isinstance(kind, str) else kind.__name__
            missing = missing_package(kind)
            if missing:
                raise ImportError(
                    f'strategy = {kind} needs a package that is not '
                    f'installed: pip install {missing}; '
                    "strategy = dict(type='FSDPStrategy') shards weights "
                    'without it')
            if kind in ('DDPStrategy', 'FSDPStrategy'):
                strategy['type'] = f'mmsnn.{kind}'
        return super().build_strategy(strategy, launcher, **kwargs)

    def train(self) -> nn.Module:
        """Train.

        Returns:
            nn.Module: The model.
        """
        # mmengine hands the config's key on to nobody, and a strategy would
        # compile train_step.
        self._to_compile = self._compile or self.cfg.get('compile')
        self._compile = False
        return super().train()

    def load_or_resume(self) -> None:
        """Load a checkpoint, with hooks that are ready for it, as those of a
        ``Runner`` are."""
        self.call_hook('before_run')
        self._ready = True
        super().load_or_resume()
        log_compiled(self, compile_parts(
            self.model, vars(self).pop('_to_compile', None)))

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """Call all hooks.

        Args:
            fn_name (str): Name of their method; ``before_run`` is called once.
            **kwargs: Its arguments.
        """
        if fn_name == 'before_run' and vars(self).pop('_ready', False):
            return
        super().call_hook(fn_name, **kwargs)

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """Register mmengine's default hooks and those of mmsnn, as
        :class:`mmsnn.engine.runner.ResumableRunner` does.

        Args:
            hooks (dict, optional): The config's ``default_hooks``.
        """
        super().register_default_hooks(with_default_hooks(hooks))

    def register_hooks(self, default_hooks: dict | None = None,
                       custom_hooks: list | None = None) -> None:
        """Register hooks; those that average weights average parts of them
        where each process has a part.

        Args:
            default_hooks (dict, optional): The config's ``default_hooks``.
            custom_hooks (list, optional): The config's ``custom_hooks``.
        """
        super().register_hooks(default_hooks, custom_hooks)
        if isinstance(self.strategy, FSDPStrategy):
            for hook in self.hooks:
                if isinstance(hook, EMAHook):
                    average_shards(hook)
