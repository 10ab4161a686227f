"""Layers made of neurons and synapses, shared by all models."""

from .attention import ESDSA, SDSA3, LinearPairESDSA, SpikeAttention
from .blocks import ConvBlock, ResidualBlock, TransformerBlock
from .branches import ChannelMixer, SpikeLinearPair, SpikeSepConv
from .exact_products import linear_attention
from .layout import in_layout, is_channels_last, to_channels_last
from .masked import MaskContext, SparseConv2d, SpikeSparseConv2d
from .memory import keep_freed_memory
from .mixing import mixed_form
from .multihead_attention import SpikeMultiheadAttention
from .reparam import LinearPair, ReparamConv, RepConv, deploy, norm_as_affine
from .spiking_form import is_spiking_form, spiking_form
from .synapse import (
    SpikeConv1d,
    SpikeConv2d,
    SpikeConv3d,
    SpikeConvTranspose1d,
    SpikeConvTranspose2d,
    SpikeConvTranspose3d,
    SpikeLinear,
    SpikingSynapse,
    conv_norm,
)
from .sync_norm import SyncBatchNorm
from .time import mean_over_time
from .visible import VisiblePatches, enlarge_mask, hide

__all__ = [
    'ChannelMixer', 'ConvBlock', 'ESDSA', 'LinearPair', 'LinearPairESDSA',
    'MaskContext', 'RepConv', 'ReparamConv', 'ResidualBlock', 'SDSA3',
    'SparseConv2d', 'SpikeAttention', 'SpikeConv1d', 'SpikeConv2d',
    'SpikeConv3d', 'SpikeConvTranspose1d', 'SpikeConvTranspose2d',
    'SpikeConvTranspose3d', 'SpikeLinear', 'SpikeLinearPair',
    'SpikeMultiheadAttention', 'SpikeSepConv', 'SpikeSparseConv2d',
    'SpikingSynapse', 'SyncBatchNorm', 'TransformerBlock', 'VisiblePatches',
    'conv_norm', 'deploy', 'enlarge_mask', 'hide', 'in_layout',
    'is_channels_last', 'is_spiking_form', 'keep_freed_memory',
    'linear_attention', 'mean_over_time', 'mixed_form', 'norm_as_affine',
    'spiking_form', 'to_channels_last'
]
