from .decoders import MultiScaleDecoder, PlainDecoder
from .probe import PooledBatchNormNeck
from .spike_spark import SpikeSparK, random_mask

__all__ = [
    'MultiScaleDecoder', 'PlainDecoder', 'PooledBatchNormNeck', 'SpikeSparK',
    'random_mask'
]
