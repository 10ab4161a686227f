"""Real things in the place of what stood for them while a file was read."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import torch

from .stand_ins import TYPES, StandIn, Unfit

#: A tensor may be so many times as large as its storage, or of so many bytes.
_TIMES, _ROOM = 100, 1 << 27


class Resolver:
    """Puts real things in the place of stand-ins, in containers of any depth.

    Dicts and lists are changed in place.

    Example:
        >>> resolver = Resolver()
        >>> from mmsnn.checkpoints.stand_ins import STAND_INS
        >>> resolver({'a': [1, STAND_INS['builtins.int']]})
        {'a': [1, <class 'int'>]}
    """

    def __init__(self) -> None:
        #: Strings that are values.
        self.texts: set[str] = set()
        self._done: dict[int, Any] = {}
        self._kept: list[Any] = []  # so that no id is given twice

    def __call__(self, value: Any) -> Any:
        """Return the real value of what was read.

        Args:
            value (Any): What was read.

        Returns:
            Any: The value, with what is inside.

        Raises:
            Unfit: Something in it is not as such things are written.
            ValueError: A tensor repeats few bytes too often.
        """
        kind = type(value)
        if kind is str:
            self.texts.add(value)
        if isinstance(value, torch.Tensor):
            _check_size(value)
        if kind not in _HOLDING and not isinstance(value, StandIn):
            return self._type(value) if isinstance(value, type) else value
        if id(value) not in self._done:
            self._kept.append(value)
            if isinstance(value, StandIn):
                self._done[id(value)] = real = self._real(value)
                if isinstance(real, str):  # a scalar of NumPy's
                    self.texts.add(str(real))
            else:
                self._done[id(value)] = value
                self._done[id(value)] = _HOLDING[kind](self, value)
        return self._done[id(value)]

    def _real(self, value: StandIn) -> Any:
        try:
            return value.real(self)
        except (Unfit, TypeError, ValueError, LookupError, OverflowError,
                AttributeError) as error:
            raise Unfit(f'a {type(value).__module__}.'
                        f'{type(value).__qualname__} that is not written as '
                        'such are') from error

    def _type(self, value: type) -> type:
        if issubclass(value, StandIn):
            if value not in TYPES:
                raise Unfit(f'{value.__module__}.{value.__qualname__} as a '
                            'value')
            return TYPES[value]
        return value

    def _dict(self, value: dict) -> dict:
        keyed = [key for key in value
                 if isinstance(key, (StandIn, tuple, type))]
        items = [(self(key), self(inner)) for key, inner in value.items()
                 ] if keyed else None
        if items is not None:
            value.clear()
            value.update(items)
        else:
            for key, inner in value.items():
                value[key] = self(inner)
        if isinstance(value, OrderedDict):
            # Other attributes could hide methods.
            for name in set(vars(value)) - {'_metadata'}:
                delattr(value, name)
            self(getattr(value, '_metadata', None))
        return value

    def _list(self, value: list) -> list:
        value[:] = [self(inner) for inner in value]
        return value

    def _rebuilt(self, value: Any) -> Any:
        inner = [self(item) for item in value]
        same = all(new is old for new, old in zip(inner, value, strict=True))
        return value if same else type(value)(inner)


def _check_size(tensor: torch.Tensor) -> None:
    """Refuse a tensor that would be far larger once it is copied."""
    if tensor.layout is not torch.strided:
        return
    size = tensor.numel() * tensor.element_size()
    if size > _ROOM and size > _TIMES * tensor.untyped_storage().nbytes():
        raise ValueError(f'a tensor of {size:,} bytes repeats '
                         f'{tensor.untyped_storage().nbytes():,}')


_HOLDING: dict[type, Callable[[Resolver, Any], Any]] = {
    dict: Resolver._dict,
    OrderedDict: Resolver._dict,
    Counter: Resolver._dict,
    list: Resolver._list,
    tuple: Resolver._rebuilt,
    set: Resolver._rebuilt,
}
