"""Data that transforms keep from one sample to the next."""

import random
from collections import deque
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType

import numpy as np
import torch

_GENERATORS = (random.Random, np.random.Generator, np.random.RandomState,
               torch.Generator)
_GROWING = (list, dict, set, deque)
_LEAVES = (str, bytes, int, float, complex, type, FunctionType, MethodType,
           ModuleType, np.ndarray, np.generic, torch.Tensor, type(None))


class KeptData:
    """Watches a data set's transforms for what they keep of earlier samples,
    such as cached images of a mosaic, or generators of their own.

    Args:
        dataset (Dataset): With or without ``pipeline``; may wrap others in
            ``dataset`` or ``datasets``.

    Example:
        >>> class Mosaic:
        ...     def __init__(self):
        ...         self.cache = []
        >>> class Images:
        ...     pipeline = [Mosaic()]
        >>> kept = KeptData(Images())
        >>> kept.found()
        []
        >>> Images.pipeline[0].cache.append('an image')
        >>> kept.found()
        ['Mosaic.cache']
    """

    def __init__(self, dataset) -> None:
        self._generators: list[str] = []
        self._lengths: list[tuple[str, object, str, int]] = []
        seen: set[int] = set()
        for pipeline in _pipelines(dataset):
            self._look(pipeline, seen)

    def found(self) -> list[str]:
        """Class and attribute of what is kept, sorted."""
        grown = [
            name for name, owner, key, length in self._lengths
            if _length(getattr(owner, key, None)) != length
        ]
        return sorted({*self._generators, *grown})

    def _look(self, value: object, seen: set[int]) -> None:
        if isinstance(value, _LEAVES) or id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, (list, tuple, set, deque)):
            for x in value:
                self._look(x, seen)
            return
        for key, x in getattr(value, '__dict__', {}).items():
            name = f'{type(value).__name__}.{key}'
            if isinstance(x, _GENERATORS):
                self._generators.append(name)
            else:
                if isinstance(x, _GROWING):
                    self._lengths.append((name, value, key, len(x)))
                self._look(x, seen)


def _pipelines(dataset) -> Iterator[object]:
    while dataset is not None:
        yield getattr(dataset, 'pipeline', None)
        yield getattr(dataset, 'transform', None)
        for part in getattr(dataset, 'datasets', None) or ():
            yield from _pipelines(part)
        dataset = getattr(dataset, 'dataset', None)


def _length(value: object) -> int | None:
    return len(value) if isinstance(value, _GROWING) else None
