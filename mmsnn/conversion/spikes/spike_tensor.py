"""Spikes as a tensor type: ops on spikes are seen, and done with spikes."""

from collections.abc import Callable, Sequence
from math import frexp
from threading import get_ident

import torch
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

from mmsnn.conversion.rules.rule import Effect, UnclassifiedOpError
from mmsnn.conversion.rules.table import find_rule
from mmsnn.neurons import spikes_per_position

from .compositions import composition
from .functions import FUNCTIONS
from .on_spikes import effect_on, extreme, first_spikes, move, with_values
from .origin import HERE, Origin
from .threads import RECORDING, check_thread
from .writes import changes_shape, why_not, writes_into

__all__ = ['HERE', 'SYNAPSES', 'Origin', 'SpikeTensor', 'aten', 'decode']

aten = torch.ops.aten


class SpikeTensor(torch.Tensor):
    """What a neuron emits, in one of two forms.

    - *trains*: D binary tensors, one per sub-step. A synapse runs once per
      sub-step, on {0, 1}, and its results are added up.
    - *counts*: one tensor of spike counts times the scale, on which a synapse
      runs once. Same sums, not expanded: for counting over large sets.

    To PyTorch it looks like one tensor of the dense shape. What only moves
    spikes, takes extremes of them or changes no value of theirs keeps it
    spikes; convolutions, linears and matrix products turn it into membrane
    potentials; every other op first decodes it. The table of rules
    (:mod:`mmsnn.conversion.rules`) says which does what.

    Args:
        parts (Sequence[Tensor]): The D binary tensors, or the one tensor of
            scaled counts.
        scale (float): Factor of one spike.
        max_spikes (int): D.
        binary (bool): Whether ``parts`` are trains.
        spikes (int, optional): Number of spikes in it, where known.
        origin (Origin, optional): Where it comes from, where known.
        timesteps (int): T of the neuron, folded into the first dimension.
            Defaults to 1.
        places (Tensor, optional): Of the same shape, int64: a number for
            each element that says where it comes from, such as which neuron
            fired it; 0 where nothing can fire, as in padding. Whatever moves
            spikes moves it along.

    Example:
        >>> trains = [torch.tensor([1., 1.]), torch.tensor([0., 1.])]
        >>> spikes = SpikeTensor(trains, scale=0.5, max_spikes=2, binary=True)
        >>> spikes.counts(), spikes.decode(), spikes.spikes
        (tensor([1., 2.]), tensor([0.5000, 1.0000]), 3)
    """

    @staticmethod
    def __new__(cls,
                parts,
                scale,
                max_spikes,
                binary,
                spikes=None,
                origin=None,
                timesteps=1,
                places=None):
        """Make a tensor that has a shape, but only its parts hold values."""
        first = parts[0]
        self = torch.Tensor._make_wrapper_subclass(
            cls,
            first.shape,
            strides=first.stride(),
            storage_offset=first.storage_offset(),
            dtype=first.dtype,
            device=first.device)
        self.parts = tuple(parts)
        self.sources = ()
        self.scale = scale
        self.max_spikes = max_spikes
        self.binary = binary
        self.origin = origin
        self.timesteps = timesteps
        self.places = places
        self.thread = get_ident()
        self._shown = []  # values that others may write into, and copies
        self._spikes = spikes
        self._position_spikes = None
        _forbid_its_memory(self)
        return self

    def __repr__(self):
        form = 'trains' if self.binary else 'counts'
        return (f'SpikeTensor({form}, shape={tuple(self.shape)}, '
                f'max_spikes={self.max_spikes}, scale={self.scale:g})')

    @property
    def unit(self) -> float:
        """Factor by which ``parts`` are multiplied to get values."""
        return self.scale if self.binary else 1.0

    @property
    def spikes(self) -> int:
        """Number of spikes, summed over the sub-steps."""
        if self._spikes is None:
            parts, unit = self._multiples()
            total = sum(p.sum(dtype=torch.float64) for p in parts)
            self._spikes = round(total.item() / unit)
        return self._spikes

    def counts(self) -> torch.Tensor:
        """Spike counts, integers 0..D, as a plain tensor."""
        if self.binary:
            return sum(self.parts)
        if self.scale == 1:
            return self.parts[0]
        return (self.parts[0] / self.scale).round()

    def decode(self) -> torch.Tensor:
        """Values, counts times scale, as a plain tensor."""
        if self._shown:
            self._check_shown()
        if RECORDING:
            self._check_thread('an op')
        if self.binary:
            return sum(self.parts) * self.scale
        return self.parts[0]

    def _multiples(self) -> tuple[Sequence[torch.Tensor], float]:
        """Tensors that hold exact multiples of a number, and that number.

        Sums of them are exact. Counts times 1/3 are no exact multiples.
        """
        if self.binary:
            return self.parts, 1.0
        if frexp(self.scale)[0] == 0.5:
            return self.parts, self.scale
        return (self.counts(), ), 1.0

    def position_spikes(self) -> torch.Tensor:
        """Number of spikes at each position of (N, C, *positions).

        It is computed once, since several synapses may ask.

        Returns:
            Tensor: Summed over N and C, float64.
        """
        if self._position_spikes is None:
            most = 1 if self.binary else self.max_spikes
            self._position_spikes = sum(
                spikes_per_position(p, most, self.scale / self.unit)
                for p in self.parts)
        return self._position_spikes

    def like(self,
             parts: Sequence[torch.Tensor],
             move: tuple | None,
             permuted: bool,
             places: torch.Tensor | None = None) -> 'SpikeTensor':
        """Spikes of the same neuron in another arrangement.

        Args:
            parts (Sequence[Tensor]): The rearranged parts.
            move (tuple, optional): How they were rearranged, see
                :class:`Origin`; None if that differs between calls.
            permuted (bool): Whether the op never copies an element.
            places (Tensor, optional): The rearranged :attr:`places`.

        Returns:
            SpikeTensor: The rearranged spikes.
        """
        same = permuted and parts[0].numel() == self.parts[0].numel()
        origin = self.origin and self.origin.moved(move, same)
        moved = SpikeTensor(parts, self.scale, self.max_spikes, self.binary,
                            self._spikes if same else None, origin,
                            self.timesteps, places)
        moved._shown = self._shown
        return moved

    def alias(self) -> 'SpikeTensor':
        """The same spikes as another tensor, as an op returns them that
        changes nothing."""
        same = SpikeTensor(self.parts, self.scale, self.max_spikes,
                           self.binary, self._spikes, self.origin,
                           self.timesteps, self.places)
        same._shown = self._shown
        return same

    def _become(self, other: 'SpikeTensor') -> None:
        """Be the same as another rearrangement of these spikes."""
        for name in ('parts', 'origin', 'places', '_spikes'):
            setattr(self, name, getattr(other, name))
        self._position_spikes = None
        with torch._C.DisableTorchFunctionSubclass():
            _SET_DATA(self, other)  # its shape and strides

    def _read(self) -> torch.Tensor:
        """Values for Python or NumPy, which is no operation of a model."""
        with _disable_current_modes():
            return self.decode()

    def _show(self) -> torch.Tensor:
        """Values in memory that NumPy and others may write into."""
        values = self._read().clone()
        self._shown.append((values, values.clone()))
        return values

    def _check_thread(self, name: str) -> None:
        """Raise where another thread takes spikes of a recorded call."""
        check_thread(f'{name} takes spikes', self.thread)

    def _check_shown(self) -> None:
        """Raise if someone has written there: spikes stay as they are."""
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            if all(torch.equal(*both) for both in self._shown):
                return
        raise UnclassifiedOpError(
            'an array that shares its memory with spikes (x.numpy(), '
            'np.asarray(x)) was written into, which would change spikes that '
            'others read: write into a copy (x.numpy().copy())')

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if RECORDING:
            for x in tree_leaves((args, kwargs)):
                if isinstance(x, cls):
                    x._check_thread(getattr(func, '__name__', 'an op'))
        if func == _SET_DATA:
            raise UnclassifiedOpError(
                'spikes.data = x would change spikes in place, which fire '
                'once and are read by others: use x itself')
        if func in _ON_MEMORY:
            raise UnclassifiedOpError(
                f'Tensor.{func.__name__} needs the memory of a tensor, which '
                'spikes do not have: call it on their values, x * 1')
        if func in _GIVE_VALUES:
            return func(args[0]._read(), *args[1:], **kwargs)
        if func in _SHARE_VALUES:
            return func(args[0]._show(), *args[1:], **kwargs)
        if func is torch.Tensor.__format__:
            spikes, spec = args
            return format(spikes._read() if spec else repr(spikes), spec)
        if func in FUNCTIONS:
            out = FUNCTIONS[func](*args, **kwargs)
            if out is not NotImplemented:
                return out
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for x in args:
            if isinstance(x, cls) and x._shown:
                x._check_shown()
        compose = composition(cls, func, args, kwargs)
        if compose is not None:
            return compose(*args, **kwargs)
        synapse = SYNAPSES.get(func.overloadpacket)
        if synapse is not None:
            return synapse(func, *args, **kwargs)
        rule = find_rule(func)
        effect = Effect.REAL if rule is None else effect_on(
            cls, rule, func, args, kwargs)
        written = func._schema.is_mutable and writes_into(
            cls, func, args, kwargs)
        if effect is Effect.UNCHANGED:
            return args[0] if written else first_spikes(
                cls, args, kwargs).alias()
        if written and effect is Effect.MOVED and changes_shape(func):
            return _move_in_place(func, *args, **kwargs)
        if written:
            raise UnclassifiedOpError(why_not(func))
        if effect in _ON_SPIKES and not func._schema.is_mutable:
            args, kwargs = with_values(cls, rule, func, args, kwargs)
            return _ON_SPIKES[effect](cls, rule, func, args, kwargs)
        args, kwargs = tree_map(decode, (tuple(args), kwargs))
        return func(*args, **kwargs)


