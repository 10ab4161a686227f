"""The key ``neuron`` of a config: one key for all neurons of a model."""

from typing import Any, Callable, Optional

from mmengine.config import Config


def map_neurons(part: Any, change: Callable[[dict], dict]) -> Any:
    """Replace the value of each key ``neuron`` in a nested config.

    Args:
        part: A dict, list or tuple, or anything else, which is returned as
            it is.
        change (Callable[[dict], dict]): Gives the new value.

    Returns:
        A copy of ``part`` with the new values.

    Example:
        >>> map_neurons(
        ...     dict(backbone=dict(depth=2, neuron=dict(type='ReLU'))),
        ...     lambda neuron: dict(neuron, type='GELU'))
        {'backbone': {'depth': 2, 'neuron': {'type': 'GELU'}}}
    """
    if isinstance(part, dict):
        return type(part)({
            key: change(value) if key == 'neuron' else map_neurons(
                value, change)
            for key, value in part.items()
        })
    if isinstance(part, (list, tuple)):
        return type(part)(map_neurons(x, change) for x in part)
    return part


def hand_on_neuron(cfg: Config, before: Optional[dict]) -> None:
    """Hand a ``neuron`` that ``--cfg-options`` changed on to the model.

    At the top of a config it is only a name for what stands in
    ``model.*.neuron``, so that changing it alone would change nothing. What
    a part of the model has of its own stays (``scale`` of a classifier's
    head, ``timesteps`` of a RoI head). With another type, only the keys that
    the options give are kept: ``neuron.type=ReLU`` makes the ReLU twin.

    Args:
        cfg (Config): The config, changed in place.
        before (dict, optional): Its ``neuron`` before the options.

    Raises:
        ValueError: The config had no ``neuron``, or no part of its model has
            a neuron of that type.

    Example:
        >>> old = dict(type='mmsnn.SFANeuron', max_spikes=4)
        >>> cfg = Config(dict(
        ...     neuron=dict(old, max_spikes=8),
        ...     model=dict(backbone=dict(neuron=old),
        ...                head=dict(neuron=dict(old, scale=1.)))))
        >>> hand_on_neuron(cfg, old)
        >>> cfg.model.head.neuron.max_spikes, cfg.model.head.neuron.scale
        (8, 1.0)
    """
    after = cfg.get('neuron')
    if after == before:
        return
    before = before or {}
    same = after.get('type') == before.get('type')
    if not same:
        after = _differing(after, before)
    changed = []

    def change(neuron: dict) -> dict:
        if not before or neuron.get('type') != before.get('type'):
            return neuron
        changed.append(neuron)
        own = _differing(neuron, before) if same else {}
        return type(neuron)(after, **own)

    model = map_neurons(cfg.model, change)
    if not changed:
        raise ValueError(
            '--cfg-options neuron... changes nothing: the model of '
            f'{cfg.filename or "this config"} has no neuron that its key '
            'neuron names; name each place, e.g. model.backbone.neuron')
    cfg.neuron, cfg.model = after, model


def _differing(neuron: dict, base: dict) -> dict:
    return {k: v for k, v in neuron.items() if k not in base or base[k] != v}
