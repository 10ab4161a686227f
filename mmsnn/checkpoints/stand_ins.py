"""What a checkpoint may hold besides tensors, numbers, strings and containers.

While a file is read, each of these names stands for a class of this module
that only keeps what the file says of it. Nothing real is called before the
whole file is read; :class:`mmsnn.checkpoints.resolver.Resolver` then checks
what was kept and builds the real thing from it. So no entry of the list can
be made to run something:

- NumPy dtypes, arrays and scalars are built from a plain type code and bytes
  of the right length. What the file says of fields, flags or subclasses, by
  which NumPy could be made to take bytes for pointers, is refused.
- A defaultdict's factory is one of Python's own containers or numbers.
- A HistoryBuffer, a MessageHub, a ConfigDict and a Namespace are made from
  their values; none of these classes looks anything up by a name in them.
- ``getattr`` is how pickle writes a function inside a class: it stands for
  the two annealing functions of mmengine's OneCycle schedules alone. The
  functions that a HistoryBuffer's file names are not taken from there.
"""

import argparse
import math
import re
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

_PLAIN_CODE = re.compile(r'b1|[iufc][0-9]{1,2}|[SU][0-9]{1,6}|O8?|\?|[a-zA-Z]')
_FACTORIES = dict(
    dict=dict, list=list, set=set, tuple=tuple, int=int, float=float,
    bool=bool, str=str)


class Unfit(Exception):
    """What the file says of a thing is not how such a thing is written."""


class StandIn:
    """Keeps what a file says of one thing.

    Args:
        *args (Any): What its constructor would get.
    """

    # A file may have it made without its __init__ being called.
    args: tuple = ()
    state: Any = None

    def __new__(cls, *args: Any) -> 'StandIn':  # noqa: D102
        self = super().__new__(cls)
        self.args = args
        return self

    def __init__(self, *args: Any) -> None:
        """Nothing is done with the arguments."""

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def fields(self, *names: str) -> dict[str, Any]:
        """Attributes that the file gives it.

        Args:
            *names (str): Those that it may have; any if there are none.

        Returns:
            dict[str, Any]: Their values by name.

        Raises:
            Unfit: It has others.
        """
        state = {} if self.state is None else self.state
        if not isinstance(state, dict) or names and set(state) - set(names):
            raise Unfit
        return state

    def real(self, resolve: Callable[[Any], Any]) -> Any:
        """Build the real thing.

        Args:
            resolve (Callable[[Any], Any]): Does so for what is inside.

        Returns:
            Any: The thing.

        Raises:
            Unfit: There is no such thing.
        """
        raise Unfit


class _Ndarray(StandIn):
    """The class numpy.ndarray, as an argument."""


class _Dtype(StandIn):

    def real(self, resolve: Callable[[Any], Any]) -> np.dtype:
        code, state = self.args[0], self.state or (3, '|', *[None] * 3)
        order, *structure = state[1:5]
        if not isinstance(code, str) or not _PLAIN_CODE.fullmatch(code) or (
                structure != [None] * 3 or order not in '<>|='):
            raise Unfit
        found = np.dtype(code)
        if found.kind not in 'biufcSUO':
            raise Unfit
        return found if order == '|' else found.newbyteorder(order)


def _plain_dtype(value: Any, resolve: Callable[[Any], Any]) -> np.dtype:
    """The dtype that a file gives an array or a scalar."""
    if not isinstance(value, _Dtype):
        raise Unfit
    return value.real(resolve)


class _Array(StandIn):

    def real(self, resolve: Callable[[Any], Any]) -> np.ndarray:
        _, shape, dtype, fortran, data = self.state
        dtype, data = _plain_dtype(dtype, resolve), resolve(data)
        size = math.prod(shape)
        if self.args[0] is not STAND_INS['numpy.ndarray'] or (
                min(shape, default=0) < 0):
            raise Unfit
        if dtype.kind == 'O':
            if not isinstance(data, list) or len(data) != size:
                raise Unfit
            flat = np.empty(size, dtype)
            for index, value in enumerate(data):
                flat[index] = value
        elif not isinstance(data, bytes) or len(data) != size * dtype.itemsize:
            raise Unfit
        else:
            flat = np.ndarray(size, dtype, data).copy()
        return flat.reshape(shape, order='F' if fortran else 'C')


class _Scalar(StandIn):

    def real(self, resolve: Callable[[Any], Any]) -> np.generic:
        dtype, data = self.args
        dtype, data = _plain_dtype(dtype, resolve), resolve(data)
        if dtype.kind == 'O' or not isinstance(data, bytes) or (
                len(data) != dtype.itemsize):
            raise Unfit
        return np.ndarray(1, dtype, data)[0]


