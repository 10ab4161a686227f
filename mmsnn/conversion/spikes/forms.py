"""The lossless forms that a neuron takes in a converted model."""

import torch
from torch import nn

from mmsnn.neurons import (
    SpikingNeuron,
    fire_and_count,
    integrate_and_fire,
    is_finite,
    spikes_per_substep,
    spikes_reaching,
)

from .spike_tensor import Origin, SpikeTensor, decode


class SpikingForm(nn.Module):
    """A neuron of a converted model. Subclasses say how it fires.

    Args:
        neuron (SpikingNeuron): The neuron in training form.
        path (str): Its path in the model.
        session (Session): What the converted model is doing.

    Attributes:
        binary (bool): Whether it emits spike trains, not counts.
    """

    binary: bool

    def __init__(self, neuron: SpikingNeuron, path: str, session) -> None:
        super().__init__()
        self.neuron = neuron
        self.path = path
        self.session = session

    def forward(self, membrane: torch.Tensor) -> torch.Tensor:
        """Fire.

        Args:
            membrane (Tensor): Membrane potentials, (N * T, ...).

        Returns:
            SpikeTensor: Same shape; a plain tensor of counts times the scale
            while the call is counted by a plan.

        Raises:
            ValueError: If a membrane potential is NaN or infinite.
        """
        session = self.session
        if session.replay is not None:
            return self._replay(membrane)
        given = membrane
        with session.unrecorded():
            membrane = decode(given)
            spikes, levels = self._fire(membrane)
        if session.recorder is not None:
            per_image = membrane.numel() // max(
                session.batch_size * self.neuron.timesteps, 1)
            number = session.recorder.add_neuron(
                self.path, given, spikes, levels,
                per_image * membrane.element_size())
            spikes.origin = Origin(number)
        return spikes

    def counts(self, output: torch.Tensor) -> torch.Tensor:
        """Spike counts of whole time steps.

        Args:
            output (Tensor): What :meth:`forward` has returned.

        Returns:
            Tensor: Integers 0..D, (N * T, ...), of a floating-point type.
        """
        if isinstance(output, SpikeTensor):
            return output.counts()
        return (output / self.neuron.scale).round()

    def _fire(self, membrane: torch.Tensor):
        raise NotImplementedError

    def _spikes(self, parts: list[torch.Tensor],
                spikes: int | None = None) -> SpikeTensor:
        neuron = self.neuron
        return SpikeTensor(parts, neuron.scale, neuron.max_spikes, self.binary,
                           spikes, timesteps=neuron.timesteps)

    def _replay(self, membrane: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError(f'{type(self).__name__} keeps no plan')

    def _check_finite(self, finite: bool) -> None:
        if not finite:
            raise ValueError(f'{self.path}: the membrane potential is NaN '
                             'or infinite; check the input and weights')


class SpikeTrainNeuron(SpikingForm):
    """Runs an IF neuron for D sub-steps, and emits D binary tensors."""

    binary = True

    def _fire(self, membrane):
        self._check_finite(is_finite(membrane))
        neuron = self.neuron
        if not neuron.is_static:
            return self._fire_over_time(membrane)
        if neuron.threshold != 1:
            membrane = membrane / neuron.threshold
        train = integrate_and_fire(membrane, neuron.max_spikes)
        levels = [spikes_per_substep(s, 1)[0] for s in train]
        return self._spikes(train, sum(levels)), levels

    def _fire_over_time(self, membrane):
        """Run the IF neuron in each time step. Between them, the membrane is
        reset and decays as in training form."""
        neuron = self.neuron
        train = [torch.empty_like(membrane) for _ in range(neuron.max_spikes)]
        slots = zip(*(s.unflatten(0, (-1, neuron.timesteps)).unbind(1)
                      for s in train))
        levels = []

        def fire(potential):
            step = integrate_and_fire(potential, neuron.max_spikes,
                                      neuron.offset)
            for slot, spikes in zip(next(slots), step):
                slot.copy_(spikes)
            levels.extend(spikes_per_substep(s, 1)[0] for s in step)
            return sum(step)

        neuron.unroll(membrane, fire=fire)
        return self._spikes(train, sum(levels)), levels


class CountNeuron(SpikingForm):
    """Runs the training form, and emits spike counts."""

    binary = False

    def _fire(self, membrane):
        self._check_finite(is_finite(membrane))
        values = self.neuron(membrane)
        levels = self._levels(values)
        return self._spikes([values], sum(levels)), levels

    def _levels(self, values: torch.Tensor) -> list[int]:
        """Spikes per sub-step of every time step."""
        neuron = self.neuron
        steps = [values]
        if neuron.timesteps > 1:
            steps = values.unflatten(0, (-1, neuron.timesteps)).unbind(1)
            steps = [x.clone() for x in steps]  # each in one piece of memory
        return [
            n for x in steps
            for n in spikes_per_substep(x, neuron.max_spikes, neuron.scale)
        ]

    def _replay(self, membrane):
        neuron, replay = self.neuron, self.session.replay
        kinds = neuron.max_spikes, neuron.scale
        levels, reach = replay.expect(self.path, membrane)
        if neuron.is_static:
            inplace = neuron.inplace
            if neuron.threshold != 1:
                membrane, inplace = membrane / neuron.threshold, True
            values, finite, reached = fire_and_count(membrane, *kinds, levels,
                                                     reach, inplace)
            self._check_finite(finite)
        else:
            self._check_finite(is_finite(membrane))
            values = neuron(membrane)
            levels += torch.tensor(self._levels(values))
            reached = spikes_reaching(values, *kinds, reach)
        replay.fired(values, reached, lambda x: self._spikes([x]))
        return values

