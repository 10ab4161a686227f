"""Spiking neurons: the T x D neuron and the quantiser that it fires by."""

from .build import build_neuron, is_spiking
from .checks import check_equation
from .counting import (
    fire_and_count,
    is_finite,
    spikes_in_substeps,
    spikes_per_position,
    spikes_per_substep,
    spikes_reaching,
)
from .integrate import integrate_and_fire
from .lif import LIFNeuron
from .meetings import spikes_meeting
from .native import is_followed, is_traced
from .quantizer import spike_count, spike_firing
from .sfa import SFANeuron
from .spiking import SpikingNeuron

__all__ = [
    'LIFNeuron', 'SFANeuron', 'SpikingNeuron', 'build_neuron',
    'check_equation', 'fire_and_count', 'integrate_and_fire', 'is_finite',
    'is_followed', 'is_spiking', 'is_traced', 'spike_count', 'spike_firing',
    'spikes_in_substeps', 'spikes_meeting', 'spikes_per_position',
    'spikes_per_substep', 'spikes_reaching'
]
