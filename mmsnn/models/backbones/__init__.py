"""Backbones.

In: images (N, C, H, W) or frames of events (N, T, C, H, W). Out: feature maps
of the stages, as membrane potentials.
"""

from .e_spikeformer import ESpikeFormer
from .masked_e_spikeformer import MaskedESpikeFormer
from .meta_spikeformer import MetaSpikeFormer

__all__ = ['ESpikeFormer', 'MaskedESpikeFormer', 'MetaSpikeFormer']
