"""What a neuron is besides its equations."""

import torch
from torch import nn

from .checks import warn_of_other_levels

#: What defines how a neuron fires. Where a subclass replaces one of them, no
#: kernel and no short cut stands in for it.
EQUATIONS = ('charge', 'discharge', 'decay', '_fire', 'unroll', 'run',
             '_fire_over_time', '_over_threshold', 'is_static')


class NeuronModule(nn.Module):
    """Knows which equations a subclass has replaced, and what of a neuron is
    printed and kept in checkpoints."""

    #: Those of :data:`EQUATIONS` that its class, or it alone, has replaced.
    own_equations: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        # The first that has all is the neuron that the package knows.
        known = next((kind for kind in reversed(cls.__mro__)
                      if all(hasattr(kind, name) for name in EQUATIONS)), None)
        if known is not None:
            cls.own_equations = tuple(
                name for name in EQUATIONS
                if getattr(cls, name) is not getattr(known, name))

    def __setattr__(self, name: str, value) -> None:
        if name in EQUATIONS:
            self.own_equations += (name, )
        super().__setattr__(name, value)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        """D and T travel as metadata, so that no key is added."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, '_metadata', None)
        if metadata is not None:
            metadata.setdefault(prefix[:-1], {}).update(
                max_spikes=self.max_spikes, timesteps=self.timesteps)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata,
                              *args):
        warn_of_other_levels(self, local_metadata)
        super()._load_from_state_dict(state_dict, prefix, local_metadata,
                                      *args)

    def extra_repr(self) -> str:
        """Keys of the neuron, as ``print`` shows them.

        Returns:
            str: Those of a static neuron, and more of any other.
        """
        parts = [
            f'max_spikes={self.max_spikes}', f'scale={_shown(self.scale)}',
            f'threshold={_shown(self.threshold)}'
        ]
        if not self.is_static:
            parts += [
                f'timesteps={self.timesteps}', f'decay={_shown(self.decay)}'
            ]
            parts += [
                name for name in ('decay_input', 'learn_decay')
                if getattr(self, name)
            ]
            parts += [f'reset={self.reset!r}', f'surrogate={self.surrogate!r}']
        return ', '.join(parts)


def _shown(number: float | torch.Tensor) -> str:
    if isinstance(number, torch.Tensor):
        if number.dim():
            return f'{number.numel()} values'
        number = number.item()
    return f'{float(number):g}'
