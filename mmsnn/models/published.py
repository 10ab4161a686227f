"""Names of the published checkpoints, mapped to ours.

The method's authors publish state dicts with key names of their own. The
rules below map parameters and neurons of the base family of E-SpikeFormer;
numbers in ``{}`` stay, the blocks of a stage are counted through.
"""

import re
from collections import OrderedDict
from typing import Callable, Dict, List, Tuple

import torch

#: Families whose checkpoints are recognised, by a key that only they have.
FAMILY_MARKS = OrderedDict([
    ('espikeformer_large_pretrain', r'^mask_token$|^decoder_pos_embed$'),
    ('metaspikeformer', r'\.attn\.q_conv\.0\.body\.'),
    ('espikeformer_large', r'^block3\.\d+\.attn\.q_conv\.\d+\.\d+\.'
     r'|^block3\.\d+\.(layer_scale|gamma)|^ConvBlock1_1\.\d+\.conv1\.bias$'),
    ('espikeformer', r'^ConvBlock1_1\.\d+\.Conv\.pwconv1\.1\.'),
])

_CONV_NORM = {'0': 'conv', '1': 'norm'}
_SEP_CONV = dict(pwconv1='expand', dwconv='depthwise', pwconv2='reduce')
_MIXER = {'1': 'expand', '2': 'reduce'}
_STAGES = {'1_1': 0, '1_2': 1, '2': 2, '3': 3, '4': 4}
_QKV = dict(q='query', k='key', v='value', proj='proj')

#: (pattern of a published name, function of its groups that gives ours).
Rule = Tuple[str, Callable[..., str]]

_BLOCK = r'(ConvBlock\d_\d|block[34])\.(\d+)\.'
_PARAMETERS: List[Rule] = [
    (r'downsample(1_1|1_2|2|3|4)\.encode_(conv|bn)\.(\w+)',
     lambda s, kind, rest: f'backbone.stages.{_STAGES[s]}.downsample.'
     f'{"conv" if kind == "conv" else "norm"}.{rest}'),
    (_BLOCK + r'[Cc]onv\.(pwconv1|dwconv|pwconv2)\.([01])\.(\w+)',
     lambda stage, j, part, i, rest:
     f'{{{stage}.{j}}}.sep_conv.{_SEP_CONV[part]}.{_CONV_NORM[i]}.{rest}'),
    (_BLOCK + r'(conv|bn)([12])\.(\w+)', lambda stage, j, kind, i, rest:
     f'{{{stage}.{j}}}.mixer.{_MIXER[i]}.'
     f'{"conv" if kind == "conv" else "norm"}.{rest}'),
    (_BLOCK + r'attn\.(q|k|v|proj)_conv\.([01])\.(\w+)',
     lambda stage, j, part, i, rest:
     f'{{{stage}.{j}}}.attention.{_QKV[part]}.{_CONV_NORM[i]}.{rest}'),
    (_BLOCK + r'mlp\.fc([12])_(conv|bn)\.(\w+)',
     lambda stage, j, i, kind, rest: f'{{{stage}.{j}}}.mlp.{_MIXER[i]}.'
     f'{"conv" if kind == "conv" else "norm"}.{rest}'),
    (r'head\.(weight|bias)', lambda rest: f'head.fc.{rest}'),
]
_NEURONS: List[Rule] = [
    (r'downsample(1_2|2|3|4)\.encode_spike',
     lambda s: f'backbone.stages.{_STAGES[s]}.downsample.conv.neuron'),
    (_BLOCK + r'[Cc]onv\.spike([123])',
     lambda stage, j, i: f'{{{stage}.{j}}}.sep_conv.'
     f'{("expand", "depthwise", "reduce")[int(i) - 1]}.conv.neuron'),
    (_BLOCK + r'spike([12])', lambda stage, j, i:
     f'{{{stage}.{j}}}.mixer.{_MIXER[i]}.conv.neuron'),
    (_BLOCK + r'attn\.head_spike',
     lambda stage, j: f'{{{stage}.{j}}}.attention.neuron'),
    (_BLOCK + r'attn\.(q|k|v)_spike', lambda stage, j, part:
     f'{{{stage}.{j}}}.attention.{_QKV[part]}_neuron'),
    (_BLOCK + r'attn\.attn_spike',
     lambda stage, j: f'{{{stage}.{j}}}.attention.attention_neuron'),
    (_BLOCK + r'mlp\.fc([12])_spike', lambda stage, j, i:
     f'{{{stage}.{j}}}.mlp.{_MIXER[i]}.conv.neuron'),
    (r'spike', lambda: 'head.fc.neuron'),
]


