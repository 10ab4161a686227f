"""Stops a training whose loss is not finite."""

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmengine.hooks import Hook
from torch.nn.parallel import DistributedDataParallel

from mmsnn.conversion.upstream.random_numbers import RandomNumbers
from mmsnn.engine.not_finite import first_not_finite, wrappers_of
from mmsnn.registry import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops the training, or warns, once a loss is not finite.

    The error says the iteration and the first layer whose output was not
    finite: for that, the batch is run once more with the same random numbers.
    Weights are not updated before, so checkpoints stay good. Of several
    processes all stop. Steps that mixed precision leaves out, because scaled
    gradients are infinite, are not meant. mmsnn's tools use the hook without
    being asked, as ``default_hooks.finite_loss``.

    Args:
        action (str): ``'stop'`` ends the training with an error; ``'warn'``
            warns and lets the optimiser take its step. Defaults to
            ``'stop'``.

    Raises:
        ValueError: ``action`` is something else.

    Example:
        >>> default_hooks = dict(
        ...     finite_loss=dict(type='mmsnn.FiniteLossHook', action='warn'))
    """

    def __init__(self, action: str = 'stop') -> None:
        if action not in ('stop', 'warn'):
            raise ValueError("FiniteLossHook.action must be 'stop' or "
                             f"'warn', but is {action!r}")
        self.action = action
        self._explained = False

    def before_train(self, runner) -> None:
        """Look at each loss before the optimiser takes its step."""
        for wrapper in wrappers_of(runner.optim_wrapper):
            self._look_in(runner, wrapper)

    def before_train_iter(self, runner, batch_idx: int,
                          data_batch=None) -> None:
        """Keep what a second run of the batch needs."""
        self._batch = data_batch
        self._numbers = RandomNumbers()

    def after_train(self, runner) -> None:
        """Look no longer."""
        self._batch = None
        for wrapper in wrappers_of(runner.optim_wrapper):
            vars(wrapper).pop('backward', None)

    def _look_in(self, runner, wrapper) -> None:
        backward = wrapper.backward

        # Behind the backward pass, so that a GPU need not wait for the answer
        # before that, and all processes have come as far.
        def backward_and_look(loss: torch.Tensor, **kwargs):
            backward(loss, **kwargs)
            bad = (~loss.detach().isfinite()).any().float()
            if get_world_size() > 1:
                all_reduce(bad, 'max')
            if bad:
                self._act(runner, loss)

        wrapper.backward = backward_and_look

    def _act(self, runner, loss: torch.Tensor) -> None:
        found = f'iteration {runner.iter + 1}: the loss is not finite'
        if not self._explained:
            self._explained = True
            reasons = all_gather_object(
                (bool(loss.isfinite().all()), self._explain(runner)))
            number, (_, reason) = next(
                (i, x) for i, x in enumerate(reasons) if not x[0])
            where = f' in process {number}' if len(reasons) > 1 else ''
            found += f'{where}; {reason}'
        if self.action == 'warn':
            runner.logger.warning(found)
            return
        raise FloatingPointError(
            f"{found}; default_hooks.finite_loss.action='warn' goes on all "
            'the same')

    def _explain(self, runner) -> str:
        model = runner.model
        if isinstance(model, DistributedDataParallel):
            model = model.module
        try:
            first, losses = first_not_finite(
                model, self._batch, runner.optim_wrapper, self._numbers)
        except Exception as error:
            return f'a second run of the batch failed: {error}'
        if first.path is None and not losses:
            return 'in a second run of the batch it was finite'
        names = ', '.join(losses)
        if first.path is None:
            return ('the outputs of all layers are finite, so it is the '
                    f'computation of {names}, or the annotations')
        if first.path == 'data_preprocessor':
            return f'the images are not finite already ({names})'
        weights = ', '.join(f'{first.path}.{name}' for name in first.weights)
        return (f'the first layer whose output is not finite is {first.path}'
                f'{f", as its weights {weights} are not" if weights else ""} '
                f'({names})')