def decode(x):
    """Plain values of spikes.

    Args:
        x: A :class:`SpikeTensor`, or anything else.

    Returns:
        Tensor: Counts times the scale; anything else as it is.

    Example:
        >>> decode(SpikeTensor([torch.ones(2), torch.zeros(2)], 0.5, 2, True))
        tensor([0.5000, 0.5000])
    """
    return x.decode() if isinstance(x, SpikeTensor) else x


def _forbid_its_memory(spikes: SpikeTensor) -> None:
    """Raise wherever a plain tensor gets the memory of spikes.

    PyTorch takes ``x.data = spikes`` for plain tensors of equal shapes, asks
    nobody, and gives ``x`` the memory that spikes do not have: the process
    would end at the first read.
    """
    forbid = getattr(torch._C, '_set_storage_data_ptr_access_error_msg', None)
    if forbid is not None:  # builds of PyTorch for CPU alone lacked it
        with torch._C.DisableTorchFunctionSubclass():
            forbid(spikes.untyped_storage()._cdata, _NO_MEMORY)


_NO_MEMORY = ('a plain tensor holds spikes, which have no memory (x.data = '
              'spikes): give it their values, x.data = spikes * 1')

_SET_DATA = torch.Tensor.data.__set__

#: What gives values of a tensor to Python, or to a file.
_GIVE_VALUES = {torch.Tensor.__reduce_ex__, torch.Tensor.tolist}

