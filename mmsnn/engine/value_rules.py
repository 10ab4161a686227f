"""What values of a config must be, where upstream would not say their key."""

import logging
import math
from collections.abc import Callable
from typing import Any


def is_number(value: Any) -> bool:
    """Whether a value is a number, which True and False are not.

    Args:
        value (Any): The value.

    Example:
        >>> is_number(1e-3), is_number('1e-3'), is_number(True)
        (True, False, False)
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_amount(value: Any) -> bool:
    return is_number(value) and math.isfinite(value) and value >= 0


def _is_integer(value: Any, least: int) -> bool:
    return (is_number(value) and math.isfinite(value)
            and value == int(value) and value >= least)


_POSITIVE = 'a positive integer', lambda x: _is_integer(x, 1)
_COUNT = 'an integer of 0 or more', lambda x: _is_integer(x, 0)
_INTEGER = 'an integer', lambda x: _is_integer(x, -2**63)
_AMOUNT = 'a finite number of 0 or more', _is_amount
_NUMBER = 'a number', is_number
_FLAG = 'True or False', lambda x: isinstance(x, bool)
_PART = 'a dict', lambda x: not isinstance(x, (bool, int, float, str))
_PARTS = 'a dict or a list of dicts', lambda x: all(map(
    _PART[1], x if isinstance(x, (list, tuple)) else [x]))
_LEVEL = 'a level of logging such as INFO', lambda x: isinstance(
    x, int) or isinstance(logging.getLevelName(x), int)
_START = "'fork', 'spawn' or 'forkserver'", lambda x: x in (
    'fork', 'spawn', 'forkserver')
_STEPS = 'a list of integers', lambda x: isinstance(
    x, (list, tuple)) and all(_is_integer(n, 0) for n in x)

#: Key -> what its value must be, in words, and whether it is. An asterisk is
#: any key or index. They are those that upstream reads late, or not as a
#: class that is built.
VALUES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys((
        'model', 'train_dataloader', 'val_dataloader', 'test_dataloader',
        'train_cfg', 'val_cfg', 'test_cfg', 'optim_wrapper', 'default_hooks',
        'default_hooks.*', 'visualizer', 'log_processor', 'env_cfg',
        'env_cfg.dist_cfg', 'env_cfg.mp_cfg', 'randomness',
        '*_dataloader.dataset', '*_dataloader.sampler',
        'optim_wrapper.optimizer', 'optim_wrapper.clip_grad',
        'optim_wrapper.paramwise_cfg'), _PART),
    **dict.fromkeys(('param_scheduler', 'custom_hooks', 'val_evaluator',
                     'test_evaluator'), _PARTS),
    '*_dataloader.batch_size': _POSITIVE,
    '*_dataloader.num_workers': _COUNT,
    '*_dataloader.prefetch_factor': _POSITIVE,
    '*_dataloader.persistent_workers': _FLAG,
    '*_dataloader.pin_memory': _FLAG,
    'train_cfg.max_epochs': _POSITIVE,
    'train_cfg.max_iters': _POSITIVE,
    'train_cfg.val_interval': _POSITIVE,
    'train_cfg.val_begin': _COUNT,
    'optim_wrapper.accumulative_counts': _POSITIVE,
    'optim_wrapper.optimizer.lr': _AMOUNT,
    'optim_wrapper.optimizer.weight_decay': _AMOUNT,
    'optim_wrapper.optimizer.momentum': _AMOUNT,
    'param_scheduler.*.milestones': _STEPS,
    'param_scheduler.*.begin': _COUNT,
    'param_scheduler.*.end': _NUMBER,
    'param_scheduler.*.by_epoch': _FLAG,
    'param_scheduler.*.start_factor': _AMOUNT,
    'param_scheduler.*.end_factor': _AMOUNT,
    'param_scheduler.*.gamma': _AMOUNT,
    'param_scheduler.*.power': _AMOUNT,
    'param_scheduler.*.eta_min': _AMOUNT,
    'param_scheduler.*.T_max': _POSITIVE,
    'default_hooks.checkpoint.interval': _INTEGER,
    'default_hooks.checkpoint.max_keep_ckpts': _INTEGER,
    'default_hooks.logger.interval': _POSITIVE,
    'env_cfg.dist_cfg.timeout': _AMOUNT,
    'env_cfg.mp_cfg.mp_start_method': _START,
    'log_level': _LEVEL,
    'auto_scale_lr.base_batch_size': _POSITIVE,
    'find_unused_parameters': _FLAG,
    'randomness.seed': _INTEGER,
}
#: Those that are whole numbers.
WHOLE = _POSITIVE, _COUNT, _INTEGER
