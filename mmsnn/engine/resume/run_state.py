"""What a process of a run holds beside weights, optimiser and schedule."""

from collections.abc import Iterator
from functools import wraps
from itertools import chain

import torch
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook
from mmengine.optim import _ParamScheduler
from torch import nn

from mmsnn.checkpoints.trust import going_on_from
from mmsnn.conversion.upstream.random_numbers import RandomNumbers
from mmsnn.engine.whole_model import unwrapped

# What hooks of mmengine count, which have no state_dict.
_COUNTS = {EarlyStoppingHook: ('best_score', 'wait_count')}


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    """Gradients that are accumulated, of this process alone.

    Args:
        model (nn.Module): Wrapped or not.

    Returns:
        dict[str, Tensor]: Copies on the CPU, by the name of the parameter;
        parameters without a gradient are left out.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> model.weight.sum().backward()
        >>> gradients(model)
        {'weight': tensor([[1., 1.]])}
    """
    return {
        name: parameter.grad.detach().cpu().clone()
        for name, parameter in unwrapped(model).named_parameters()
        if parameter.grad is not None
    }


def set_gradients(model: nn.Module, found: dict[str, torch.Tensor]) -> None:
    """Give parameters the gradients that :func:`gradients` has found.

    Args:
        model (nn.Module): Wrapped or not.
        found (dict[str, Tensor]): Gradients by the name of the parameter.
            Parameters that are not among them keep theirs.
    """
    for name, parameter in unwrapped(model).named_parameters():
        if name in found:
            parameter.grad = found[name].to(parameter)


def buffers(runner) -> dict[str, torch.Tensor]:
    """Buffers of the model and of averaged models.

    Args:
        runner (Runner): With its model and hooks.

    Returns:
        dict[str, Tensor]: Copies on the CPU, by path.
    """
    return {
        name: value.detach().cpu().clone()
        for name, value in _buffers(runner)
    }


def set_buffers(runner, found: dict[str, torch.Tensor]) -> None:
    """Give buffers the values that :func:`buffers` has found.

    Args:
        runner (Runner): With its model and hooks.
        found (dict[str, Tensor]): Values by path. Buffers that are not among
            them keep theirs.
    """
    for name, value in _buffers(runner):
        if name in found:
            value.data.copy_(found[name])


def _buffers(runner) -> Iterator[tuple[str, torch.Tensor]]:
    yield from unwrapped(runner.model).named_buffers('model')
    for hook in runner.hooks:
        averaged = getattr(hook, 'ema_model', None)
        if isinstance(averaged, nn.Module):
            yield from averaged.named_buffers('ema_model')


def random_numbers(state: dict) -> RandomNumbers:
    """Random states of a process; those of GPUs only where there are as many.

    Args:
        state (dict): What ``RandomNumbers.state_dict`` gave.

    Returns:
        RandomNumbers: To be restored.

    Example:
        >>> before = RandomNumbers()
        >>> random_numbers(before.state_dict()) == before
        True
    """
    if len(state['gpus']) != RandomNumbers().gpus:
        state = dict(state, gpus=[])
    return RandomNumbers.of(state)


def attributes(schedulers: dict | list | None) -> list[set[str]]:
    """Names of what each schedule holds, which tells kinds of them apart.

    Args:
        schedulers (dict | list, optional): A Runner's ``param_schedulers``,
            or their states in a checkpoint.

    Returns:
        list[set[str]]: One for each schedule.

    Example:
        >>> attributes([dict(last_step=3, gamma=0.1)]) == [
        ...     {'last_step', 'gamma'}]
        True
    """
    if isinstance(schedulers, dict):
        schedulers = [*chain(*schedulers.values())]
    return [
        set(x.state_dict() if isinstance(x, _ParamScheduler) else x)
        for x in schedulers or []
    ]


def check_first_step(optimizer: torch.optim.Optimizer, file: str) -> None:
    """Let the first step of an optimiser say that the state that it has from
    a file is not one of its own.

    Args:
        optimizer (Optimizer): Changed until its first step.
        file (str): Name of the checkpoint.
    """
    step, own = optimizer.step, vars(optimizer).get('step')

    @wraps(step)
    def first_step(*args, **kwargs):
        del optimizer.step
        if own is not None:  # that of a schedule, which counts
            optimizer.step = own
        with going_on_from(f'the optimiser state in {file}'):
            return step(*args, **kwargs)

    optimizer.step = first_step


def hook_states(hooks: list[Hook]) -> dict[str, dict]:
    """States of hooks that have ``state_dict``, and what mmengine's count.

    Args:
        hooks (list[Hook]): Those of a runner.

    Returns:
        dict[str, dict]: By the name of the class, which is numbered from the
        second of a class on.

    Example:
        >>> hook = EarlyStoppingHook('accuracy/top1', rule='greater')
        >>> hook.wait_count = 3
        >>> hook_states([hook])
        {'EarlyStoppingHook': {'best_score': -inf, 'wait_count': 3}}
    """
    states = {}
    for name, hook in _named(hooks):
        if hasattr(hook, 'state_dict'):
            states[name] = hook.state_dict()
        elif type(hook) in _COUNTS:
            states[name] = {k: getattr(hook, k) for k in _COUNTS[type(hook)]}
    return states


def states_before_checkpoints(hooks: list[Hook]) -> None:
    """Let hooks that have a state come before the one that writes it down.

    ``EarlyStoppingHook`` would come behind it, and a checkpoint would hold
    what it was before the last validation.

    Args:
        hooks (list[Hook]): Those of a runner, sorted in place.
    """
    first = next((i for i, hook in enumerate(hooks)
                  if isinstance(hook, CheckpointHook)), len(hooks))
    behind = hooks[first:]
    hooks[first:] = sorted(behind, key=lambda hook: not hook_states([hook]))


def set_hook_states(hooks: list[Hook], states: dict[str, dict]) -> None:
    """Give hooks the states that :func:`hook_states` has found.

    Args:
        hooks (list[Hook]): Those of a runner.
        states (dict[str, dict]): States by name. Hooks that are not among
            them stay as they are.
    """
    for name, hook in _named(hooks):
        if name in states and hasattr(hook, 'load_state_dict'):
            hook.load_state_dict(states[name])
        elif name in states:
            # Never what a file names: it could set any attribute.
            for key in _COUNTS.get(type(hook), ()):
                setattr(hook, key, states[name].get(key, getattr(hook, key)))


def _named(hooks: list[Hook]) -> Iterator[tuple[str, Hook]]:
    """Hooks with the names of their classes, numbered where one is there
    again."""
    met: dict[str, int] = {}
    for hook in hooks:
        kind = type(hook).__name__
        met[kind] = met.get(kind, 0) + 1
        yield (kind if met[kind] == 1 else f'{kind}.{met[kind]}'), hook
