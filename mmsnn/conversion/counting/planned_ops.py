"""The ops of a counting plan, and what they add up over calls."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from mmsnn.trace import OpRecord

from .relays import relay_amounts
from .synapses import synapse_cost


@dataclass(eq=False)
class PlannedOp:
    """An op of the plan, and what is counted of it.

    Attributes:
        key (tuple): Of its record in the trace.
        new (dict): Fields that describe it there.
        amounts (dict): What each call adds there, whatever the neurons fire.
        counted (dict): Amounts of calls so far that depend on spikes.
    """

    key: tuple
    new: dict
    amounts: dict
    counted: dict = field(default_factory=dict)

    def count(self, images: int, counts: list[int], **amounts) -> None:
        """Add what depends on spikes in a call.

        Args:
            images (int): Images of the call.
            counts (list[int]): What is kept of a call of one image.
            **amounts: Fields of the record that calls add to.
        """
        amounts['by_image'] = [counts] if images == 1 else []
        self.counted = OpRecord.joined(self.counted, amounts)


@dataclass(eq=False)
class PlannedNeuron:
    """A neuron layer that fires.

    Attributes:
        op (PlannedOp): Its amounts.
        path (str): Its path in the model.
        shape (torch.Size): Of its membranes.
        substeps (int): T x D.
        reach (Tensor | None): How many outputs a spike at each position
            reaches; the neuron adds that up while it fires.
        due (list[PlannedSynapse]): Synapses that are computed from spikes as
            soon as it has fired.
        last_use (int): Number of the firing after which nothing is computed
            from its spikes any more; -1 if nothing is.
        fired (int): Spikes of the latest call.
        reached (int): ``reach`` of all of them, summed.
    """

    op: PlannedOp
    path: str
    shape: torch.Size
    substeps: int
    reach: torch.Tensor | None = None
    due: list['PlannedSynapse'] = field(default_factory=list)
    last_use: int = -1
    fired: int = 0
    reached: int = 0

    def can_weigh_by(self, reach: torch.Tensor) -> bool:
        """Whether this is its ``reach``. The first that it is asked for is.

        Args:
            reach (Tensor): Outputs that a spike at each position reaches.
        """
        if self.reach is None:
            self.reach = reach
        return torch.equal(self.reach, reach)

    def end_call(self, levels: torch.Tensor, reached: int,
                 images: int) -> None:
        """Add a call.

        Args:
            levels (Tensor): Spikes in each sub-step.
            reached (int): ``reach`` of all of them, summed.
            images (int): Images of the call.
        """
        spikes = levels.tolist()
        self.fired, self.reached = sum(spikes), reached
        self.op.count(images, spikes, spikes=spikes,
                      squares=dict(emitted=self.fired**2 / images))


@dataclass(eq=False)
class PlannedSynapse:
    """A synapse on spikes.

    Attributes:
        op (PlannedOp): Its amounts.
        source (PlannedNeuron): Has fired the spikes; of two operands, those
            that are fired last.
        fan_out (int | None): Outputs that each spike reaches; None where
            that is not one number.
        call (tuple | None): Op, arguments and result without their values,
            where the cost is computed from spikes.
        cost (dict): What came of that in the latest call.
    """

    op: PlannedOp
    source: PlannedNeuron
    fan_out: int | None = None
    call: tuple | None = None
    cost: dict = field(default_factory=dict)

    def compute(self, spikes_of: Callable[[Any], Any]) -> dict:
        """Cost of a call from its spikes.

        Args:
            spikes_of (Callable): Gives the spikes of this call in the place
                of where they come from, and anything else as it is.

        Returns:
            dict: Amounts.
        """
        func, args, output = self.call
        return synapse_cost(func, [spikes_of(x) for x in args], output)

    def end_call(self, images: int) -> int:
        """Add a call, after its source has done so.

        Args:
            images (int): Images of the call.

        Returns:
            int: Its SOPs.
        """
        spikes = self.source.fired
        if self.call is not None:
            sops, spikes = self.cost['sops'], self.cost['in_spikes']
        elif self.fan_out is not None:
            sops = spikes * self.fan_out
        else:
            sops = self.source.reached
        self.op.count(images, [sops], sops=sops, in_spikes=spikes,
                      squares=dict(sops=sops**2 / images,
                                   in_spikes=spikes**2 / images))
        return sops


class PlannedRelay(PlannedSynapse):
    """Gates that hand spikes on. ``call`` has where their inputs and, last,
    what they fire comes from."""

    def compute(self, spikes_of: Callable[[Any], Any]) -> dict:
        """Spikes of a call.

        Args:
            spikes_of (Callable): As of :class:`PlannedSynapse`.

        Returns:
            dict: Amounts.
        """
        *inputs, output = map(spikes_of, self.call)
        return relay_amounts(inputs, output)

    def end_call(self, images: int) -> int:
        """Add a call.

        Args:
            images (int): Images of the call.

        Returns:
            int: 0, since gates add nothing.
        """
        spikes, arrived = self.cost['spikes'], self.cost['in_spikes']
        self.op.count(images, spikes, spikes=spikes, in_spikes=arrived,
                      squares=dict(in_spikes=arrived**2 / images))
        return 0
