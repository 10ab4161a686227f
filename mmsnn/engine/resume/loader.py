"""A data loader that can go on in the middle of a pass."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from mmengine.logging import print_log
from torch.utils.data import DataLoader, IterableDataset

from mmsnn.conversion.upstream.random_numbers import RandomNumbers

from .indices import Indices
from .kept_data import KeptData
from .place import LoaderPlace
from .workers import CollateWithState, StartedWorker, packed, unpacked


class ResumableLoader(DataLoader):
    """A data loader that knows its place, and can go on from one.

    It yields what the loader would yield and draws no random numbers of its
    own. Each batch of a worker comes with the worker's random states (12 kB,
    0.1 ms of the worker's time). To go on, samplers are advanced by indices;
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
        found = [w if w is None else unpacked(w) for w in self._workers]
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
        sampler = self._order()
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
                w and packed(RandomNumbers.of(w), [])
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
            Indices(self._order()))
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
            Indices(self._order(),
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
                w if w is None else unpacked(w)[0] for w in
                (*self._workers[done % self.num_workers:],
                 *self._workers[:done % self.num_workers])
            ]
            changed.update(
                collate_fn=CollateWithState(self.collate_fn),
                worker_init_fn=StartedWorker(self.worker_init_fn, restored))
        if not current.fresh:
            # The seed of new workers is drawn from it.
            changed['generator'] = torch.Generator()
        self._indices = current.indices
        with _changed(vars(self), changed):
            batches = super().__iter__()
        current.indices.skipped = 0  # in later passes
        return batches

    def _order(self) -> Iterable:
        """What gives the indices of batches."""
        return (self.sampler if self.batch_sampler is None else
                self.batch_sampler)

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
    indices: 'Indices'
    taken: int = 0


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