#: What gives others the memory of a tensor, without an op.
_SHARE_VALUES = {
    torch.Tensor.__array__, torch.Tensor.__dlpack__, torch.Tensor.numpy
}

#: What would read or write memory of a tensor without an op.
_ON_MEMORY = {
    torch.Tensor.apply_, torch.Tensor.data_ptr, torch.Tensor.map_,
    torch.Tensor.map2_, torch.Tensor.share_memory_, torch.Tensor.storage,
    torch.Tensor.untyped_storage
}


#: How an op runs that leaves spikes spikes.
_ON_SPIKES = {Effect.EXTREME: extreme, Effect.MOVED: move}


def _move_in_place(func, spikes: SpikeTensor, *args, **kwargs) -> SpikeTensor:
    """Show the same spikes in another shape, as ``x.squeeze_()`` does."""
    moved = getattr(aten, func.overloadpacket.__name__[:-1])(
        spikes, *args, **kwargs)
    spikes._become(moved)
    return spikes


def _convolution(func, x, weight, bias, *args):
    if isinstance(weight, SpikeTensor):
        raise UnclassifiedOpError(
            'a convolution whose weights are spikes has no form for chips: '
            'write it as a product, with torch.nn.functional.unfold')
    bias = decode(bias)
    if not isinstance(x, SpikeTensor):
        return func(x, weight, bias, *args)
    weight = weight if x.unit == 1 else weight * x.unit
    # The bias enters once per time step, not once per sub-step.
    out = func(x.parts[0], weight, bias, *args)
    for part in x.parts[1:]:
        out += func(part, weight, None, *args)
    return out


def _addmm(func, bias, x, weight, **factors):
    bias = decode(bias)
    if not isinstance(x, SpikeTensor) and not isinstance(weight, SpikeTensor):
        return func(bias, x, weight, **factors)
    return _mm(aten.mm.default, x, weight) + bias


def _mm(func, left, right):
    """Product of which at least one operand is spikes. It is added up train
    by train; the other operand holds weights, or integers of an
    accumulator."""
    train, other = (left, right) if isinstance(left, SpikeTensor) else (right,
                                                                         left)
    other = decode(other)
    other = other if train.unit == 1 else other * train.unit
    out = None
    for part in train.parts:
        step = func(part, other) if train is left else func(other, part)
        out = step if out is None else out.add_(step)
    return out


#: Ops that turn spikes into membrane potentials.
SYNAPSES: dict[object, Callable] = {
    aten.convolution: _convolution,
    aten.addmm: _addmm,
    aten.mm: _mm,
    aten.bmm: _mm,
}
