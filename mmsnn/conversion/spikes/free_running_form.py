"""Firing while input still arrives: fast, and wrong by a measured amount.

In the lossless forms a neuron integrates its whole input and then fires. Here
all layers run in the same D sub-steps: in each, a neuron adds what has
arrived and fires if it has reached its threshold. A spike can't be taken
back, so a neuron whose later input is negative has fired too often.

All D sub-steps of an image run side by side, as rows of the batch: what a row
holds is what has arrived by then. Ops between neurons see only rows of one
sub-step, whatever they compute.
"""

import copy
from typing import Any

import torch

from .forms import SpikingForm
from .spike_tensor import decode


class FreeRunningNeuron(SpikingForm):
    """Fires at most once per sub-step, from what has arrived by then.

    Rows of its input are ordered by images, then sub-steps, then time steps.
    """

    binary = False

    def forward(self, membrane: torch.Tensor) -> torch.Tensor:
        """Fire.

        Args:
            membrane (Tensor): (N * D * T, ...), what has arrived by each
                sub-step.

        Returns:
            Tensor: Spikes so far in each time step times the scale, same
            shape.

        Raises:
            ValueError: If rows are not images, or a membrane potential is
                NaN or infinite.
        """
        neuron, session = self.neuron, self.session
        membrane = decode(membrane)
        substeps, timesteps = session.substeps, neuron.timesteps
        if membrane.shape[0] != session.images * substeps * timesteps:
            raise ValueError(
                f"{self.path}: form='free_running' needs one row for each "
                f'image, sub-step and time step, here '
                f'{session.images * substeps * timesteps}, but got '
                f'{membrane.shape[0]} (such as regions of interest): use a '
                'lossless form')
        self._check_finite(bool(torch.isfinite(membrane).all()))
        arrived = membrane.unflatten(0, (-1, substeps, timesteps))
        state = torch.zeros_like(arrived[:, 0, 0])
        output = torch.empty_like(arrived)
        for t in range(timesteps):
            fired = torch.zeros_like(state)
            for d in range(substeps):
                potential = neuron.charge(arrived[:, d, t], state)
                excess = potential / neuron.threshold - (1 - neuron.offset)
                fires = (excess - fired >= 0) & (fired < neuron.max_spikes)
                fired = fired + fires
                output[:, d, t] = fired * neuron.scale
            state = neuron.discharge(potential, fired)
        return output.flatten(0, 2)

    def counts(self, output: torch.Tensor) -> torch.Tensor:
        """Spike counts of whole time steps.

        Args:
            output (Tensor): What :meth:`forward` has returned.

        Returns:
            Tensor: Spikes after the last sub-step, (N * T, ...).
        """
        shape = self.session.substeps, self.neuron.timesteps
        last = output.unflatten(0, (-1, *shape))[:, -1].flatten(0, 1)
        return (last / self.neuron.scale).round()


def repeat(x: Any, images: int, substeps: int) -> Any:
    """Arguments of a model for every sub-step.

    Args:
        x: Arguments, nested. Tensors and lists with an entry for each image
            are repeated; anything else is passed on.
        images (int): N.
        substeps (int): D.

    Returns:
        The same, with N * D entries: all sub-steps of the first image, then
        of the second.

    Example:
        >>> repeat(dict(inputs=torch.tensor([1, 2]), mode='tensor'), 2, 2)
        {'inputs': tensor([1, 1, 2, 2]), 'mode': 'tensor'}
    """
    if isinstance(x, torch.Tensor):
        whole = x.dim() and x.shape[0] == images
        return x.repeat_interleave(substeps, 0) if whole else x
    if isinstance(x, dict):
        return {k: repeat(v, images, substeps) for k, v in x.items()}
    if isinstance(x, list) and len(x) == images:
        return [copy.deepcopy(v) for v in x for _ in range(substeps)]
    return x


def last_substep(x: Any, images: int, substeps: int) -> Any:
    """Results of a model after the last sub-step.

    Args:
        x: Results, nested. Tensors and lists with N * D entries are cut;
            anything else is passed on.
        images (int): N.
        substeps (int): D.

    Returns:
        The same, with N entries.

    Example:
        >>> last_substep([torch.tensor([1, 2, 3, 4])], 2, 2)
        [tensor([2, 4])]
    """
    rows = images * substeps
    if isinstance(x, torch.Tensor):
        whole = x.dim() and x.shape[0] == rows
        return x[substeps - 1::substeps] if whole else x
    if isinstance(x, dict):
        return {k: last_substep(v, images, substeps) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        per_image = len(x) == rows and not all(
            isinstance(v, torch.Tensor) and v.dim() and v.shape[0] == rows
            for v in x)
        if per_image:
            return x[substeps - 1::substeps]
        return type(x)(last_substep(v, images, substeps) for v in x)
    return x
