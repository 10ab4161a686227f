"""A data loader that can go on in the middle of a pass."""

import logging
import pickle
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice

import torch
from mmengine.logging import print_log
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mmsnn.conversion.upstream.random_numbers import RandomNumbers

from .kept_data import KeptData


@dataclass
class LoaderPlace:
    """Where a run is in its data; plain data, for checkpoints.

    Attributes:
        passes (int): Passes over the data that were begun.
        taken (int): Batches that were taken in the last of them.
        digest (int): CRC-32 of their indices.
        fresh (bool): Whether that pass began with new workers.
        start (dict): Random states of the process when the pass began.
        samplers (list[dict]): Seed and epoch of the samplers.
        worker_seed (int, optional): Seed that workers begin with.
        workers (list): Random states of each worker behind the last batch of
            it that was taken; None for workers none was taken of.
        settings (dict): What has to be the same where the run goes on.
        kept (list[str]): Transforms' attributes that hold data of earlier
            samples.
    """

    passes: int
    taken: int
    digest: int
    fresh: bool
    start: dict
    samplers: list
    worker_seed: int | None
    workers: list
    settings: dict
    kept: list

    state_dict = asdict


class ResumableLoader(DataLoader):
    """A data loader that knows its place, and can go on from one.

    It yields what the loader would yield and draws no random numbers of its
    own. Each batch of a worker comes with the worker's random states (12 kB,
    0.2 ms of the worker's time). To go on, samplers are advanced by indices;
    data is read of less than ``num_workers`` batches.

    Example:
        >>> from torch.utils.data import RandomSampler
        >>> def loader():
        ...     made = DataLoader(range(6), 2, sampler=RandomSampler(range(6)))
        ...     return ResumableLoader.adopt(made)
        >>> _ = torch.manual_seed(0)
        >>> first = loader()
        >>> batches = iter(first)
        >>> _ = next(batches)
        >>> place = first.place()
        >>> rest = list(batches)
        >>> second = loader()
        >>> second.go_on(place, inside=True)
        >>> [x.tolist() for x in second] == [x.tolist() for x in rest]
        True
    """

    @classmethod
    def adopt(cls, loader: DataLoader) -> 'ResumableLoader':
        """Make a loader one that knows its place.

        Args:
            loader (DataLoader): Changed in place: who holds it holds the
                resumable one.
        """
        if not isinstance(loader, cls):
            kind = type(loader)
            loader.__class__ = cls if kind is DataLoader else type(
                f'Resumable{kind.__name__}', (cls, kind), {})
            loader._passes = 0
            loader._workers: list = [None] * loader.num_workers
            loader._turned = False
            loader._resumed = None
            loader._current = None
            loader._kept = KeptData(loader.dataset)
        return loader

    def place(self) -> LoaderPlace:
        """The place behind the last batch that was taken."""
        if self._resumed:
            return self._resumed[0]
        current = self._current
        found = [w and pickle.loads(w) for w in self._workers]
        kept = set(self._kept.found()).union(*[w[1] for w in found if w])
        return LoaderPlace(
            passes=current.number,
            taken=current.taken,
            digest=current.indices.digest,
            fresh=current.fresh,
            start=current.start.state_dict(),
            samplers=current.samplers,
            worker_seed=_keywords(self.worker_init_fn).get('seed'),
            workers=[w and w[0].state_dict() for w in found],
            settings=self.settings(),
            kept=sorted(kept))

    def settings(self) -> dict:
        """What the order of samples and the work of workers hang on."""
        sampler = self.batch_sampler or self.sampler
        batch_size = getattr(sampler, 'batch_size', self.batch_size)
        return dict(
            samples=len(self.dataset), batch_size=batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.persistent_workers,
            sampler=type(getattr(sampler, 'sampler', sampler)).__name__)

    def unknown(self) -> str:
        """Why places in this loader can't be found again; else ''."""
        if isinstance(self.dataset, IterableDataset):
            return 'the data set is a stream, which has no indices'
        if not getattr(self, 'in_order', True):
            return 'train_dataloader.in_order is False'
        return ''

    def go_on(self, place: LoaderPlace, inside: bool) -> None:
        """Let the next pass be the rest of a pass, or the pass behind it.

        Args:
            place (LoaderPlace): Where the run was.
            inside (bool): Whether the pass went on there; else it was over.
        """
        self._passes = place.passes - inside
        if len(place.workers) == self.num_workers:
            self._workers = [
                w and pickle.dumps((RandomNumbers.of(w), []))
                for w in place.workers
            ]
        else:
            self._workers = [None] * self.num_workers
        for sampler, state in zip(self._samplers(), place.samplers):
            if 'seed' in state and state['seed'] != sampler.seed:
                sampler.seed = state['seed']
                if hasattr(sampler, 'skip'):
                    sampler.skip(0)  # makes its order of the new seed
        keywords = _keywords(self.worker_init_fn)
        if place.worker_seed is not None and 'seed' in keywords:
            keywords['seed'] = place.worker_seed
        self._resumed = place, inside

    def __iter__(self) -> Iterator:
        """A pass. It begins when its first batch is taken."""
        (place, inside), self._resumed = self._resumed or (None, False), None
        self._passes += 1
        if inside:
            current, batches = self._rest(place)
        else:
            current, batches = self._whole(behind=place)
        for item in batches:
            batch = self._take(current, item)
            del item
            yield batch

    def _take(self, current: '_Pass', item):
        if self.num_workers:
            item, self._workers[current.taken % self.num_workers] = item
        current.taken += 1
        current.indices.take()
        self._current = current
        return item

    def _whole(self, behind: LoaderPlace | None) -> tuple['_Pass', Iterator]:
        """A pass from its beginning."""
        persistent = self.persistent_workers and self.num_workers
        # Hooks that replace the pipeline forget the workers in this way.
        forgotten = not self._DataLoader__initialized
        fresh = not (persistent and not forgotten and
                     (self._iterator is not None or behind))
        if fresh:
            self._workers = [None] * self.num_workers
        elif self._turned:
            self._iterator = None
        again = persistent and self._iterator is not None
        self._turned = False
        current = _Pass(
            self._passes, fresh, RandomNumbers(), self._sampler_states(),
            self._indices if again else
            _Indices(self.batch_sampler or self.sampler))
        return current, self._start(current, 0)

    def _rest(self, place: LoaderPlace) -> tuple['_Pass', Iterator]:
        """What is left of a pass."""
        workers = self.num_workers
        # The first workers of a pass have no states before their first batch.
        replayed = place.fresh and place.taken < workers
        self._turned = bool(
            workers and not replayed and place.taken % workers)
        for sampler, state in zip(self._samplers(), place.samplers):
            if 'epoch' in state:
                sampler.set_epoch(state['epoch'])
        now = RandomNumbers()
        start = RandomNumbers.of(place.start)
        start.restore()
        current = _Pass(
            self._passes, place.fresh, start, self._sampler_states(),
            _Indices(self.batch_sampler or self.sampler,
                     0 if replayed else place.taken))
        if replayed:
            self._workers = [None] * workers
            batches = self._start(current, 0)
            for item in islice(batches, place.taken):
                self._take(current, item)
        else:
            current.taken = place.taken
            batches = self._start(current, place.taken)
            current.indices.advance()
        now.restore()
        if current.indices.digest != place.digest:
            print_log(
                'resumed, but not exactly: the sampler of train_dataloader '
                'gives other samples than before the checkpoint', 'current',
                logging.WARNING)
        return current, batches

    def _start(self, current: '_Pass', done: int) -> Iterator:
        """Begin to load; batch number ``done`` comes first."""
        changed: dict = {
            'sampler' if self.batch_sampler is None else 'batch_sampler':
            current.indices
        }
        if self.num_workers:
            restored = [
                w and pickle.loads(w)[0] for w in
                (*self._workers[done % self.num_workers:],
                 *self._workers[:done % self.num_workers])
            ]
            changed.update(
                collate_fn=_CollateWithState(self.collate_fn),
                worker_init_fn=_Worker(self.worker_init_fn, restored))
        if not current.fresh:
            # The seed of new workers is drawn from it.
            changed['generator'] = torch.Generator()
        self._indices = current.indices
        with _changed(vars(self), changed):
            batches = super().__iter__()
        current.indices.skipped = 0  # in later passes
        return batches

    def _samplers(self) -> list:
        found = (self.sampler, self.batch_sampler,
                 getattr(self.batch_sampler, 'sampler', None))
        return [x for x in found if x is not None]

    def _sampler_states(self) -> list[dict]:
        return [{
            key: value
            for key, value in vars(sampler).items()
            if key in ('seed', 'epoch') and isinstance(value, int)
        } for sampler in self._samplers()]


