"""Stops a training whose loss or membranes are not finite."""

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmengine.hooks import Hook
from torch.nn.parallel import DistributedDataParallel

from mmsnn.conversion.upstream.random_numbers import RandomNumbers
from mmsnn.engine.not_finite import (
    InfiniteMembranes,
    first_not_finite,
    wrappers_of,
)
from mmsnn.engine.whole_model import unwrapped
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

    In float16, membrane potentials beyond 65504 are infinite, and no loss
    shows it, since a neuron fires D spikes or none there. The hook looks at
    them in the first of each ``membrane_interval`` iterations, and does the
    same where one is infinite. A model under ``torch.compile`` is not seen.

    Args:
        action (str): ``'stop'`` ends the training with an error; ``'warn'``
            warns and lets the optimiser take its step. Defaults to
            ``'stop'``.
        membrane_interval (int): How often membrane potentials in float16 are
            looked at, in iterations; 0 is never. Defaults to 50.

    Raises:
        ValueError: A key is something else.

    Example:
        >>> default_hooks = dict(
        ...     finite_loss=dict(type='mmsnn.FiniteLossHook', action='warn'))
    """

    def __init__(self,
                 action: str = 'stop',
                 membrane_interval: int = 50) -> None:
        if action not in ('stop', 'warn'):
            raise ValueError("FiniteLossHook.action must be 'stop' or "
                             f"'warn', but is {action!r}")
        if not isinstance(membrane_interval, int) or membrane_interval < 0:
            raise ValueError('FiniteLossHook.membrane_interval must be a '
                             'number of iterations, or 0 for never, but is '
                             f'{membrane_interval!r}')
        self.action = action
        self.membrane_interval = membrane_interval
        self._explained = False
        self._membranes: InfiniteMembranes | None = None

    def before_train(self, runner) -> None:
        """Look at each loss before the optimiser takes its step."""
        for wrapper in wrappers_of(runner.optim_wrapper):
            self._look_in(runner, wrapper)

    def before_train_iter(self, runner, batch_idx: int,
                          data_batch=None) -> None:
        """Keep what a second run of the batch needs."""
        self._batch = data_batch
        self._numbers = RandomNumbers()
        every = self.membrane_interval
        if every and runner.iter % every == 0 and not runner.cfg.get(
                'compile'):
            self._membranes = InfiniteMembranes(unwrapped(runner.model))
            self._membranes.__enter__()

    def after_train_iter(self, runner, batch_idx: int, data_batch=None,
                         outputs=None) -> None:
        """Look at membranes no longer."""
        self._look_no_longer()
        self._membranes = None

    def after_train(self, runner) -> None:
        """Look no longer."""
        self._batch = None
        for wrapper in wrappers_of(runner.optim_wrapper):
            vars(wrapper).pop('backward', None)

    def _look_no_longer(self) -> None:
        if self._membranes is not None:
            self._membranes.__exit__()

    def _look_in(self, runner, wrapper) -> None:
        backward = wrapper.backward

        # Behind the backward pass, so that a GPU need not wait for the answer
        # before that, and all processes have come as far.
        def backward_and_look(loss: torch.Tensor, **kwargs):
            backward(loss, **kwargs)
            bad = (~loss.detach().isfinite()).any()
            if self._membranes is not None:
                bad = bad | self._membranes.any()
            bad = bad.float()
            if get_world_size() > 1:
                all_reduce(bad, 'max')
            if bad:
                self._act(runner, loss)

        wrapper.backward = backward_and_look

    def _act(self, runner, loss: torch.Tensor) -> None:
        found = f'iteration {runner.iter + 1}: '
        fault = self._fault(loss)
        if not self._explained:
            self._explained = True
            self._look_no_longer()
            reasons = all_gather_object((fault, self._explain(runner)))
            number, (fault, reason) = next(
                (i, x) for i, x in enumerate(reasons) if x[0])
            where = f' in process {number}' if len(reasons) > 1 else ''
            found += f'{fault}{where}; {reason}'
        else:
            found += fault or 'another process has numbers that are not finite'
        if self.action == 'warn':
            runner.logger.warning(found)
            return
        raise FloatingPointError(
            f"{found}; default_hooks.finite_loss.action='warn' goes on all "
            'the same')

    def _fault(self, loss: torch.Tensor) -> str:
        """What is not finite in this process; empty if nothing."""
        if not loss.isfinite().all():
            return 'the loss is not finite'
        paths = self._membranes.paths() if self._membranes else []
        if not paths:
            return ''
        more = f' and {len(paths) - 1} more' if len(paths) > 1 else ''
        return (f'membrane potentials of {paths[0]}{more} are infinite in '
                'float16, which bfloat16 and float32 would hold')

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
                f'{f", as its weights {weights} are not" if weights else ""}'
                f'{f" ({names})" if names else ""}')
