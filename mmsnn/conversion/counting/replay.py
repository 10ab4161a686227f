"""Counting one call by a plan."""

from collections.abc import Sequence
from typing import Any

import torch

from mmsnn.conversion.spikes.spike_tensor import Origin

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
        # What each firing has counted, see CountingPlan.add_call.
        self._fired: list[tuple[list[int], int]] = []
        self._costs: list[tuple] = []
        # Spikes still to be used: values, and the form of their neuron.
        self._spikes: dict[int, tuple] = {}

    def expect(self, path: str,
               membrane: torch.Tensor) -> torch.Tensor | None:
        """What a neuron that is about to fire has to count.

        Args:
            path (str): Its path in the model.
            membrane (Tensor): Its membrane potentials.

        Returns:
            Tensor | None: How many outputs a spike at each position reaches;
            None if that is not to be counted.

        Raises:
            PlanMismatch: If this neuron was not to fire now, or not on this
                shape.
        """
        if len(self._fired) == len(self.plan.neurons):
            raise PlanMismatch
        neuron = self.plan.neurons[len(self._fired)]
        if path != neuron.path or membrane.shape != neuron.shape:
            raise PlanMismatch
        return neuron.reach

    def fired(self, values: torch.Tensor, levels: list[int], reached: int,
              form) -> None:
        """Count the synapses for which this neuron was the last to wait for.

        Args:
            values (Tensor): What it fired, counts times the scale.
            levels (list[int]): Its spikes in each of T x D sub-steps.
            reached (int): Outputs that its spikes reach, see :meth:`expect`.
            form (SpikingForm): Itself.
        """
        number = len(self._fired)
        self._fired.append((levels, reached))
        neuron = self.plan.neurons[number]
        if neuron.last_use >= 0:
            # The model may reshape what it gets in place.
            self._spikes[number] = values.detach(), form
        for synapse in neuron.due:
            self._costs.append((synapse, synapse.compute(
                self._operand, self._counts)))
        if neuron.due:
            for done in [
                    n for n in self._spikes
                    if self.plan.neurons[n].last_use <= number
            ]:
                del self._spikes[done]

    def _operand(self, x: Any) -> Any:
        if not isinstance(x, Origin):
            return x
        values, form = self._spikes[x.neuron]
        return form.spikes(x.replay(values))

    def _counts(self, x: Origin) -> torch.Tensor:
        values, form = self._spikes[x.neuron]
        return form.counts(x.replay(values))

    def finish(self, visits: Sequence[str]) -> None:
        """Add the call to the plan.

        Args:
            visits (Sequence[str]): Paths of the modules that it has run.

        Raises:
            PlanMismatch: If neurons are left that have not fired, or other
                modules have run.
        """
        if (len(self._fired) != len(self.plan.neurons) or
                tuple(visits) != self.plan.visits):
            raise PlanMismatch
        self.plan.add_call(self.images, self._fired, self._costs)
