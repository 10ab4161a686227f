from .decoders import MultiScaleDecoder, PlainDecoder
from .spike_spark import SpikeSparK, random_mask

__all__ = ['MultiScaleDecoder', 'PlainDecoder', 'SpikeSparK', 'random_mask']
