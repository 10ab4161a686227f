"""Names of the published checkpoints, mapped to ours.

The method's authors publish state dicts with key names of their own. Rules
map parameters and neurons, one table per family; the blocks of a stage are
counted through.
"""

import re
from collections import OrderedDict
from typing import Dict, Iterable

import torch

from .families import FAMILIES, MARKS
from .rules import rename

__all__ = [
    'FAMILIES', 'classifier_config', 'convert_state_dict', 'family_of',
    'neuron_paths', 'parameter_paths'
]


def family_of(state: Iterable[str]) -> str:
    """Family of a published state dict, ``'unknown'`` if none fits.

    Example:
        >>> family_of({'ConvBlock1_1.0.Conv.pwconv1.1.weight': None})
        'espikeformer'
    """
    marks = {**MARKS, **{k: family.mark for k, family in FAMILIES.items()}}
    for name, mark in marks.items():
        if any(re.search(mark, key) for key in state):
            return name
    return 'unknown'


def convert_state_dict(state: Dict[str, torch.Tensor]) -> OrderedDict:
    """Rename a published state dict to a classifier's of this suite.

    Args:
        state (dict[str, Tensor]): Published state dict of a classifier of
            any family in :data:`FAMILIES`.

    Returns:
        OrderedDict[str, Tensor]: Keys of the classifier that
        :func:`classifier_config` describes.

    Raises:
        ValueError: If the state is of another family, or has a key that no
            rule maps; the message names both.
    """
    family = family_of(state)
    if family not in FAMILIES:
        raise ValueError(
            f'the checkpoint is of the family {family!r} (first keys: '
            f'{", ".join(list(state)[:3])}); only classifiers of '
            f'{", ".join(FAMILIES)} can be converted')
    converted = OrderedDict()
    for old, new in parameter_paths(state, family).items():
        value = state[old]
        if value.dim() == 3:  # Conv1d over tokens is a 1x1 Conv2d
            value = value.unsqueeze(-1)
        converted[new] = value
    return converted


def parameter_paths(names: Iterable[str],
                    family: str = 'espikeformer') -> Dict[str, str]:
    """Map published parameter names to those of our classifier."""
    return rename(names, FAMILIES[family].parameters)


def neuron_paths(names: Iterable[str],
                 family: str = 'espikeformer') -> Dict[str, str]:
    """Map published neuron names to module paths of our classifier."""
    return rename(names, FAMILIES[family].neurons)


def classifier_config(*args, family: str = 'espikeformer', **kwargs) -> dict:
    """Config of a published classifier.

    Args:
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

    Example:
        >>> config = classifier_config(
        ...     [64, 128, 256, 360], family='metaspikeformer')
        >>> config['backbone']['neuron']['timesteps']
        4
    """
    if family not in FAMILIES:
        raise ValueError(f'family must be one of {", ".join(FAMILIES)}, '
                         f'but is {family!r}')
    return FAMILIES[family].classifier(*args, **kwargs)
