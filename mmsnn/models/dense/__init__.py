from .spiking_module import make_spiking, spiking_module

__all__ = ['make_spiking', 'spiking_module']
