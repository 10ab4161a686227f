"""Builds the neuron that a config names."""

import inspect

from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

from .keys import no_such_key
from .spiking import SpikingNeuron


def build_neuron(cfg: dict, **options) -> nn.Module:
    """Build the neuron that the config key ``neuron`` names.

    Args:
        cfg (dict): Config of a spiking neuron, or of any activation layer
            (``dict(type='ReLU')`` gives the ReLU twin of a model).
        **options: Keys of this particular neuron, e.g. ``scale``,
            ``threshold``, ``slope``, ``inplace``. Activations that are not
            spiking ignore them.

    Returns:
        nn.Module: The neuron; :func:`is_spiking` tells which kind.

    Raises:
        TypeError: If ``cfg`` is not a dict with the key ``type``, or has a
            key that its neuron does not have (the message has the nearest),
            or the neuron does not take one of ``options``.
        ValueError: If ``cfg`` has the key ``inplace``.

    Example:
        >>> build_neuron(dict(type='mmsnn.SFANeuron'), scale=1.0)
        SFANeuron(max_spikes=4, scale=1, threshold=1)
        >>> build_neuron(dict(type='ReLU'), scale=1.0)
        ReLU()
    """
    if not isinstance(cfg, dict) or 'type' not in cfg:
        raise TypeError('neuron must be a config dict with the key type, '
                        "e.g. dict(type='mmsnn.SFANeuron', max_spikes=4), "
                        f'but is {cfg!r}')
    if 'inplace' in cfg:
        raise ValueError('neuron.inplace can not be configured: the layer '
                         'that owns the membrane decides; leave it out')
    kind = cfg['type']
    kind = ROOT_MODELS.get(kind) if isinstance(kind, str) else kind
    if isinstance(kind, type) and issubclass(kind, SpikingNeuron):
        _check_takes(kind, options)
        cfg = {**cfg, **options}
    elif isinstance(kind, type):
        _check_activation(kind, cfg)
    return ROOT_MODELS.build(cfg)


def _check_takes(kind: type[SpikingNeuron], options: dict) -> None:
    """Check that a neuron's class takes the keys that a layer gives it."""
    parameters = inspect.signature(kind).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in options:
        if name not in parameters:
            raise TypeError(
                f'{kind.__name__} takes no {name}, which the layer around it '
                'gives: let its __init__ take **keys and pass them on')


def _check_activation(kind: type, cfg: dict) -> None:
    """Check that an activation has no keys of a spiking neuron."""
    parameters = inspect.signature(kind).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in cfg:
        if name not in ('type', '_scope_', *parameters):
            raise TypeError(f'{no_such_key(kind, name)}; _delete_=True drops '
                            'the keys that a config has from its base')


def is_spiking(neuron: nn.Module) -> bool:
    """Whether a neuron fires spikes (an activation such as ReLU does not).

    Args:
        neuron (nn.Module): Any module.

    Returns:
        bool: Whether it is a :class:`.spiking.SpikingNeuron`.

    Example:
        >>> is_spiking(SpikingNeuron()), is_spiking(nn.ReLU())
        (True, False)
    """
    return isinstance(neuron, SpikingNeuron)
