"""Layers made of neurons and synapses, shared by all models."""

from .attention import (
    ESDSA,
    SDSA3,
    LinearPairESDSA,
    SpikeAttention,
    linear_attention,
)
from .blocks import (
    ChannelMixer,
    ConvBlock,
    ResidualBlock,
    SpikeSepConv,
    TransformerBlock,
)
from .masked import MaskContext, SparseConv2d, SpikeSparseConv2d
from .memory import keep_freed_memory
from .reparam import LinearPair, ReparamConv, RepConv, deploy, norm_as_affine
from .synapse import (
    SpikeConv2d,
    SpikeConvTranspose2d,
    SpikeLinear,
    conv_norm,
)
from .sync_norm import SyncBatchNorm
from .time import mean_over_time
from .visible import VisiblePatches, enlarge_mask, hide

__all__ = [
    'ChannelMixer', 'ConvBlock', 'ESDSA', 'LinearPair', 'LinearPairESDSA',
    'MaskContext', 'RepConv', 'ReparamConv', 'ResidualBlock', 'SDSA3',
    'SparseConv2d', 'SpikeAttention', 'SpikeConv2d', 'SpikeConvTranspose2d',
    'SpikeLinear', 'SpikeSepConv', 'SpikeSparseConv2d', 'SyncBatchNorm',
    'TransformerBlock', 'VisiblePatches', 'conv_norm', 'deploy',
    'enlarge_mask', 'hide', 'keep_freed_memory', 'linear_attention',
    'mean_over_time', 'norm_as_affine'
]
