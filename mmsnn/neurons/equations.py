"""The equations of the T x D neuron, in PyTorch operations.

They are the definition: whatever runs in their place (:mod:`.temporal`,
:mod:`.gpu`) computes the same.
"""

from collections.abc import Callable

import torch

from . import native, ops
from .checks import check_equation, check_input
from .module import NeuronModule
from .quantizer import spike_firing
from .surrogate import smooth_firing


class Equations(NeuronModule):
    """What a neuron does in each time step, and in all of them in turn."""

    def charge(self, inputs: torch.Tensor,
               state: torch.Tensor) -> torch.Tensor:
        """Membrane potential that the input of one time step makes of a state.

        Args:
            inputs (Tensor): Input of the membrane, (N, ...).
            state (Tensor): What the time step before has left, same shape.

        Returns:
            Tensor: Membrane potential before firing, same shape.

        Example:
            >>> from mmsnn.neurons import SpikingNeuron
            >>> neuron = SpikingNeuron(decay=0.5, decay_input=True)
            >>> neuron.charge(torch.tensor([3.]), torch.tensor([1.]))
            tensor([2.])
        """
        if self.decay_input:
            return state + (inputs - state) * (1 - self.decay)
        return state * self.decay + inputs

    def discharge(self, membrane: torch.Tensor,
                  counts: torch.Tensor) -> torch.Tensor:
        """What the reset leaves of a membrane potential.

        Args:
            membrane (Tensor): Membrane potential before firing.
            counts (Tensor): Spikes fired, 0..D, same shape.

        Returns:
            Tensor: The state of the next time step, same shape.

        Example:
            >>> from mmsnn.neurons import SpikingNeuron
            >>> neuron = SpikingNeuron(max_spikes=4, threshold=0.5)
            >>> neuron.discharge(torch.tensor([1.75]), torch.tensor([3.]))
            tensor([0.2500])
        """
        if self.detach_reset:
            counts = counts.detach()
        if self.reset == 'soft':
            return membrane - counts * self.threshold
        return membrane * (1 - counts.clamp(max=1))

    def unroll(
        self,
        membrane: torch.Tensor,
        state: torch.Tensor | None = None,
        timesteps: int | None = None,
        fire: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """:meth:`run`, time step by time step in PyTorch operations.

        Args:
            membrane (Tensor): Inputs of the membranes, (N * T, ...).
            state (Tensor, optional): Defaults to None, which is zero.
            timesteps (int, optional): Defaults to None: the neuron's own.
            fire (Callable, optional): Gives the spike counts of membrane
                potentials over the threshold. Defaults to None, which is
                the neuron's own way, with surrogate gradient.

        Returns:
            tuple[Tensor, Tensor]: As :meth:`run`.

        Raises:
            ValueError: If an equation of a subclass returns no tensor of the
                shape of its input.

        Example:
            >>> from mmsnn.neurons import SpikingNeuron
            >>> def never(potential):
            ...     return torch.zeros_like(potential)
            >>> neuron = SpikingNeuron(timesteps=2)
            >>> neuron.unroll(torch.tensor([3., 4.]), fire=never)
            (tensor([0., 0.]), tensor([7.]))
        """
        timesteps = self.timesteps if timesteps is None else timesteps
        fire = self._fire if fire is None else fire
        # Axes in their order in memory, so that no step changes the layout.
        order = [0, *range(1, membrane.dim())]
        if not native.is_traced():
            order[1:] = sorted(order[1:], key=lambda i: -membrane.stride(i))
        back = sorted(range(len(order)), key=order.__getitem__)
        inputs = [
            x.permute(back) for x in membrane.permute(order).unflatten(
                0, (-1, timesteps)).unbind(1)
        ]
        wide = torch.promote_types(membrane.dtype, torch.float32)
        if state is None:
            state = torch.zeros_like(inputs[0], dtype=wide)
        state, outputs = state.to(wide), []
        for x in inputs:
            potential = self.charge(x.to(wide), state)
            check_equation(self, 'charge', potential, x)
            counts = fire(self._over_threshold(potential))
            state = self.discharge(potential, counts)
            check_equation(self, 'discharge', state, x)
            outputs.append((counts * self.scale).to(membrane.dtype))
        output = torch.stack([x.permute(order) for x in outputs], 1)
        output = output.flatten(0, 1).permute(back)
        return output, state

    def potentials(self, membrane: torch.Tensor) -> torch.Tensor:
        """Membrane potentials over the threshold, when it fires.

        Args:
            membrane (Tensor): As for :meth:`forward`.

        Returns:
            Tensor: Of all time steps, same shape; in float32 or float64 where
            T is above 1. A spike more is fired where the potential plus the
            offset comes to the next integer.

        Example:
            >>> from mmsnn.neurons import SpikingNeuron
            >>> neuron = SpikingNeuron(timesteps=2, threshold=2.)
            >>> neuron.potentials(torch.tensor([3., 4.]))
            tensor([1.5000, 2.5000])
        """
        if self.is_static:
            return self._over_threshold(membrane)
        check_input(membrane, self.timesteps)
        found = []

        def fire(potential):
            found.append(potential)
            return self._fire(potential)

        self.unroll(membrane, fire=fire)
        return torch.stack(found, 1).flatten(0, 1)

    def _over_threshold(self, potential: torch.Tensor) -> torch.Tensor:
        threshold = self.threshold
        if isinstance(threshold, torch.Tensor):
            return potential / threshold
        return (potential if threshold == 1 else
                ops.over_threshold(potential, threshold))

    def _fire(self, potential: torch.Tensor) -> torch.Tensor:
        if self.surrogate == 'rectangle':
            return spike_firing(potential, self.max_spikes, offset=self.offset)
        return smooth_firing(potential, self.offset, self.surrogate,
                             self.slope)
