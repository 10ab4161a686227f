"""Rules that rename published names to ours."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

#: (pattern of a published name, function of its groups that gives ours).
Rule = tuple[str, Callable[..., str]]

STAGES = {'1_1': 0, '1_2': 1, '2': 2, '3': 3, '4': 4}
MIXER = {'1': 'expand', '2': 'reduce'}
CONV_NORM = {'0': 'conv', '1': 'norm', 'conv': 'conv', 'bn': 'norm'}
QKV = dict(q='query', k='key', v='value', proj='proj')

#: A block; a rule's result says ``{stage.j}`` for its path.
BLOCK = r'(ConvBlock\d_\d|block[34])\.(\d+)\.'

#: What all families share.
PARAMETERS: list[Rule] = [
    (r'downsample(1_1|1_2|2|3|4)\.encode_(conv|bn)\.(\w+)',
     lambda s, kind, rest:
     f'backbone.stages.{STAGES[s]}.downsample.{CONV_NORM[kind]}.{rest}'),
    (BLOCK + r'mlp\.fc([12])_(conv|bn)\.(\w+)',
     lambda stage, j, i, kind, rest:
     f'{{{stage}.{j}}}.mlp.{MIXER[i]}.{CONV_NORM[kind]}.{rest}'),
    (r'head\.(weight|bias)', lambda rest: f'head.fc.{rest}'),
]
NEURONS: list[Rule] = [
    (r'downsample(1_2|2|3|4)\.encode_(?:spike|lif)',
     lambda s: f'backbone.stages.{STAGES[s]}.downsample.conv.neuron'),
    (BLOCK + r'attn\.head_(?:spike|lif)',
     lambda stage, j: f'{{{stage}.{j}}}.attention.neuron'),
    (BLOCK + r'attn\.(q|k|v)_(?:spike|lif)', lambda stage, j, part:
     f'{{{stage}.{j}}}.attention.{QKV[part]}_neuron'),
    (BLOCK + r'attn\.attn_(?:spike|lif)',
     lambda stage, j: f'{{{stage}.{j}}}.attention.attention_neuron'),
    (BLOCK + r'mlp\.fc([12])_(?:spike|lif)', lambda stage, j, i:
     f'{{{stage}.{j}}}.mlp.{MIXER[i]}.conv.neuron'),
]


@dataclass(frozen=True)
class Family:
    """How one published family is recognised and renamed.

    Attributes:
        mark (str): Pattern of a key that only this family has.
        parameters (list[Rule]): Rules of its parameters and buffers.
        neurons (list[Rule]): Rules of its neurons.
        model (Callable): Gives the config of its model.
        left_out (list[tuple[str, str]]): Patterns of keys that have no place
            in our models, and why.
    """

    mark: str
    parameters: list[Rule]
    neurons: list[Rule]
    model: Callable[..., dict]
    left_out: tuple[tuple[str, str], ...] = ()


def rename(names: Iterable[str], rules: list[Rule]) -> dict[str, str]:
    """Map names by the first rule that fits.

    Args:
        names (Iterable[str]): Published names.
        rules (list[Rule]): Rules in the order in which they are tried.

    Returns:
        dict[str, str]: New names by old ones.

    Raises:
        ValueError: If no rule fits; the message says which names are left.

    Example:
        >>> rename(['block3.1.mlp.fc2_bn.bias', 'block3.0.mlp.fc1_bn.bias'],
        ...        PARAMETERS)['block3.1.mlp.fc2_bn.bias']
        'backbone.stages.3.blocks.1.mlp.reduce.norm.bias'
    """
    names = list(names)
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


def _number_blocks(names: list[str]) -> dict[str, str]:
    """Path of each published block, e.g. ``ConvBlock2_2.0`` is the second
    block of stage 2."""
    found = set()
    for name in names:
        match = re.match(BLOCK, name)
        if match:
            found.add((match.group(1), int(match.group(2))))
    paths, seen = {}, {}
    for stage, j in sorted(found):
        number = stage[len('ConvBlock'):] if stage[0] == 'C' else stage[-1]
        index = STAGES['2' if number[0] == '2' else number]
        paths[f'{stage}.{j}'] = (
            f'backbone.stages.{index}.blocks.{seen.get(index, 0)}')
        seen[index] = seen.get(index, 0) + 1
    return paths
