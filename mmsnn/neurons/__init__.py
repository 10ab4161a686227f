"""Spiking neurons: the SFA quantiser and the modules made of it."""

from .quantizer import (
    fire_and_count,
    is_finite,
    spike_count,
    spike_firing,
    spikes_per_position,
    spikes_per_substep,
)
from .sfa import SFANeuron, build_neuron, is_spiking

__all__ = [
    'SFANeuron', 'build_neuron', 'fire_and_count', 'is_finite', 'is_spiking',
    'spike_count', 'spike_firing', 'spikes_per_position', 'spikes_per_substep'
]
