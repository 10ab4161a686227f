"""Maps stay in channels-last layout from the first convolution to the heads.

Every operation of a run is watched: maps that enter and leave convolutions
and norms, forward and backward, and copies that change the layout of one.
"""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from mmsnn.layers import is_channels_last
from mmsnn.models import ESpikeFormer, MaskedESpikeFormer, MetaSpikeFormer

HEADS = 2
BASE = dict(embed_dims=[8, 12, 16, 20], depths=[1, 1, 1, 1, 1],
            num_heads=HEADS)
LARGE = dict(family='large', embed_dims=[8, 12, 16], depths=[1, 1, 1, 1],
             num_heads=HEADS, linear_pair=True)
BACKBONES = dict(
    base=(ESpikeFormer, BASE, {}),
    large=(ESpikeFormer, LARGE, dict(layer_scale_init_value=0.5)),
    meta=(MetaSpikeFormer, BASE, {}),
    masked=(MaskedESpikeFormer, BASE, {}),
    kept=(MaskedESpikeFormer, BASE, dict(drop_masked=False)),
    leaking=(MaskedESpikeFormer, BASE, dict(ssc=False)))
SFA = dict(type='mmsnn.SFANeuron', max_spikes=4)
LIF = dict(type='mmsnn.LIFNeuron')
RELU = dict(type='ReLU')
MASK = torch.tensor([[[True, False, True], [True, True, False]]] * 2)

#: Maps among the arguments of an operation.
MAPS = {
    'aten::convolution': [0],
    'aten::convolution_backward': [0, 1],
    'aten::native_batch_norm': [0],
    'aten::_native_batch_norm_legit': [0],
    'aten::native_batch_norm_backward': [0, 1],
    'aten::_batch_norm_with_update': [0],
    'aten::batch_norm_backward': [0, 1],
}
COPIES = ('aten::clone', 'aten::copy_', 'aten::_to_copy')


def is_map(x):
    """Whether its layout can be told: (N, C, H, W) of several of each."""
    return (isinstance(x, torch.Tensor) and x.dim() == 4
            and x.shape[1] not in (1, HEADS) and x.shape[2:].numel() > 1)


class Layouts(TorchDispatchMode):
    """Maps that are not channels-last where they should be, copies that
    change a layout, and how many operations were looked at."""

    def __init__(self, model, kernels):
        super().__init__()
        self.weights = {p.shape for p in model.parameters()}
        if kernels:
            self.allows_kernels = True
        self.others, self.copies, self.looked_at = [], [], {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func._schema.name
        if name in MAPS:
            self.looked_at[name] = self.looked_at.get(name, 0) + 1
            result = tree_flatten(out)[0][0]
            for x in (*(args[i] for i in MAPS[name]), result):
                if is_map(x) and not is_channels_last(x):
                    self.others.append((name, tuple(x.shape), x.stride()))
        if name in COPIES:
            source = args[1] if name == 'aten::copy_' else args[0]
            # Steps of time are not contiguous, but keep the order.
            if out.shape not in self.weights and is_map(out) and (
                    (source.stride(1) == 1) != (out.stride(1) == 1)):
                self.copies.append((name, tuple(out.shape)))
        return out


def build(family, neuron, **kwargs):
    torch.manual_seed(0)
    kind, arch, keys = BACKBONES[family]
    model = kind(arch, neuron=neuron, channels_last=True, **keys, **kwargs)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0, 1)  # so that neurons fire
    return model


def inputs(family, device='cpu'):
    images = torch.randn(2, 3, 64, 96, device=device)
    images = images.to(memory_format=torch.channels_last)
    masked = family in ('masked', 'kept', 'leaking')
    return (images, MASK.to(device)) if masked else (images, )


cases = pytest.mark.parametrize('neuron,timesteps', [
    (SFA, 1), (SFA, 2), (LIF, 3), (RELU, 1)], ids=str)
every = pytest.mark.parametrize('family', list(BACKBONES))


@every
@cases
@pytest.mark.parametrize('kernels,autocast', [(True, False), (False, True)])
def test_a_training_step(family, neuron, timesteps, kernels, autocast):
    if timesteps > 1:
        neuron = dict(neuron, timesteps=timesteps)
    model = build(family, neuron, out_indices=(1, 3),
                  drop_path_rate=0.3).train()
    x, *mask = inputs(family)
    with Layouts(model, kernels) as seen:
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            outs = model(x.requires_grad_(), *mask)
        sum((out.float()**2).sum() for out in outs).backward()
    assert all(map(is_channels_last, outs))
    assert seen.others == [] and seen.copies == []
    assert sum(seen.looked_at.values()) > 60


@every
@cases
def test_evaluation(family, neuron, timesteps):
    if timesteps > 1:
        neuron = dict(neuron, timesteps=timesteps)
    model = build(family, neuron, out_strides=(4, 16, 32)).eval()
    x = inputs(family)
    with torch.no_grad(), Layouts(model, True) as seen:
        outs = model(*x)
    assert all(map(is_channels_last, outs))
    assert seen.others == [] and seen.copies == []
    assert sum(seen.looked_at.values()) > 30


@every
@pytest.mark.parametrize('plain', [True, False])
def test_a_device_without_kernels(family, plain):
    # As on a GPU, where no machine of the tests has one.
    model = build(family, dict(SFA, timesteps=2), out_indices=(1, 3))
    model.channels_last = not plain
    model.to('meta')
    x, *mask = inputs(family)
    x = x.to('meta').contiguous()
    if mask:
        mask = []  # where a patch lies is read from the mask
    with Layouts(model, False) as seen:
        outs = model(x, *(y.to('meta') for y in mask))
    assert [is_channels_last(out) for out in outs] == [not plain] * 2
    assert seen.others == []
    copied = [shape for _, shape in seen.copies]
    ends = [out.shape for out in outs] if plain else []
    assert copied == [x.shape, *ends]


@pytest.mark.parametrize('shape', [(2, 1, 32, 48), (2, 2, 1, 32, 48)])
def test_one_channel(shape):
    # Both layouts of the image are one.
    neuron = dict(SFA, timesteps=2) if len(shape) == 5 else SFA
    model = build('base', neuron, in_channels=1).train()
    with Layouts(model, True) as seen:
        out, = model(torch.randn(shape))
        (out**2).sum().backward()
    assert is_channels_last(out)
    assert seen.others == [] and seen.copies == []


def test_no_copy_over_time():
    model = build('base', dict(SFA, timesteps=3), mean_over_time=True).eval()
    x, = inputs('base')
    with torch.no_grad(), Layouts(model, True) as seen:
        out, = model(x)
    assert is_channels_last(out)
    assert seen.others == [] and seen.copies == []


def test_what_is_copied_is_seen():
    model = build('base', SFA)
    block = model.stages[1].blocks
    block[0].register_forward_hook(lambda module, args, out: out.contiguous())
    x, = inputs('base')
    with Layouts(model, True) as seen:
        model(x)
    assert seen.copies == [('aten::clone', (2, 8, 16, 24))]
    assert seen.others[0] == ('aten::convolution', (2, 8, 16, 24),
                              (3072, 384, 24, 1))