def family_of(state: Dict[str, torch.Tensor]) -> str:
    """Family of a published state dict, ``'unknown'`` if none fits.

    Example:
        >>> family_of({'ConvBlock1_1.0.Conv.pwconv1.1.weight': None})
        'espikeformer'
    """
    for family, mark in FAMILY_MARKS.items():
        if any(re.search(mark, key) for key in state):
            return family
    return 'unknown'


def convert_state_dict(state: Dict[str, torch.Tensor]) -> OrderedDict:
    """Rename a published state dict to a classifier's of this suite.

    Args:
        state (dict[str, Tensor]): Published state dict of E-SpikeFormer's
            base family.

    Returns:
        OrderedDict[str, Tensor]: Keys of an mmpretrain ``ImageClassifier``
        with an :class:`ESpikeFormer` backbone and a spiking linear head.

    Raises:
        ValueError: If the state is of another family, or has a key that no
            rule maps; the message names both.
    """
    family = family_of(state)
    if family != 'espikeformer':
        raise ValueError(
            f'the checkpoint is of the family {family!r} (first keys: '
            f'{", ".join(list(state)[:3])}); only the base family of '
            'E-SpikeFormer can be converted')
    converted = OrderedDict()
    for old, new in parameter_paths(state).items():
        value = state[old]
        if old.endswith('_conv.weight') and value.dim() == 3:
            value = value.unsqueeze(-1)  # Conv1d over tokens is a 1x1 Conv2d
        converted[new] = value
    return converted


def parameter_paths(names) -> Dict[str, str]:
    """Map published parameter names to those of our classifier."""
    return _rename(names, _PARAMETERS)


def neuron_paths(names) -> Dict[str, str]:
    """Map published neuron names to module paths of our classifier."""
    return _rename(names, _NEURONS)


def _rename(names, rules: List[Rule]) -> Dict[str, str]:
    """Map names by the first rule that fits; raise if none does."""
    blocks = _number_blocks(names)
    renamed, left = {}, []
    for name in names:
        for pattern, make in rules:
            found = re.fullmatch(pattern, name)
            if found:
                new = make(*found.groups())
                renamed[name] = re.sub(r'{(\w+\.\d+)}',
                                       lambda m: blocks[m.group(1)], new)
                break
        else:
            left.append(name)
    if left:
        raise ValueError(
            f'{len(left)} names of the checkpoint fit no rule, first: '
            f'{", ".join(left[:5])}')
    return renamed


def _number_blocks(names) -> Dict[str, str]:
    """Path of each published block, e.g. ``ConvBlock2_2.0`` is the second
    block of stage 2."""
    found = set()
    for name in names:
        match = re.match(_BLOCK, name)
        if match:
            found.add((match.group(1), int(match.group(2))))
    paths, seen = {}, {}
    for stage, j in sorted(found):
        number = stage[len('ConvBlock'):] if stage[0] == 'C' else stage[-1]
        index = _STAGES['2' if number[0] == '2' else number]
        paths[f'{stage}.{j}'] = (
            f'backbone.stages.{index}.blocks.{seen.get(index, 0)}')
        seen[index] = seen.get(index, 0) + 1
    return paths


def classifier_config(embed_dims,
                      depths=(1, 1, 2, 6, 2),
                      num_heads: int = 8,
                      num_classes: int = 1000,
                      max_spikes: int = 4,
                      in_channels: int = 3) -> dict:
    """Config of the published classifier of E-SpikeFormer's base family.

    Args:
        embed_dims (Sequence[int]): Widths C0..C3.
        depths (Sequence[int]): Blocks of the five stages.
        num_heads (int): Heads. Defaults to 8.
        num_classes (int): Classes. Defaults to 1000.
        max_spikes (int): D. Defaults to 4.
        in_channels (int): Channels of the image. Defaults to 3.

    Returns:
        dict: To be built with ``mmpretrain``'s registry.
    """
    neuron = dict(type='mmsnn.SFANeuron', max_spikes=max_spikes)
    return dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(
            type='mmsnn.ESpikeFormer',
            arch=dict(
                embed_dims=list(embed_dims),
                depths=list(depths),
                num_heads=num_heads),
            in_channels=in_channels,
            neuron=neuron),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(
            type='mmsnn.SpikingModule',
            neuron=dict(scale=1.0, **neuron),
            module=dict(
                type='mmpretrain.LinearClsHead',
                num_classes=num_classes,
                in_channels=embed_dims[-1],
                loss=dict(type='mmpretrain.CrossEntropyLoss'))))
