from .spike_inference_hook import SpikeInferenceHook

__all__ = ['SpikeInferenceHook']
