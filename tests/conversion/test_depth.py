"""The longest chain of neuron layers, against chains counted by hand."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import NeuronDepth
from mmsnn.layers import SpikeConv2d, TransformerBlock
from mmsnn.models.backbones import ESpikeFormer

SFA3 = dict(type='mmsnn.SFANeuron', max_spikes=3)
LIF2 = dict(type='mmsnn.LIFNeuron', timesteps=2)


def longest(model, *inputs):
    with torch.no_grad(), NeuronDepth(model.eval()) as depth:
        model(*inputs)
    return tuple(depth.longest)


def conv(neuron=SFA3, **kwargs):
    return SpikeConv2d(2, 2, 1, neuron=neuron, **kwargs)


class Branches(nn.Module):
    """Three neuron layers in two branches of one and two, and a fourth."""

    def __init__(self, join):
        super().__init__()
        self.a, self.b, self.c, self.d = (conv() for _ in range(4))
        self.join = join

    def forward(self, x):
        return self.d(self.join(self.a(x), self.c(self.b(x))))


def written_into_a_part(one, two):
    out = torch.zeros_like(one)
    out[:, :1] = two[:, :1]
    return out


@pytest.mark.parametrize('join, layers', [
    (lambda one, two: one + two, 3),
    (lambda one, two: torch.cat([one, two], 1)[:, :2], 3),
    (lambda one, two: one.add_(two), 3),
    (written_into_a_part, 3),
    (lambda one, two: one[two[:1, 0, 0, 0].long().clamp(0, 0)], 3),
    (lambda one, two: one, 2),
])
def test_a_layer_waits_for_the_longer_branch(join, layers):
    model = Branches(join)
    assert longest(model, torch.rand(1, 2, 4, 4)) == (3 * layers, layers)


def test_memory_that_is_used_again_keeps_no_depth():
    """A hundred layers side by side, each freed before the next."""
    model = conv()

    class Sum(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = model

        def forward(self, x):
            return sum(float(self.conv(x.clone()).sum()) for _ in range(100))

    assert longest(Sum(), torch.rand(1, 2, 64, 64)) == (3, 1)


def test_time_steps_and_levels_add_up():
    model = nn.Sequential(conv(LIF2), conv(SFA3), conv(LIF2))
    # T x D = 2 x 1 of each LIF layer and 1 x 3 of the other one.
    assert longest(model, torch.rand(2, 2, 4, 4)) == (2 + 3 + 2, 3)


def test_blocks_and_backbone():
    # Separable convolution 3, attention 3 (q, k and v at the same time), MLP
    # 2; the residual paths are shorter.
    block = TransformerBlock(8, SFA3, num_heads=2)
    assert longest(block, torch.rand(1, 8, 4, 4)) == (3 * 8, 8)
    # Convolutional blocks: 3 + 2; a downsampling layer before all stages but
    # the first, whose convolution sees the image.
    backbone = ESpikeFormer(
        dict(embed_dims=[8, 8, 16, 16], depths=[1] * 5), neuron=SFA3)
    layers = 5 + (1 + 5) * 2 + (1 + 8) * 2
    assert longest(backbone, torch.rand(1, 3, 32, 32)) == (3 * layers, layers)
    handles = [m._forward_hooks for m in backbone.modules()]
    assert not any(handles)


def test_roi_features_wait_for_boxes():
    """mmcv's compiled op writes what depends on features and boxes."""
    from mmcv.ops import RoIAlign

    class TwoStages(nn.Module):

        def __init__(self):
            super().__init__()
            self.boxes = nn.Sequential(conv(), conv())
            self.align = RoIAlign(2)
            self.head = conv()

        def forward(self, x):
            box = self.boxes(x).flatten()[:4].clamp(0, 3)
            roi = torch.cat([box.new_zeros(1), box])[None]
            return self.head(self.align(x, roi))

    assert longest(TwoStages(), torch.rand(1, 2, 4, 4)) == (9, 3)
