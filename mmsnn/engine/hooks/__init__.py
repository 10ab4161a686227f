"""Hooks for configs: thin shells around functions of the other rooms."""

from .effective_rank_hook import EffectiveRankHook
from .exact_resume_hook import ExactResumeHook
from .finite_loss_hook import FiniteLossHook
from .freeze_hook import FreezeHook
from .reconstruction_hook import ReconstructionHook
from .spike_inference_hook import SpikeInferenceHook

__all__ = [
    'EffectiveRankHook', 'ExactResumeHook', 'FiniteLossHook', 'FreezeHook',
    'ReconstructionHook', 'SpikeInferenceHook'
]
