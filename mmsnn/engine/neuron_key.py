"""The key ``neuron`` of a config: one key for all neurons of a model."""

import copy
from collections.abc import Callable
from typing import Any

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


def merge_options(cfg: Config, options: dict | None) -> None:
    """Merge ``--cfg-options`` into a config, a ``neuron`` into its model too.

    At the top of a config ``neuron`` is only a name for what stands in
    ``model.*.neuron``, so that changing it alone would change nothing. What
    a part of the model has of its own stays (``scale`` of a classifier's
    head). With another type, only the keys among the options are kept:
    ``neuron.type=ReLU`` makes the ReLU twin. ``neuron.timesteps`` is also the
    number of bins of frames of events, where it was.

    Args:
        cfg (Config): The config, changed in place.
        options (dict, optional): By dotted key.

    Raises:
        ValueError: ``neuron`` is among the options, but the config has none,
            or no part of its model has a neuron of that type; or
            ``neuron.timesteps`` is, for a model with a RoI head.

    Example:
        >>> old = dict(type='mmsnn.SFANeuron', max_spikes=4)
        >>> cfg = Config(dict(
        ...     neuron=old,
        ...     model=dict(backbone=dict(neuron=old),
        ...                head=dict(neuron=dict(old, scale=1.)))))
        >>> merge_options(cfg, {'neuron.max_spikes': 8})
        >>> cfg.model.head.neuron.max_spikes, cfg.model.head.neuron.scale
        (8, 1.0)
    """
    before = copy.deepcopy(cfg.get('neuron')) or {}
    cfg.merge_from_dict(options or {})
    given = {key.partition('.')[2] for key in options or {}
             if key.startswith('neuron.')}
    if not given:
        return
    if 'timesteps' in given and 'roi_head' in cfg.model:
        raise ValueError(
            'neuron.timesteps is not for all parts of a two-stage detector: '
            'behind a neck that averages over time there is one time step; '
            'set model.backbone.neuron.timesteps and '
            'model.neck.neuron.timesteps')
    after = cfg.neuron
    same = after.get('type') == before.get('type')
    if not same:
        after = {k: v for k, v in after.items() if k in given}
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
    if 'timesteps' in given:
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            if cfg.get(name):
                cfg[name] = map_bins(cfg[name], before.get('timesteps', 1),
                                     after['timesteps'])


def map_bins(part: Any, old: int, new: int) -> Any:
    """Replace the number of bins of all transforms that make frames of events.

    Args:
        part: A dict, list or tuple, or anything else, which is returned as
            it is.
        old (int): Transforms with another number stay as they are.
        new (int): The new number.

    Returns:
        A copy of ``part``.

    Example:
        >>> map_bins([dict(type='mmsnn.EventHistogram', bins=4, by='time'),
        ...           dict(type='mmsnn.EventVoxelGrid', bins=3)], 4, 8)
        [{'type': 'mmsnn.EventHistogram', 'bins': 8, 'by': 'time'}, \
{'type': 'mmsnn.EventVoxelGrid', 'bins': 3}]
    """
    if isinstance(part, dict):
        found = {key: map_bins(value, old, new) for key, value in part.items()}
        if found.get('bins') == old and str(
                found.get('type')).startswith('mmsnn.Event'):
            found['bins'] = new
        return type(part)(found)
    if isinstance(part, (list, tuple)):
        return type(part)(map_bins(x, old, new) for x in part)
    return part


def _differing(neuron: dict, base: dict) -> dict:
    return {k: v for k, v in neuron.items() if k not in base or base[k] != v}
