from .placing import make_spiking
from .spiking_module import spiking_module

__all__ = ['make_spiking', 'spiking_module']
