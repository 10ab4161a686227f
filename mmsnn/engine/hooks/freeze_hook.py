"""Stops the training of parts of a model."""

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmsnn.registry import HOOKS


@HOOKS.register_module()
class FreezeHook(Hook):
    """Stops the training of parts of a model after some iterations.

    A change of weights flips spikes, and each flip changes what the layers
    behind see by a whole step, however small the change was. So heads learn
    from features that differ each time, even at a tiny learning rate of
    backbone and neck. Frozen, these give the same features for the same
    image. Where nothing trained is in front of them, they need no backward
    pass either.

    From iteration ``begin`` on, the parts get no gradients and stay in
    evaluation mode: norms keep their statistics, nothing is dropped. Gradients
    that are accumulated at that iteration are dropped. Averaged weights
    (``EMAHook``) go on moving towards the frozen ones. After training, the
    parts can be trained again.

    Args:
        modules (Sequence[str]): Paths of modules in the model.
        begin (int): Iterations that they are trained for. Defaults to 0:
            they keep their weights.

    Raises:
        ValueError: If ``modules`` or ``begin`` is not valid, if the model has
            no such module, or if it is distributed and would wait for
            gradients that do not come.

    Example:
        >>> custom_hooks = [dict(type='mmsnn.FreezeHook',
        ...                      modules=['backbone', 'neck'], begin=1500)]
    """

    def __init__(self, modules: Sequence[str], begin: int = 0) -> None:
        if isinstance(modules, str) or not modules:
            raise ValueError('FreezeHook.modules must be a list of module '
                             f'paths such as ["backbone"], not {modules!r}')
        if begin < 0:
            raise ValueError(
                f'FreezeHook.begin = {begin} must not be negative')
        self.modules = list(modules)
        self.begin = begin

    def before_train(self, runner: Runner) -> None:
        """Find the parts."""
        model = runner.model
        if is_model_wrapper(model):
            if not getattr(model, 'find_unused_parameters', True):
                raise ValueError(
                    'FreezeHook in distributed training needs '
                    'find_unused_parameters = True in the config')
            model = model.module
        # Parts of a sharded model have wrappers of their own.
        parts = {name.replace('_fsdp_wrapped_module.', ''): part
                 for name, part in model.named_modules()}
        missing = [name for name in self.modules if name not in parts]
        if missing:
            raise ValueError(
                f'FreezeHook.modules: the model has no {", ".join(missing)}; '
                'it consists of '
                f'{", ".join(name for name, _ in model.named_children())}')
        self._parts = [parts[name] for name in self.modules]
        self._frozen = False
        self._parameters = []

    def before_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Freeze the parts once it is time, and keep them in eval mode."""
        if runner.iter < self.begin:
            return
        if not self._frozen:
            self._frozen = True
            runner.logger.info(
                f'{", ".join(self.modules)}: not trained from iteration '
                f'{runner.iter} on')
            for part in self._parts:
                for parameter in part.parameters():
                    if parameter.requires_grad:
                        self._parameters.append(parameter)
                        parameter.requires_grad = False
                        parameter.grad = None
        for part in self._parts:
            part.eval()

    def after_train(self, runner: Runner) -> None:
        """Let the parts be trained again."""
        for parameter in self._parameters:
            parameter.requires_grad = True