@dataclass
class _Pass:
    """A pass over the data."""

    number: int
    fresh: bool
    start: RandomNumbers
    samplers: list
    indices: '_Indices'
    taken: int = 0


class _Indices:
    """Indices of batches, from a place on; knows which batches were taken."""

    def __init__(self, sampler: Iterable, skipped: int = 0) -> None:
        self._sampler = sampler
        self.skipped = skipped

    def __iter__(self) -> Iterator:
        self._to_skip = self.skipped
        self._batches = iter(self._sampler)
        self._ahead: deque = deque()
        self.digest = 0
        return self

    def __next__(self):
        self.advance()
        self._ahead.append(next(self._batches))
        return self._ahead[-1]

    def __len__(self) -> int:
        return len(self._sampler)

    def advance(self) -> None:
        """Skip what is to be skipped, if that has not been done."""
        to_skip, self._to_skip = self._to_skip, 0
        for batch in islice(self._batches, to_skip):
            self._count(batch)

    def take(self) -> None:
        """The next batch was taken."""
        self._count(self._ahead.popleft())

    def _count(self, batch) -> None:
        self.digest = zlib.crc32(repr(batch).encode(), self.digest)


class _Worker:
    """Starts a worker, with random states that it had before."""

    kept: KeptData

    def __init__(self, start: Callable | None, restored: list) -> None:
        self.start = start
        self.restored = restored

    def __call__(self, number: int) -> None:
        _Worker.kept = KeptData(get_worker_info().dataset)
        if self.start is not None:
            self.start(number)
        if self.restored[number] is not None:
            self.restored[number].restore()


class _CollateWithState:
    """Makes a batch, and tells the random states of the worker behind it."""

    def __init__(self, collate: Callable) -> None:
        self.collate = collate

    def __call__(self, samples) -> tuple:
        batch = self.collate(samples)
        return batch, pickle.dumps((RandomNumbers(), _Worker.kept.found()), 5)


@contextmanager
def _changed(attributes: dict, changed: dict) -> Iterator[None]:
    """Attributes that have other values for a while."""
    before = {key: attributes[key] for key in changed}
    attributes.update(changed)
    try:
        yield
    finally:
        attributes.update(before)


def _keywords(function: Callable | None) -> dict:
    return function.keywords if isinstance(function, partial) else {}
