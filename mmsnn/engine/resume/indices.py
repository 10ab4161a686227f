"""Indices of batches that are begun at a place."""

import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice


class Indices:
    """Indices of batches, from a place on; knows which batches were taken.

    Args:
        sampler (Iterable): Gives the indices of one batch after another.
        skipped (int): Batches at its beginning that are left out. Defaults
            to 0.

    Attributes:
        digest (int): CRC-32 of the indices that were skipped and taken.

    Example:
        >>> indices = Indices([[0, 1], [2, 3], [4, 5]], skipped=2)
        >>> list(indices)
        [[4, 5]]
    """

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