class _DefaultDict(StandIn, dict):

    def real(self, resolve: Callable[[Any], Any]) -> defaultdict:
        factory, = self.args or (None, )
        if factory is None:
            return defaultdict(None, resolve(dict(self)))
        return defaultdict(resolve(factory), resolve(dict(self)))


class _Factory(StandIn):
    """A class of Python's, as the factory of a defaultdict."""


class _Made(StandIn):
    """A constant of Python's that pickle writes as a call."""

    def real(self, resolve: Callable[[Any], Any]) -> Any:
        kind = type(self).__name__
        if kind == 'bytes' and not self.args:
            return b''
        if kind == 'slice' and len(self.args) == 3:
            return slice(*resolve(self.args))
        if kind == 'frozenset' and [*map(type, self.args)] == [list]:
            return frozenset(resolve(self.args[0]))
        raise Unfit


class _Namespace(StandIn):

    def real(self, resolve: Callable[[Any], Any]) -> argparse.Namespace:
        return argparse.Namespace(**resolve(self.fields()))


class _ConfigDict(StandIn):

    def real(self, resolve: Callable[[Any], Any]) -> Any:
        from mmengine.config import ConfigDict
        mapping, = self.args
        if type(mapping) is not dict:
            raise Unfit
        return ConfigDict(resolve(mapping))


class _HistoryBuffer(StandIn):

    def real(self, resolve: Callable[[Any], Any]) -> Any:
        from mmengine.logging import HistoryBuffer
        fields = self.fields('max_length', '_log_history', '_count_history',
                             'statistics_methods')
        # A buffer has the means to be asked for already.
        fields.pop('statistics_methods', None)
        buffer = HistoryBuffer()
        vars(buffer).update(resolve(fields))
        if not isinstance(buffer.max_length, int) or any(
                not isinstance(history, np.ndarray)
                for history in buffer.data):
            raise Unfit
        return buffer


class _MessageHub(StandIn):
    """Files of mmengine's first versions hold the object, not its state."""

    def real(self, resolve: Callable[[Any], Any]) -> dict[str, Any]:
        fields = self.fields()
        return resolve({
            name: fields.get('_' + name, {})
            for name in ('log_scalars', 'runtime_info', 'resumed_keys')
        })


class _OneCycle(StandIn):
    """The class that has the annealing functions."""


class _Attribute(StandIn):

    def real(self, resolve: Callable[[Any], Any]) -> Callable:
        from mmengine.optim.scheduler.param_scheduler import (
            OneCycleParamScheduler,
        )
        owner, name = self.args
        if owner is not STAND_INS[_ONE_CYCLE] or name not in (
                '_annealing_cos', '_annealing_linear'):
            raise Unfit
        return getattr(OneCycleParamScheduler, name)


_ONE_CYCLE = 'mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler'


def _named(name: str, kind: type[StandIn]) -> type[StandIn]:
    """A class that PyTorch finds under the name of what it stands for."""
    module, _, short = name.rpartition('.')
    return type(short, (kind, ),
                dict(__module__=module, __qualname__=short))


#: What stands for each name while a file is read.
STAND_INS: dict[str, type[StandIn]] = {
    name: _named(name, kind)
    for name, kind in {
        'numpy.ndarray': _Ndarray,
        'numpy.dtype': _Dtype,
        'numpy.core.multiarray._reconstruct': _Array,
        'numpy._core.multiarray._reconstruct': _Array,
        'numpy.core.multiarray.scalar': _Scalar,
        'numpy._core.multiarray.scalar': _Scalar,
        'collections.defaultdict': _DefaultDict,
        'argparse.Namespace': _Namespace,
        'mmengine.config.config.ConfigDict': _ConfigDict,
        'mmengine.logging.history_buffer.HistoryBuffer': _HistoryBuffer,
        'mmengine.logging.message_hub.MessageHub': _MessageHub,
        _ONE_CYCLE: _OneCycle,
        'builtins.getattr': _Attribute,
        'builtins.bytes': _Made,
        'builtins.slice': _Made,
        'builtins.frozenset': _Made,
        **{f'builtins.{name}': _Factory for name in _FACTORIES
           if name != 'set'},
    }.items()
}
#: Classes that may be values, by what stands for them. PyTorch itself lets
#: sets and ordered dicts pass.
TYPES: dict[Any, type] = {
    STAND_INS[f'builtins.{name}']: kind
    for name, kind in _FACTORIES.items() if name != 'set'
} | {kind: kind for kind in (set, OrderedDict)}
