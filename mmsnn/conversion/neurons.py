"""The two forms that a neuron takes in a converted model."""

from typing import List

import torch
from torch import nn

from mmsnn.neurons import (
    SFANeuron,
    fire_and_count,
    is_finite,
    spikes_per_substep,
)

from .spike_tensor import Origin, SpikeTensor, decode


def integrate_and_fire(potential: torch.Tensor,
                       max_spikes: int) -> List[torch.Tensor]:
    """An IF neuron with soft reset, run for D sub-steps.

    The whole input of the time step has been integrated. The neuron starts
    half a threshold above it, gets no further input, and in each sub-step
    fires where it has reached the threshold, which is then subtracted
    (paper, proposition 1).

    The potential is kept relative to the threshold: ``u + 1/2`` against 1 is
    ``u - 1/2`` against 0, and only the latter is exact in floating point.

    Args:
        potential (Tensor): Membrane potential over the threshold, any shape.
        max_spikes (int): D.

    Returns:
        list[Tensor]: D tensors of {0, 1}, same shape and dtype.

    Example:
        >>> u = torch.tensor([0.4, 0.5, 1.7, 9.0])
        >>> [s.tolist() for s in integrate_and_fire(u, 2)]
        [[0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]
    """
    excess = potential - 0.5
    train = []
    for _ in range(max_spikes):
        spikes = torch.ge(excess, 0, out=torch.empty_like(excess))
        excess -= spikes
        train.append(spikes)
    return train


class SpikingForm(nn.Module):
    """A neuron of a converted model.

    Args:
        neuron (SFANeuron): The neuron in training form.
        path (str): Its path in the model.
        session (Session): What the converted model is doing.
    """

    binary: bool

    def __init__(self, neuron: SFANeuron, path: str, session) -> None:
        super().__init__()
        self.neuron = neuron
        self.path = path
        self.session = session

    def forward(self, membrane: torch.Tensor) -> torch.Tensor:
        """Fire.

        Args:
            membrane (Tensor): Membrane potentials, any shape.

        Returns:
            SpikeTensor: Same shape; a plain tensor while a plan is replayed.

        Raises:
            ValueError: If a membrane potential is NaN or infinite.
        """
        session = self.session
        if session.replay is not None:
            return self._replay(membrane)
        with session.unrecorded():
            membrane = decode(membrane)
            spikes, levels = self._fire(membrane)
        if session.recorder is not None:
            per_image = membrane.numel() // max(session.batch_size, 1)
            number = session.recorder.add_neuron(
                self.path, spikes, self.neuron.max_spikes, levels,
                per_image * membrane.element_size())
            spikes.origin = Origin(number)
        return spikes

    def _fire(self, membrane: torch.Tensor):
        raise NotImplementedError

    def _replay(self, membrane: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError(f'{type(self).__name__} keeps no plan')

    def _check_finite(self, finite: bool) -> None:
        if not finite:
            raise ValueError(f'{self.path}: the membrane potential is NaN '
                             'or infinite; check the input and weights')


class TrainNeuron(SpikingForm):
    """Emits D binary tensors: really runs the IF neuron."""

    binary = True

    def _fire(self, membrane):
        self._check_finite(is_finite(membrane))
        neuron = self.neuron
        if neuron.threshold != 1:
            membrane = membrane / neuron.threshold
        train = integrate_and_fire(membrane, neuron.max_spikes)
        levels = [spikes_per_substep(s, 1)[0] for s in train]
        return SpikeTensor(train, neuron.scale, neuron.max_spikes, True,
                           sum(levels)), levels


class CountNeuron(SpikingForm):
    """Emits spike counts: the training form, counted."""

    binary = False

    def _fire(self, membrane):
        self._check_finite(is_finite(membrane))
        neuron = self.neuron
        values = neuron(membrane)
        levels = spikes_per_substep(values, neuron.max_spikes, neuron.scale)
        return self._spikes(values), levels

    def _spikes(self, values: torch.Tensor) -> SpikeTensor:
        return SpikeTensor([values], self.neuron.scale,
                           self.neuron.max_spikes, False)

    def _replay(self, membrane):
        neuron, replay = self.neuron, self.session.replay
        levels, reach = replay.expect(self.path, membrane)
        inplace = neuron.inplace
        if neuron.threshold != 1:
            membrane, inplace = membrane / neuron.threshold, True
        values, finite, reached = fire_and_count(
            membrane, neuron.max_spikes, neuron.scale, levels, reach, inplace)
        self._check_finite(finite)
        replay.fired(values, reached, self._spikes)
        return values


#: Names of the forms in configs.
FORMS = dict(spikes=TrainNeuron, counts=CountNeuron)
