"""Does the input have time steps of its own, or is an image shown T times?

The arguments of a call do not say that: (N, T, F) can be T time steps of a
sample or one sample of T positions. What the model does with them says it.
Before it reaches a neuron with T time steps, a still image is multiplied,
since the neuron wants N * T rows; data with time is only rearranged.
"""

from collections.abc import Iterable

import torch

from mmsnn.conversion.spikes.spike_tensor import SpikeTensor
from mmsnn.conversion.upstream.mmcv_dispatch import MmcvOpMode
from mmsnn.conversion.upstream.nested import tensors

from .labels import Labels


class TimeAxis(MmcvOpMode):
    """Follows the input up to the first neuron over time.

    It is sure of two things only (:class:`.labels.Labels`): that rows are
    copies of the same, and that rows are made of different elements of the
    input. Where the rows of a neuron over time are neither, it asks.

    Args:
        session (Session): What the converted model is doing. Its recorder's
            ``repeats`` is kept.
        inputs (Iterable[Tensor]): What the model is given.
    """

    #: Neurons may run as kernels: none of their operations matter here.
    allows_kernels = True

    def __init__(self, session, inputs: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self._session = session
        self._copies, self._frames = Labels(True), Labels(False)
        self._images_told = session.images_told
        self._decided: int | None = None
        if session.input_over_time is not None:
            self._decide(1 if session.input_over_time else session.timesteps)
        else:
            first = 0
            for x in inputs:
                for labels in (self._copies, self._frames):
                    labels.start(x, first)
                first += x.numel()

    def _decide(self, repeats: int) -> None:
        self._decided = self._session.recorder.repeats = repeats
        for labels in (self._copies, self._frames):
            labels.clear()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        session = self._session
        if session.unwatched or self._decided is not None:
            return func(*args, **kwargs)
        with session.unrecorded():
            session.recorder.repeats = self._repeats_of(args)
        out = func(*args, **kwargs)
        with session.unrecorded():
            for labels in (self._copies, self._frames):
                labels.follow(func, args, kwargs, out)
        return out

    def run_mmcv_op(self, name, call, args, kwargs):
        """See :meth:`.MmcvOpMode.run_mmcv_op`."""
        out = call(*args, **kwargs)
        if not self._session.unwatched and self._decided is None:
            with self._session.unrecorded():
                for labels in (self._copies, self._frames):
                    labels.unknown((args, kwargs), (args, kwargs, out))
        return out

    def reached(self, path: str, membrane: torch.Tensor,
                spikes: SpikeTensor) -> None:
        """A neuron has fired.

        Args:
            path (str): Its path in the model.
            membrane (Tensor): Its membranes, (N * T, ...).
            spikes (SpikeTensor): What it fired.

        Raises:
            ValueError: If its rows do not say whether the input has time.
        """
        session, timesteps = self._session, spikes.timesteps
        if timesteps > 1 and not self._images_told:
            session.check_rows(path, membrane.shape[0], timesteps)
            self._images_told = True  # by the first of these neurons
        if self._decided is None and timesteps == 1:
            for labels in (self._copies, self._frames):
                labels.same(spikes, membrane)
        elif self._decided is None:
            with session.unrecorded():
                repeats = self._told_by(path, membrane, timesteps)
            if repeats is None:
                raise ValueError(
                    f'{path}: what reaches its {timesteps} time steps does '
                    'not tell whether the input of the model has time steps '
                    'of its own. Write to_spike_train(model, '
                    'input_over_time=True) if it has, or '
                    'input_over_time=False if the same image is shown '
                    f'{timesteps} times')
            self._decide(repeats)

    def _told_by(self, path: str, membrane: torch.Tensor,
                 timesteps: int) -> int | None:
        """How often each image is shown to a neuron over time; None if that
        is not sure."""
        if not self._copies.follows_input(membrane) or not membrane.numel():
            return None
        copies = self._copies.rows(membrane, 1).view(-1, timesteps)
        if bool((copies == copies[:, :1]).all()):
            return timesteps
        if bool((copies.view(timesteps, -1) == copies.view(
                timesteps, -1)[:1]).all()):
            raise ValueError(
                f'{path}: the {timesteps} copies of an image are '
                f'{len(copies)} rows apart, but the time steps of an image '
                'must be rows side by side: repeat it by '
                f'x.repeat_interleave({timesteps}, 0), not by '
                f'x.repeat({timesteps}, ...) or torch.cat([x] * {timesteps})')
        rows = self._frames.rows(membrane, 1)
        return 1 if len(rows.unique()) == len(rows) else None

    @property
    def follows(self) -> bool:
        """Whether no neuron over time was reached so far."""
        return self._decided is None

    def _repeats_of(self, args) -> int:
        """How often what an op is about to read shows an image: T where it
        is (N * T, ...) or (N, T, ...) with copies in the place of T, a new
        axis beside those of the input."""
        timesteps, images = self._session.timesteps, self._session.images
        axes = len(self._session.image_shape) + 1
        repeated = False
        for x in tensors(args):
            if x not in self._copies or not x.numel():
                continue
            if x.shape[:1] == (images * timesteps, ):
                steps = self._copies.rows(x, 1).view(-1, timesteps)
            elif x.shape[:2] == (images, timesteps) and x.dim() > axes:
                steps = self._copies.rows(x, 2)
            else:
                continue
            if bool((steps != steps[:, :1]).any()):
                return 1  # whatever else it reads
            repeated = True
        return timesteps if repeated else 1
