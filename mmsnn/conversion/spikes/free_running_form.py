"""Firing while input still arrives: fast, and wrong by a measured amount.

In the lossless forms a neuron integrates its whole input and then fires. Here
all layers run in the same T x D sub-steps: in each, a neuron adds what has
arrived and fires if it has reached its threshold. A spike can't be taken
back, so a neuron whose later input is negative has fired too often.

The model runs once a sub-step, on its whole batch, and its neurons keep what
they have fired so far. What stands between neurons sees one sub-step as it
sees a batch in training form, so that it may mix images, flip or reduce them.
Each sub-step has to be the same model: whoever runs it lets it draw the same
random numbers and find the same state, whatever it keeps itself.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from mmsnn.neurons import SpikingNeuron, check_equation, is_finite

from .forms import SpikingForm
from .spike_tensor import decode


@dataclass(eq=False)
class _Firing:
    """What one firing of a neuron in a call of the model has come to.

    Attributes:
        fired (Tensor): Spikes so far in each time step, (N, T, ...).
        state (Tensor): Membranes that the time step before has left,
            (N, ...).
    """

    fired: torch.Tensor
    state: torch.Tensor


class SoFar:
    """What a neuron has fired so far in a call of the model: all that goes
    on from sub-step to sub-step.

    Attributes:
        firings (list): By the order in which it fires.
        next (int): Of the firing that comes next in this sub-step.
    """

    def __init__(self) -> None:
        self.firings: list[_Firing] = []
        self.next = 0


class FreeRunningNeuron(SpikingForm):
    """Fires at most once per sub-step, from what has arrived by then.

    A neuron with one time step in a model with more has all T x D sub-steps
    for it: what it gets, such as a mean over time, arrives in all of them.

    Args:
        neuron (SpikingNeuron): The neuron in training form.
        path (str): Its path in the model.
        session (Session): What the converted model is doing.
    """

    binary = False

    def __init__(self, neuron: SpikingNeuron, path: str, session) -> None:
        super().__init__(neuron, path, session)
        self._so_far = SoFar()

    def start_call(self) -> None:
        """Forget what was fired: a call of the model begins."""
        self._so_far.firings.clear()

    def start_substep(self) -> None:
        """The model begins to run once more."""
        self._so_far.next = 0

    def end_substep(self) -> None:
        """The model has run.

        Raises:
            ValueError: If the neuron has fired less often than before.
        """
        number, before = self._so_far.next, len(self._so_far.firings)
        if number < before:
            self._refuse(f'it ran {number} times in one and {before} times '
                         'in another')

    def forward(self, membrane: torch.Tensor) -> torch.Tensor:
        """Fire.

        Args:
            membrane (Tensor): (N * T, ...), what has arrived by now.

        Returns:
            Tensor: Spikes so far in each time step times the scale, same
            shape.

        Raises:
            ValueError: If rows are not images, their number is another than
                in the sub-step before, the neuron's T is another than the
                model's, or a membrane potential is NaN or infinite.
        """
        neuron, session = self.neuron, self.session
        membrane = decode(membrane)
        timesteps = neuron.timesteps
        if timesteps not in (1, session.timesteps):
            raise ValueError(
                f"{self.path}: form='free_running' needs neurons with "
                f'timesteps=1 or {session.timesteps}, the most in the model, '
                f'but this one has {timesteps}: use a lossless form')
        rows = session.images * timesteps
        if membrane.shape[:1] != (rows, ):
            raise ValueError(
                f"{self.path}: form='free_running' needs one row for each "
                f'image and time step, here {rows}, but got the shape '
                f'{tuple(membrane.shape)} (such as regions of interest): use '
                'a lossless form')
        self._check_finite(is_finite(membrane))
        arrived = membrane.unflatten(0, (session.images, timesteps))
        firing = self._firing(arrived)
        t = session.timestep if timesteps > 1 else 0
        potential = neuron.charge(arrived[:, t], firing.state)
        check_equation(neuron, 'charge', potential, firing.state)
        fired = firing.fired[:, t]
        excess = neuron._over_threshold(potential) - (1 - neuron.offset)
        fired += (excess - fired >= 0) & (fired < neuron.max_spikes)
        if timesteps > 1 and session.ends_timestep:
            firing.state = neuron.discharge(potential, fired)
            check_equation(neuron, 'discharge', firing.state, potential)
        return (firing.fired * neuron.scale).flatten(0, 1)

    def _firing(self, arrived: torch.Tensor) -> _Firing:
        firings, number = self._so_far.firings, self._so_far.next
        self._so_far.next += 1
        if number == len(firings):
            if self.session.substep:
                self._refuse('it ran more often than in the first')
            firings.append(
                _Firing(
                    torch.zeros_like(arrived),
                    torch.zeros_like(arrived[:, 0])))
        firing = firings[number]
        if firing.fired.shape != arrived.shape:
            now, before = (tuple(x.flatten(0, 1).shape)
                           for x in (arrived, firing.fired))
            self._refuse(f'its membranes have the shape {now} in one and '
                         f'{before} in another')
        return firing

    def _refuse(self, what: str) -> None:
        raise ValueError(
            f"{self.path}: form='free_running' needs a model that does the "
            f'same in each sub-step, but {what}: use a lossless form')


def run_substeps(session, neurons: Iterable[FreeRunningNeuron],
                 run: Callable[[bool], Any]) -> Any:
    """Run a model in all sub-steps of all time steps.

    Args:
        session (Session): What the converted model is doing.
        neurons (Iterable[FreeRunningNeuron]): Those of the model.
        run (Callable[[bool], Any]): Runs it once, and is told whether that
            is the last time.

    Returns:
        What the last run has returned.
    """
    neurons = list(neurons)
    number = session.timesteps * session.substeps
    for neuron in neurons:
        neuron.start_call()
    try:
        for session.substep in range(number):
            session.final = session.substep == number - 1
            for neuron in neurons:
                neuron.start_substep()
            out = run(session.final)
            for neuron in neurons:
                neuron.end_substep()
    finally:
        session.final, session.substep = True, 0
        for neuron in neurons:
            neuron.start_call()
    return out
