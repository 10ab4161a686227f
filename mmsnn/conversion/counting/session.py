"""What a converted model's parts need to know of the running call."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch

from mmsnn.conversion.upstream.random_numbers import RandomNumbers
from mmsnn.conversion.upstream.unbatched import without_batch_axis

from .recorder import OpRecorder
from .replay import Replay
from .saved_state import SavedState


@dataclass(eq=False)
class Session:
    """The running call of a converted model.

    Attributes:
        recorder (OpRecorder | None): Set while every op is watched.
        replay (Replay | None): Set while a call is counted by a plan.
        images (int): N, the images of the call.
        images_told (bool): Whether N is said, and not only the first
            dimension of what the model got.
        image_shape (tuple[int]): Shape of an image as the model got it.
        substeps (int): D, the most of all neurons.
        timesteps (int): T, the most of all neurons.
        input_over_time (bool | None): Whether the input has T time steps of
            its own, or is shown T times. None where a recorded call tells.
        unwatched (bool): Whether what runs now is no part of the model.
        substep (int): In free running, that of all T x D which runs.
        final (bool): Whether a neuron's firing is that of whole time steps;
            in free running only that of the last sub-step is.
        saved (SavedState | None): What the running call has found, where it
            may be run once more.
        attempt (int): Runs that were given up so far, each of a call that
            was then run once more.
    """

    recorder: OpRecorder | None = None
    replay: Replay | None = None
    images: int = 1
    images_told: bool = True
    image_shape: tuple[int, ...] = ()
    substeps: int = 1
    timesteps: int = 1
    input_over_time: bool | None = None
    unwatched: bool = False
    substep: int = 0
    final: bool = True
    saved: SavedState | None = None
    attempt: int = 0
    _drawn: RandomNumbers | None = None  # by earlier calls
    # What is found while the model runs, and how much before this call.
    _found: list[tuple[list, int]] = field(default_factory=list)

    @contextmanager
    def keeps(self, found: list) -> Iterator[None]:
        """Context in which a list gets what is found in the calls.

        What it gets in runs that are given up is taken out again.

        Args:
            found (list): The list. Whoever finds something appends it.
        """
        self._found.append((found, len(found)))
        try:
            yield
        finally:
            self._found = [x for x in self._found if x[0] is not found]

    def start_call(self) -> None:
        """Note that a call begins: what was found before it is kept, and
        another run of it draws the same random numbers."""
        self.saved = None
        self._drawn = RandomNumbers()
        self._found = [(found, len(found)) for found, _ in self._found]

    def check_images(self, path: str, shape: torch.Size, timesteps: int,
                     follow_input: bool) -> None:
        """Check that the first neurons of a recorded call have rows of N
        images, where N is not said.

        Args:
            path (str): Path of the neurons.
            shape (torch.Size): Of what they get.
            timesteps (int): T of theirs.
            follow_input (bool): Whether it is computed from the input.

        Raises:
            ValueError: If there are more rows than N and they are no multiple
                of N x T, or those of one image on an axis that the input does
                not have, so that N is the length of another axis. (Fewer than
                N can be a part of the images.)
        """
        if self.images_told:
            return
        self.images_told = True  # by what comes now
        rows, axes = shape[0] if shape else 1, 1 + len(self.image_shape)
        if rows > self.images and rows % max(self.images * timesteps, 1):
            self.check_rows(path, rows, timesteps)
        if rows == timesteps and self.images > 1 and follow_input and (
                len(shape) == axes + 1):
            raise ValueError(without_batch_axis(
                f'{path} has neurons for one image; the input of the model',
                (self.images, *self.image_shape)))

    def check_rows(self, path: str, rows: int, timesteps: int) -> None:
        """Check that neurons have a row for each time step of each image.

        Args:
            path (str): Path of the neurons.
            rows (int): The first dimension of what they get.
            timesteps (int): T of theirs.

        Raises:
            ValueError: If they have more or fewer.
        """
        if rows != self.images * timesteps:
            raise ValueError(
                f'{path}: the arguments of the model seem to be '
                f'{self.images} images, the first dimension, but its first '
                f'neurons get {rows} rows for {timesteps} time steps. Say '
                'what the images are: to_spike_train(model, batch=...), the '
                'name of the argument that has them along its first '
                'dimension, or their number in each call')

    def give_up(self, inputs: Sequence[torch.Tensor],
                versions: Sequence[int]) -> None:
        """Give a run of the model up, to run the call once more.

        Random numbers and state of the model are what the call has found.

        Args:
            inputs (Sequence[Tensor]): What the model was given.
            versions (Sequence[int]): Their versions before.

        Raises:
            RuntimeError: If the model has written into them, or its state
                can't be put back.
        """
        self.attempt += 1
        self._drawn.restore()
        fault = self.saved.put_back() if self.saved is not None else ''
        for found, number in self._found:
            del found[number:]
        if [x._version for x in inputs] != list(versions):
            raise RuntimeError(
                'the model has taken another way than in earlier calls, and '
                'can not be run once more, since it has written into its '
                'input: make a new tensor (x = x * 2 for x *= 2), or call it '
                'again with a fresh input')
        if fault:
            raise RuntimeError(
                'the model has taken another way than in earlier calls, and '
                f'can not be run once more, since {fault}: keep no such state '
                'from call to call, or convert the model anew and call it '
                'first with what takes this way')

    def __deepcopy__(self, memo):
        return self  # a part that a model copies runs in the same call

    @property
    def timestep(self) -> int:
        """The time step in which free running is."""
        return self.substep // self.substeps

    @property
    def ends_timestep(self) -> bool:
        """Whether free running is in the last sub-step of a time step."""
        return self.substep % self.substeps == self.substeps - 1

    @contextmanager
    def unrecorded(self) -> Iterator[None]:
        """Context in which ops are not recorded."""
        before, self.unwatched = self.unwatched, True
        try:
            with self.recorder.paused() if self.recorder else nullcontext():
                yield
        finally:
            self.unwatched = before
