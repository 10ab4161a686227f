"""Configs of mmdet and mmseg with a tiny spiking backbone."""

import copy
from typing import Any

import numpy as np

from mmsnn.models.backbones.strides import read_outputs

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=4)
#: All stages have one width, so that a head may read any of them.
WIDTH = 16
ARCH = dict(embed_dims=[WIDTH] * 4, depths=[1] * 5, num_heads=4)
STAGES = (2, 4, 8, 16, 16)
#: Strides of upstream's backbones; those of ResNets are the default.
STRIDES = dict(
    CSPDarknet=(8, 16, 32), CSPNeXt=(8, 16, 32), Darknet=(8, 16, 32),
    HourglassNet=(4, 4), SSDVGG=(8, 16), FastSCNN=(8, 32, 8),
    HRNet=(4, 8, 16, 32), ICNet=(16, 8, 4), MobileNetV3=(4, 8, 16),
    STDCContextPathNet=(8, 8, 16, 8), EfficientNet=(8, 16, 32))
#: Sides of the pictures, and those for heads and necks with convolutions or
#: poolings that have no padding, or with large maps.
SIDE = dict(mmdet=128, mmseg=64)
SIDES = dict(
    DDODHead=264, SSDHead=300, LRASPPHead=784, Feature2Pyramid=32)
#: The most regions or queries of a picture.
REGIONS = 32
#: Keys of necks and heads for the width of what they read.
WIDTHS = ('in_channels', 'c1_in_channels', 'in_channel', 'embed_dim')
#: Necks that hand widths on to heads.
HAND_ON = dict(
    Feature2Pyramid=('decode_head', 'auxiliary_head'),
    JPU=('auxiliary_head', ))


def strides_of(backbone: dict) -> tuple[int, ...]:
    """Strides of the maps that an upstream backbone returns.

    Args:
        backbone (dict): Its config.

    Returns:
        tuple[int, ...]: One of each map.
    """
    kind = backbone['type'].split('.')[-1]
    if kind in STRIDES:
        return STRIDES[kind]
    indices = backbone.get('out_indices', (0, 1, 2, 3))
    indices = (indices, ) if isinstance(indices, int) else indices
    strides = 4 * np.cumprod([1, *backbone.get('strides', (1, 2, 2, 2))[1:]])
    if all(i in range(len(strides)) for i in indices):
        return tuple(int(strides[i]) for i in indices)
    return (4, 8, 16, 16)[-len(indices):]  # of a transformer with one stride


def spiking_backbone(strides: tuple[int, ...]) -> dict:
    """Config of a tiny E-SpikeFormer that gives as many maps.

    Args:
        strides (tuple[int, ...]): Strides of the maps it replaces.

    Returns:
        dict: With ``out_strides`` where its stages can be led to these, else
        with the strides of its own last stages.
    """
    config = dict(type='mmsnn.ESpikeFormer', arch=ARCH, neuron=NEURON)
    try:
        read_outputs(None, strides, STAGES)
    except ValueError:
        config['out_indices'] = tuple(range(5))[-len(strides):]
    else:
        config['out_strides'] = strides
    return config


def side_of(model: dict, framework: str) -> int:
    """Height and width of the pictures for a model.

    Args:
        model (dict): ``model`` of an upstream config.
        framework (str): ``'mmdet'`` or ``'mmseg'``.

    Returns:
        int: In pixels.
    """
    parts = (model.get(key) for key in ('neck', 'bbox_head', 'decode_head'))
    kinds = [part.get('module', part)['type'] for part in parts
             if isinstance(part, dict)]
    return next((SIDES[kind] for kind in kinds if kind in SIDES),
                SIDE[framework])


def adapt(model: dict, framework: str) -> dict:
    """The config of a model with a spiking backbone, neck and heads.

    Args:
        model (dict): ``model`` of an upstream config.
        framework (str): ``'mmdet'`` or ``'mmseg'``.

    Returns:
        dict: A config of its own.
    """
    model = _plain(copy.deepcopy(model))
    model['data_preprocessor'].pop('batch_augments', None)
    if framework == 'mmseg':
        model['data_preprocessor'].pop('size_divisor', None)
        model['data_preprocessor']['size'] = (side_of(
            model, framework), ) * 2
        model['test_cfg'] = dict(model.get('test_cfg') or {}, mode='whole')
    parts = [k for k, v in model.items() if _is_part(k, v)]
    model['backbone'] = spiking_backbone(strides_of(model['backbone']))
    _set_widths(model, parts)
    if {'encoder', 'decoder'} & model.keys():  # the detector in one piece
        return _wrapped(model)
    for key in parts:
        part = model[key]
        model[key] = ([_wrapped(x) for x in part] if isinstance(part, list)
                      else _wrapped(part))
    return model


def _plain(config: Any) -> Any:
    """A config without weights to load and norms of several processes."""
    if isinstance(config, (list, tuple)):
        return type(config)(_plain(x) for x in config)
    if not isinstance(config, dict):
        return config
    config = {
        k: _plain(v)
        for k, v in config.items()
        if k != 'pretrained' and not (isinstance(v, dict) and v.get('type') ==
                                      'Pretrained')
    }
    if config.get('type') == 'SyncBN':
        config['type'] = 'BN'
    # Few regions are enough.
    sampler = config.get('sampler') or {}
    if sampler.get('num', 0) > REGIONS:
        sampler['num'] = REGIONS
    for key in ('max_per_img', 'num_queries', 'num_proposals'):
        if (config.get(key) or 0) > REGIONS:
            config[key] = REGIONS
    return config


def _is_part(key: str, value: Any) -> bool:
    return bool(value) and isinstance(value, (dict, list)) and (
        key == 'neck' or key.endswith(('_head', '_branch', 'shared_head'))
    ) and key != 'panoptic_fusion_head'


def _set_widths(model: dict, parts: list[str]) -> None:
    """Say how wide the maps are that come from the backbone."""
    neck = model.get('neck')
    if not neck:
        for key in parts:
            _set_width(model[key], key)
        return
    first = neck[0] if isinstance(neck, list) else neck
    _set_width(first, 'neck')
    for key in HAND_ON.get(first['type'], ()):
        _set_width(model.get(key), key)
    if first['type'] == 'SSDNeck':
        wide = first['out_channels'][len(first['in_channels']):]
        first['out_channels'] = (*first['in_channels'], *wide)
        model['bbox_head']['in_channels'] = first['out_channels']


def _set_width(config: Any, key: str) -> None:
    """Set the widths of what a part reads."""
    if isinstance(config, list):
        for part in config:
            _set_width(part, key)
    elif isinstance(config, dict):
        for name, value in config.items():
            if name in WIDTHS:
                config[name] = (
                    type(value)([WIDTH] * len(value)) if isinstance(
                        value, (list, tuple)) else WIDTH)
            elif name == 'kernel_generate_head' or (
                    key == 'roi_head' and name.endswith('_head')):
                _set_width(value, key)


def _wrapped(module: dict) -> dict:
    return dict(type='mmsnn.SpikingModule', neuron=NEURON, module=module)
