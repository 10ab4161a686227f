"""Counting one call by a plan."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from mmsnn.conversion.spikes.spike_tensor import Origin, SpikeTensor

from .plan import CountingPlan


class PlanMismatch(Exception):
    """A call does not do what the plan says."""


class Replay:
    """Counts one call by a plan, from what its neurons fire.

    Each neuron asks what it is to count (:meth:`expect`), fires, and says
    what it has fired (:meth:`fired`). Nothing reaches the plan before
    :meth:`finish`: until then it can turn out that the call does something
    else.

    Args:
        plan (CountingPlan): The plan.
        images (int): Images of the call.
    """

    def __init__(self, plan: CountingPlan, images: int) -> None:
        self.plan = plan
        self.images = images
        substeps = [n.substeps for n in plan.neurons]
        # What each firing has counted, see CountingPlan.add_call.
        self._levels = torch.zeros(
            sum(substeps), dtype=torch.int64).split(substeps)
        self._reached = [0] * len(substeps)
        self._costs: list[tuple] = []
        self._next = 0  # number of the firing that is next
        # Spikes still to be used: values, and the function to wrap them.
        self._spikes: dict[int, tuple] = {}

    def expect(
            self, path: str, membrane: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What a neuron that is about to fire has to count.

        Args:
            path (str): Its path in the model.
            membrane (Tensor): Its membrane potentials.

        Returns:
            tuple[Tensor, Tensor | None]: T x D integers, to which it adds
            its spikes in each sub-step; and how many outputs a spike at each
            position reaches, None if that is not to be counted.

        Raises:
            PlanMismatch: If this neuron was not to fire now, or not on this
                shape.
        """
        if self._next >= len(self.plan.neurons):
            raise PlanMismatch
        neuron = self.plan.neurons[self._next]
        if path != neuron.path or membrane.shape != neuron.shape:
            raise PlanMismatch
        return self._levels[self._next], neuron.reach

    def fired(self, values: torch.Tensor, reached: int,
              wrap: Callable[[torch.Tensor], SpikeTensor]) -> None:
        """Count the synapses for which this neuron was the last to wait for.

        Args:
            values (Tensor): What it fired, counts times the scale.
            reached (int): Outputs that its spikes reach, see :meth:`expect`.
            wrap (Callable[[Tensor], SpikeTensor]): Makes values spikes.
        """
        number, self._next = self._next, self._next + 1
        self._reached[number] = reached
        neuron = self.plan.neurons[number]
        if neuron.last_use >= 0:
            # The model may reshape what it gets in place.
            self._spikes[number] = values.detach(), wrap
        for synapse in neuron.due:
            self._costs.append((synapse, synapse.compute(self._operand)))
        if neuron.due:
            for done in [
                    n for n in self._spikes
                    if self.plan.neurons[n].last_use <= number
            ]:
                del self._spikes[done]

    def _operand(self, x: Any) -> Any:
        if not isinstance(x, Origin):
            return x
        values, wrap = self._spikes[x.neuron]
        return wrap(x.replay(values))

    def finish(self, visits: Sequence[str]) -> None:
        """Add the call to the plan.

        Args:
            visits (Sequence[str]): Paths of the modules that it has run.

        Raises:
            PlanMismatch: If neurons are left that have not fired, or other
                modules have run.
        """
        if (self._next != len(self.plan.neurons) or
                tuple(visits) != self.plan.visits):
            raise PlanMismatch
        self.plan.add_call(self.images, self._levels, self._reached,
                           self._costs)
