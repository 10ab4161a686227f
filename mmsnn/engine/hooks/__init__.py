from .effective_rank_hook import EffectiveRankHook
from .reconstruction_hook import ReconstructionHook
from .spike_inference_hook import SpikeInferenceHook

__all__ = ['EffectiveRankHook', 'ReconstructionHook', 'SpikeInferenceHook']
