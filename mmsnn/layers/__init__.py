"""Layers made of neurons and synapses, shared by all models."""

from .attention import ESDSA, linear_attention
from .blocks import ChannelMixer, ConvBlock, SpikeSepConv, TransformerBlock
from .memory import keep_freed_memory
from .synapse import SpikeConv2d, SpikeLinear, conv_norm

__all__ = [
    'ChannelMixer', 'ConvBlock', 'ESDSA', 'SpikeConv2d', 'SpikeLinear',
    'SpikeSepConv', 'TransformerBlock', 'conv_norm', 'keep_freed_memory',
    'linear_attention'
]
