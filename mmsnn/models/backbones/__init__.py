from .e_spikeformer import ESpikeFormer
from .masked_e_spikeformer import MaskedESpikeFormer
from .meta_spikeformer import MetaSpikeFormer

__all__ = ['ESpikeFormer', 'MaskedESpikeFormer', 'MetaSpikeFormer']
