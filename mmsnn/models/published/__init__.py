"""Names of the published checkpoints, mapped to ours.

The method's authors publish state dicts with key names of their own. Rules
map parameters and neurons, one table per family; the blocks of a stage are
counted through.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable

import torch

from .families import FAMILIES, PRETRAINING
from .rules import rename

__all__ = [
    'FAMILIES', 'PRETRAINING', 'classifier_config', 'convert_state_dict',
    'family_of', 'left_out', 'neuron_paths', 'parameter_paths'
]

_ALL = {**PRETRAINING, **FAMILIES}


def family_of(state: Iterable[str]) -> str:
    """Family of a published state dict.

    Args:
        state (Iterable[str]): Its keys.

    Returns:
        str: A name of :data:`FAMILIES` or :data:`PRETRAINING`, ``'unknown'``
        if none fits.

    Example:
        >>> family_of({'ConvBlock1_1.0.Conv.pwconv1.1.weight': None})
        'espikeformer'
    """
    for name, family in _ALL.items():
        if any(re.search(family.mark, key) for key in state):
            return name
    return 'unknown'


def convert_state_dict(state: dict[str, torch.Tensor]) -> OrderedDict:
    """Rename a published state dict to that of a model of this suite.

    Args:
        state (dict[str, Tensor]): Published state dict of a classifier of
            any family in :data:`FAMILIES`, or of masked pre-training
            (:data:`PRETRAINING`).

    Returns:
        OrderedDict[str, Tensor]: Keys of the classifier that
        :func:`classifier_config` describes; or, of pre-training, those of
        the backbone and of the norm behind it (:func:`left_out` says what is
        missing).

    Raises:
        ValueError: If the state is of another family, or has a key that no
            rule maps, or nothing is left; the message names it.
    """
    family = family_of(state)
    if family not in _ALL:
        raise ValueError(
            f'the checkpoint is of the family {family!r} (first keys: '
            f'{", ".join(list(state)[:3])}); only {", ".join(_ALL)} can be '
            'converted')
    converted = OrderedDict()
    for old, new in parameter_paths(state, family).items():
        value = state[old]
        if value.dim() == 3:  # Conv1d over tokens is a 1x1 Conv2d
            value = value.unsqueeze(-1)
        converted[new] = value
    if not any(key.startswith('backbone.') for key in converted):
        raise ValueError(
            f'the checkpoint is of the family {family!r}, but has no weights '
            f'of an encoder (first keys: {", ".join(list(state)[:3])})')
    return converted


def left_out(state: Iterable[str]) -> dict[str, list[str]]:
    """Keys that :func:`convert_state_dict` leaves out.

    Args:
        state (Iterable[str]): Keys of a published state dict.

    Returns:
        dict[str, list[str]]: The keys by the reason.

    Example:
        >>> left_out(['pos_embed', 'mask_token', 'norm.running_mean'])
        {'position embedding that its encoder never uses': ['pos_embed'],
         'decoder, which shuffles its tokens: ours has them in their own
         places': ['mask_token']}
    """
    family = _ALL.get(family_of(state))
    found = {}
    for pattern, reason in family.left_out if family else ():
        keys = [key for key in state if re.fullmatch(pattern, key)]
        if keys:
            found[reason] = keys
    return found


def parameter_paths(names: Iterable[str],
                    family: str = 'espikeformer') -> dict[str, str]:
    """Map published parameter names to those of our model.

    Args:
        names (Iterable[str]): Published names.
        family (str): Their family. Defaults to ``'espikeformer'``.

    Returns:
        dict[str, str]: Ours by theirs, without those that are left out.

    Raises:
        ValueError: If no rule fits a name.

    Example:
        >>> parameter_paths(['downsample3.encode_bn.weight'])
        {'downsample3.encode_bn.weight':
        'backbone.stages.3.downsample.norm.weight'}
    """
    unused = '|'.join(pattern for pattern, _ in _ALL[family].left_out)
    return rename([x for x in names if not re.fullmatch(unused, x)],
                  _ALL[family].parameters)


def neuron_paths(names: Iterable[str],
                 family: str = 'espikeformer') -> dict[str, str]:
    """Map published neuron names to module paths of our model.

    Args:
        names (Iterable[str]): Published names.
        family (str): Their family. Defaults to ``'espikeformer'``.

    Returns:
        dict[str, str]: Ours by theirs.

    Raises:
        ValueError: If no rule fits a name.

    Example:
        >>> neuron_paths(['spike'])
        {'spike': 'head.fc.neuron'}
    """
    return rename(names, _ALL[family].neurons)


def classifier_config(*args, family: str = 'espikeformer', **kwargs) -> dict:
    """Config of a published classifier.

    Args:
        *args: The first of the keys below, in this order.
        embed_dims (Sequence[int]): Widths.
        depths (Sequence[int], optional): Blocks of the stages. Defaults to
            those of the published models.
        num_heads (int): Heads. Defaults to 8.
        num_classes (int): Classes. Defaults to 1000.
        max_spikes (int): D. Defaults to 4, and to 1 for Meta-SpikeFormer.
        in_channels (int): Channels of the image. Defaults to 3.
        neuron (dict, optional): Config of the neurons, instead of
            ``max_spikes``. Defaults to None: SFA, or LIF over 4 time steps
            for Meta-SpikeFormer.
        family (str): One of :data:`FAMILIES`. Defaults to
            ``'espikeformer'``, the base family.
        **kwargs: ``linear_pair``, ``layer_scale_init_value`` and
            ``distillation_head`` of the large family.

    Returns:
        dict: To be built with ``mmpretrain``'s registry.

    Raises:
        ValueError: If ``family`` is unknown.

    Example:
        >>> config = classifier_config(
        ...     [64, 128, 256, 360], family='metaspikeformer')
        >>> config['backbone']['neuron']['timesteps']
        4
    """
    if family not in FAMILIES:
        raise ValueError(f'family must be one of {", ".join(FAMILIES)}, '
                         f'but is {family!r}')
    return FAMILIES[family].model(*args, **kwargs)
