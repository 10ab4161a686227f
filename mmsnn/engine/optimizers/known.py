"""Optimisers that a config may name."""

from mmengine.config import Config
from mmengine.registry import OPTIMIZERS, DefaultScope

from mmsnn.suggest import did_you_mean


def check_optimizer(cfg: Config) -> None:
    """Check that the optimiser of a config is registered.

    mmengine asks for it in a way that gives None where it is not.

    Args:
        cfg (Config): With ``default_scope``.

    Raises:
        ValueError: It is not; the message names the key.

    Example:
        >>> check_optimizer(Config(dict(
        ...     default_scope='mmseg',
        ...     optim_wrapper=dict(optimizer=dict(type='AdmaW')))))
        Traceback (most recent call last):
        ValueError: optim_wrapper.optimizer.type: no optimiser 'AdmaW' is
        registered (did you mean 'AdamW'?)
    """
    optimizer = (cfg.get('optim_wrapper') or {}).get('optimizer') or {}
    kind = optimizer.get('type')
    if not isinstance(kind, str):
        return
    with (DefaultScope.overwrite_default_scope(cfg.get('default_scope')),
          OPTIMIZERS.switch_scope_and_registry(None) as registry):
        if registry.get(kind) is None:
            near = did_you_mean(kind, OPTIMIZERS.module_dict)
            raise ValueError('optim_wrapper.optimizer.type: no optimiser '
                             f'{kind!r} is registered{near}')
