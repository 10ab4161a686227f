"""The neurons on an NVIDIA GPU: one Triton kernel a direction.

What is here is told apart from the plain PyTorch path by its speed alone. A
function may be called for tensors that are :func:`usable`; importing it
imports no Triton.
"""

from .counting import count_spikes, fire_and_count
from .device import usable
from .sfa import fire, fire_in_training, fire_train, pack, unpack
from .temporal import fire_over_time, smooth_firing

__all__ = [
    'count_spikes', 'fire', 'fire_and_count', 'fire_in_training',
    'fire_over_time', 'fire_train', 'pack', 'smooth_firing', 'unpack',
    'usable'
]
