"""The published families, one table each."""

from collections import OrderedDict

from .classifiers import (
    base_classifier,
    large_classifier,
    large_pretraining,
    meta_classifier,
)
from .rules import (
    BLOCK,
    CONV_NORM,
    MIXER,
    NEURONS,
    PARAMETERS,
    QKV,
    Family,
    Rule,
)

_SEP_CONV = dict(pwconv1='expand', dwconv='depthwise', pwconv2='reduce')
_PARTS = {'1': 'expand', '2': 'depthwise', '3': 'reduce'}

#: Channel convolutions where convolution and norm lie beside each other.
_MIXER: list[Rule] = [
    (BLOCK + r'(conv|bn)([12])\.(\w+)', lambda stage, j, kind, i, rest:
     f'{{{stage}.{j}}}.mixer.{MIXER[i]}.{CONV_NORM[kind]}.{rest}'),
]

BASE = Family(
    mark=r'^ConvBlock1_1\.\d+\.Conv\.pwconv1\.1\.',
    model=base_classifier,
    parameters=PARAMETERS + _MIXER + [
        (BLOCK + r'[Cc]onv\.(pwconv1|dwconv|pwconv2)\.([01])\.(\w+)',
         lambda stage, j, part, i, rest:
         f'{{{stage}.{j}}}.sep_conv.{_SEP_CONV[part]}.{CONV_NORM[i]}.{rest}'),
        (BLOCK + r'attn\.(q|k|v|proj)_conv\.([01])\.(\w+)',
         lambda stage, j, part, i, rest:
         f'{{{stage}.{j}}}.attention.{QKV[part]}.{CONV_NORM[i]}.{rest}'),
    ],
    neurons=NEURONS + [
        (BLOCK + r'[Cc]onv\.spike([123])', lambda stage, j, i:
         f'{{{stage}.{j}}}.sep_conv.{_PARTS[i]}.conv.neuron'),
        (BLOCK + r'spike([12])', lambda stage, j, i:
         f'{{{stage}.{j}}}.mixer.{MIXER[i]}.conv.neuron'),
        (r'spike', lambda: 'head.fc.neuron'),
    ])

_PAIR = r'conv([12])\.([01])\.(\w+)'


def _pair(i: str, kind: str, rest: str) -> str:
    return f'branch.{CONV_NORM[kind]}{i}.{rest}'


LARGE = Family(
    mark=r'^block3\.\d+\.attn\.q_conv\.0\.conv1\.',
    model=large_classifier,
    parameters=PARAMETERS + [
        (BLOCK + r'conv([12])\.0\.([01])\.(\w+)',
         lambda stage, j, i, kind, rest:
         f'{{{stage}.{j}}}.mixer.{MIXER[i]}.{CONV_NORM[kind]}.{rest}'),
        (BLOCK + r'rep_conv\.' + _PAIR, lambda stage, j, *of_pair:
         f'{{{stage}.{j}}}.pair.linear.{_pair(*of_pair)}'),
        (BLOCK + r'attn\.(q|k|v|proj)_conv\.0\.' + _PAIR,
         lambda stage, j, part, *of_pair:
         f'{{{stage}.{j}}}.attention.{QKV[part]}.{_pair(*of_pair)}'),
        (BLOCK + r'attn\.(q|k|v|proj)_conv\.1\.(\w+)',
         lambda stage, j, part, rest:
         f'{{{stage}.{j}}}.attention.{QKV[part]}.branch.norm.{rest}'),
        (BLOCK + r'layer_scale([12])', lambda stage, j, i:
         f'{{{stage}.{j}}}.layer_scales.'
         f'{"attention" if i == "1" else "mlp"}.weight'),
        (r'head_kd\.(weight|bias)', lambda rest: f'head.fc_kd.{rest}'),
    ],
    neurons=NEURONS + [
        (BLOCK + r'neuron([12])', lambda stage, j, i:
         f'{{{stage}.{j}}}.mixer.{MIXER[i]}.conv.neuron'),
        (BLOCK + r'lif', lambda stage, j: f'{{{stage}.{j}}}.pair.neuron'),
        (r'lif', lambda: 'head.fc_kd.neuron'),
    ])

_REP_CONV = {
    '0': 'conv1',
    '1.bn': 'norm1.norm',
    '2.0': 'depthwise',
    '2.1': 'conv2',
    '2.2': 'norm2'
}
_META_SEP_CONV = dict(
    pwconv1='expand.conv',
    bn1='expand.norm',
    dwconv='depthwise.conv',
    pwconv2='reduce.conv',
    bn2='reduce.norm')

META = Family(
    mark=r'\.attn\.q_conv\.0\.body\.',
    model=meta_classifier,
    parameters=PARAMETERS + _MIXER + [
        (BLOCK + r'Conv\.(pwconv1|bn1|dwconv|pwconv2|bn2)\.(\w+)',
         lambda stage, j, part, rest:
         f'{{{stage}.{j}}}.sep_conv.{_META_SEP_CONV[part]}.{rest}'),
        (BLOCK + r'attn\.(q|k|v|proj)_conv\.0\.body\.'
         r'(0|1\.bn|2\.[012])\.(\w+)', lambda stage, j, part, i, rest:
         f'{{{stage}.{j}}}.attention.{QKV[part]}.branch.'
         f'{_REP_CONV[i]}.{rest}'),
        (BLOCK + r'attn\.(q|k|v|proj)_conv\.1\.(\w+)',
         lambda stage, j, part, rest:
         f'{{{stage}.{j}}}.attention.{QKV[part]}.branch.norm.{rest}'),
    ],
    neurons=NEURONS + [
        (BLOCK + r'Conv\.lif([12])', lambda stage, j, i:
         f'{{{stage}.{j}}}.sep_conv.{_PARTS[i]}.conv.neuron'),
        (BLOCK + r'lif([12])', lambda stage, j, i:
         f'{{{stage}.{j}}}.mixer.{MIXER[i]}.conv.neuron'),
        (r'lif', lambda: 'head.fc.neuron'),
    ])

LARGE_PRETRAINING = Family(
    mark=r'^mask_token$|^decoder_pos_embed$|^norm\.running_mean$',
    model=large_pretraining,
    parameters=LARGE.parameters + [
        (r'norm\.(\w+)', lambda rest: f'norm.{rest}'),
    ],
    neurons=LARGE.neurons,
    left_out=((r'pos_embed', 'position embedding that its encoder never uses'),
              (r'mask_token|decoder_.*', 'decoder, which shuffles its tokens: '
               'ours has them in their own places')))

#: Families of classifiers.
FAMILIES = OrderedDict(
    metaspikeformer=META, espikeformer_large=LARGE, espikeformer=BASE)
#: Families of masked pre-training; their marks are looked for first.
PRETRAINING = OrderedDict(espikeformer_large_pretrain=LARGE_PRETRAINING)
