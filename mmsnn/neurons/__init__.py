"""Spiking neurons: the T x D neuron and the quantiser that it fires by."""

from .build import build_neuron, is_spiking
from .lif import LIFNeuron
from .quantizer import (
    fire_and_count,
    is_finite,
    spike_count,
    spike_firing,
    spikes_per_position,
    spikes_per_substep,
)
from .sfa import SFANeuron
from .spiking import SpikingNeuron

__all__ = [
    'LIFNeuron', 'SFANeuron', 'SpikingNeuron', 'build_neuron',
    'fire_and_count', 'is_finite', 'is_spiking', 'spike_count', 'spike_firing',
    'spikes_per_position', 'spikes_per_substep'
]
