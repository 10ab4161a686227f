"""Masked pre-training.

In: images. Out: a loss on their masked patches, and an encoder to fine-tune.
"""

from .decoders import MultiScaleDecoder, PlainDecoder
from .probe import PooledBatchNormNeck
from .spike_spark import SpikeSparK, random_mask

__all__ = [
    'MultiScaleDecoder', 'PlainDecoder', 'PooledBatchNormNeck', 'SpikeSparK',
    'random_mask'
]
