"""Training and testing in several processes on CPU."""

from mmengine.dist import broadcast
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmsnn.engine.compiling import compile_parts
from mmsnn.engine.gloo import connect, needs_gloo, synchronised, wrapped
from mmsnn.registry import RUNNERS

# Default hooks beside mmengine's.
_DEFAULT_HOOKS = dict(
    exact_resume='mmsnn.ExactResumeHook', finite_loss='mmsnn.FiniteLossHook')


def with_default_hooks(hooks: dict | None) -> dict:
    """The config's default hooks and those of mmsnn.

    Args:
        hooks (dict, optional): The config's ``default_hooks``.

    Returns:
        dict: A new one, without those of mmsnn that the config leaves out.
    """
    hooks = dict(hooks or {})
    for name, kind in _DEFAULT_HOOKS.items():
        hook = hooks.get(name, {})
        if isinstance(hook, dict):
            hooks[name] = dict(dict(type=kind), **hook)
        elif hook is None:
            del hooks[name]
    return hooks


@RUNNERS.register_module()
class ResumableRunner(Runner):
    """A Runner whose runs can be resumed exactly and stop at a loss that is
    not finite, and whose key ``compile`` compiles parts of the model
    (:func:`mmsnn.engine.compiling.compile_parts`).

    It is mmengine's with two more default hooks, which a config changes or
    leaves out (None) like the others: ``default_hooks.exact_resume``
    (:class:`mmsnn.engine.hooks.ExactResumeHook`) and
    ``default_hooks.finite_loss`` (:class:`mmsnn.engine.hooks.FiniteLossHook`).
    :func:`mmsnn.engine.cli.build_runner` chooses it.
    """

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """Register mmengine's default hooks and those of this class.

        Args:
            hooks (dict, optional): The config's ``default_hooks``.
        """
        super().register_default_hooks(with_default_hooks(hooks))

    def _maybe_compile(self, target: str) -> None:
        log_compiled(self, compile_parts(self.model, self.cfg.get('compile')))


def log_compiled(runner, parts: list[str]) -> None:
    """Say what is compiled.

    Args:
        runner (Runner): mmengine's Runner.
        parts (list[str]): What :func:`.compiling.compile_parts` returned.
    """
    if parts:
        names = ', '.join(f'model.{name}' for name in parts)
        runner.logger.info(f'torch.compile: {names}, in training; the first '
                           'iteration takes minutes')


@RUNNERS.register_module()
class GlooRunner(ResumableRunner):
    """A Runner whose processes talk over gloo where there is no accelerator.

    mmengine's own Runner chooses a CUDA device for every process, hands it
    to ``DistributedDataParallel`` and keeps PyTorch's synchronised norms, all
    of which fail on CPU. With an accelerator, or without a launcher, this is a
    :class:`ResumableRunner`. :func:`mmsnn.engine.cli.build_runner` chooses it.
    """

    def setup_env(self, env_cfg: dict) -> None:
        """Initialise gloo before the environment is set up.

        Args:
            env_cfg (dict): The config's ``env_cfg``; of ``dist_cfg`` only
                ``timeout`` (s) is used.
        """
        if needs_gloo(self.launcher):
            connect(self.launcher, env_cfg.get('dist_cfg'))
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None,
                   model: nn.Module) -> nn.Module:
        """Wrap a model for data-parallel training.

        On CPU, synchronised norms become :class:`mmsnn.layers.SyncBatchNorm`.

        Args:
            model_wrapper_cfg (dict, optional): The config's
                ``model_wrapper_cfg``.
            model (nn.Module): The model.

        Returns:
            nn.Module: The wrapped model.
        """
        if not needs_gloo(self.launcher) or is_model_wrapper(model):
            return super().wrap_model(model_wrapper_cfg, model)
        unused = self.cfg.get('find_unused_parameters', False)
        return wrapped(
            synchronised(model, self.cfg.get('sync_bn')),
            dict(dict(find_unused_parameters=unused),
                 **model_wrapper_cfg or {}))

    def train(self) -> nn.Module:
        """Train; in the end, buffers such as running statistics are those of
        the first process, which its checkpoints hold, in all.

        Returns:
            nn.Module: The model.
        """
        model = super().train()
        for buffer in model.buffers():
            broadcast(buffer)
        return model
