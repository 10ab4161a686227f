"""The ops of a counting plan, and what they add up over calls."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch

from mmsnn.conversion.spikes.spike_tensor import Origin
from mmsnn.neurons import spikes_meeting
from mmsnn.trace import OpRecord

from .relays import relay_amounts
from .synapses import synapse_cost

#: How many calls are kept until they are added up, which costs less at once.
_CALLS_AT_ONCE = 64


@dataclass(eq=False)
class PlannedOp:
    """An op of the plan, and what is counted of it.

    Attributes:
        key (tuple): Of its record in the trace.
        new (dict): Fields that describe it there.
        amounts (dict): What each call adds there, whatever the neurons fire.
    """

    key: tuple
    new: dict
    amounts: dict
    _counted: dict = field(default_factory=dict)
    _calls: list[tuple] = field(default_factory=list)  # not added up yet

    def count(self, images: int, counts: list[int],
              in_spikes: int | None = None, fires: bool = True) -> None:
        """Add what depends on spikes in a call.

        Args:
            images (int): Images of the call.
            counts (list[int]): Spikes of a neuron or of gates in each
                sub-step; of a synapse, its SOPs.
            in_spikes (int, optional): Spikes that a synapse or a gate gets.
            fires (bool): It fires spikes: it is no synapse. Defaults to True.
        """
        self._calls.append((images, counts, in_spikes, fires))
        if len(self._calls) == _CALLS_AT_ONCE:
            self._add_up()

    def take(self) -> dict:
        """What was counted so far, as fields of a record; it is forgotten.

        Returns:
            dict: Empty if nothing that depends on spikes was counted.
        """
        self._add_up()
        counted, self._counted = self._counted, {}
        return counted

    def _add_up(self) -> None:
        if not self._calls:
            return
        calls, self._calls = self._calls, []
        images, counts, in_spikes, fires = zip(*calls)
        sums = [sum(column) for column in zip(*counts)]
        varying, more = {}, dict(spikes=sums)
        if not fires[0]:
            varying, more = dict(sops=[x for x, in counts]), dict(sops=sums[0])
        if in_spikes[0] is None:
            varying['emitted'] = [sum(x) for x in counts]
        else:
            varying['in_spikes'] = in_spikes
            more['in_spikes'] = sum(in_spikes)
        more['squares'] = {
            name: sum(
                Fraction(sum(x**2 for x, k in zip(values, images) if k == n),
                         n) for n in set(images))
            for name, values in varying.items()
        }
        more['by_image'] = [x for x, n in zip(counts, images) if n == 1]
        self._counted = OpRecord.joined(self._counted, more)


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

    def end_call(self, levels: list[int], reached: int,
                 images: int) -> None:
        """Add a call.

        Args:
            levels (list[int]): Spikes in each sub-step.
            reached (int): ``reach`` of all of them, summed.
            images (int): Images of the call.
        """
        self.fired, self.reached = sum(levels), reached
        self.op.count(images, levels)


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
        of_spikes (bool): Whether that is a product of spikes with spikes.
        cost (dict): What came of that in the latest call.
    """

    op: PlannedOp
    source: PlannedNeuron
    fan_out: int | None = None
    call: tuple | None = None
    of_spikes: bool = False
    cost: dict = field(default_factory=dict)

    def compute(self, spikes_of: Callable[[Any], Any],
                counts_of: Callable[[Origin], torch.Tensor]) -> dict:
        """Cost of a call from its spikes.

        Args:
            spikes_of (Callable): Gives the spikes of this call in the place
                of where they come from, and anything else as it is.
            counts_of (Callable): Gives their counts as a plain tensor.

        Returns:
            dict: Amounts.
        """
        func, args, output = self.call
        if self.of_spikes:
            spikes, sops = spikes_meeting(*map(counts_of, args[-2:]))
            return dict(sops=sops, in_spikes=spikes)
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
        self.op.count(images, [sops], spikes, fires=False)
        return sops


class PlannedRelay(PlannedSynapse):
    """Gates that hand spikes on. ``call`` has where their inputs and, last,
    what they fire comes from."""

    def compute(self, spikes_of: Callable[[Any], Any],
                counts_of: Callable[[Origin], torch.Tensor]) -> dict:
        """Spikes of a call.

        Args:
            spikes_of (Callable): As of :class:`PlannedSynapse`.
            counts_of (Callable): As there.

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
        self.op.count(images, spikes, arrived)
        return 0
