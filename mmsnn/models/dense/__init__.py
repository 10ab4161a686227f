"""Necks and heads of any framework with spiking neurons.

In: an upstream module, or its config. Out: the same with a neuron in front of
each synapse.
"""

from .placing import make_spiking
from .spiking_module import spiking_module

__all__ = ['make_spiking', 'spiking_module']
