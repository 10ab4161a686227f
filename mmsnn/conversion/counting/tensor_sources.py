"""Which ops made a tensor: the edges of the op trace."""

from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from mmsnn.conversion.spikes.spike_tensor import SpikeTensor
from mmsnn.conversion.unnormalised import Unnormalised
from mmsnn.conversion.upstream.nested import tensors
from mmsnn.trace import INPUT, UNKNOWN

#: What a tensor comes from: keys of records in the trace, INPUT, UNKNOWN,
#: DRAWN or EARLIER, and any of these as a :class:`Read`.
RecordKeys = tuple[Any, ...]

#: Of what is made of constants, after a read of what is not constant.
READ = 'read'
#: A source: random numbers.
DRAWN = 'drawn'
#: A source: what an earlier call has kept, and that follows its input.
EARLIER = 'earlier'


class Read(NamedTuple):
    """What values come from that Python code has read, as a source of what
    is made after that and may depend on them.

    Attributes:
        key: That of a record, INPUT, UNKNOWN, DRAWN or EARLIER.
    """

    key: Any


class TensorSources:
    """Knows which ops the tensors of a model's call come from.

    The recorder tells it about each op in turn. All that shares memory counts
    as one tensor. Spikes, which have no memory of their own, carry their
    sources with them. A tensor that the model holds (a parameter, a buffer,
    an attribute such as the anchors of a head) has no source. A tensor that
    no op seen has made has the source :data:`~mmsnn.trace.UNKNOWN`: it came
    from NumPy, or from a compiled op that PyTorch does not know.

    Python code may read values (``float(y.mean())``) and make tensors by
    them, which nothing shows. So what is computed of constants after such a
    read counts as made of what was read, see :mod:`.value_reads`.

    Args:
        model (nn.Module): The model.
        inputs (Iterable[Tensor]): What it is given.
        kept (Iterable[StorageWeakRef]): Memory that the model holds and that
            follows the input of an earlier call, see :meth:`kept`. Defaults
            to none.

    Attributes:
        read (tuple[Read]): What values come from that Python code has read so
            far and that differ between inputs.

    Example:
        >>> x, weight = torch.ones(2), nn.Parameter(torch.ones(2))
        >>> sources = TensorSources(nn.ParameterList([weight]), [x])
        >>> sources.of([x[:1], weight]), sources.of([torch.ones(1)])
        (('input',), ('unknown',))
        >>> y = x * 2
        >>> sources.made(y, ('a',))
        >>> sources.of([y.view(1, 2), x])
        ('a', 'input')
    """

    def __init__(self, model: nn.Module,
                 inputs: Iterable[torch.Tensor],
                 kept: Iterable[StorageWeakRef] = ()) -> None:
        # A weak reference keeps an address from being used again.
        self._sources: dict[StorageWeakRef, RecordKeys] = dict.fromkeys(
            kept, (EARLIER, ))
        self._held = {memory_of(x) for _, x in held_tensors(model)}
        # By the key of a record: what else than constants it comes from.
        self._causes: dict[Any, frozenset[str]] = {}
        self.read: RecordKeys = ()
        for x in inputs:
            self._sources[memory_of(x)] = (INPUT, )

    def of(self, *trees: Any) -> RecordKeys:
        """What tensors come from.

        Args:
            *trees: Tensors, also in nested lists, tuples and dicts.

        Returns:
            tuple: Keys of records and the like, each once.
        """
        found: dict[Any, None] = {}
        for x in tensors(trees):
            if isinstance(x, SpikeTensor):
                found.update(dict.fromkeys(x.sources))
            elif x.device.type != 'meta':
                memory = memory_of(x)
                nothing = () if memory in self._held else (UNKNOWN, )
                found.update(
                    dict.fromkeys(self._sources.get(memory, nothing)))
        return tuple(found)

    def holds(self, x: torch.Tensor) -> bool:
        """Whether the model held a tensor before it ran.

        Args:
            x (Tensor): Any.

        Returns:
            bool: False for what is made while it runs.
        """
        return memory_of(x) in self._held

    def connect(self, key: Any, sources: RecordKeys) -> None:
        """Note what an op has read.

        Args:
            key: Of its record.
            sources (tuple): What it comes from, as :meth:`of` gives it.
        """
        self._causes[key] = self.causes(sources)

    def causes(self, sources: RecordKeys) -> frozenset[str]:
        """Why something may differ between inputs.

        Args:
            sources (tuple): What it comes from, as :meth:`of` gives it.

        Returns:
            frozenset[str]: ``'input'``: it is computed from what the model is
            given; ``'unknown'``: from a tensor that no op seen has made, of
            which that is not known; ``'drawn'``: from random numbers;
            ``'earlier'``: from what an earlier call has kept; ``'read'``: it
            is made after Python code has read values for which one of these
            holds. Empty for what is made of constants.
        """
        found = set()
        for s in sources:
            if isinstance(s, Read):
                found.add(READ)
            elif s in (INPUT, UNKNOWN, DRAWN, EARLIER):
                found.add(s)
            else:
                found |= self._causes.get(s, frozenset())
        return frozenset(found)

    def depend_on_input(self, sources: RecordKeys) -> bool:
        """Whether something is computed from what the model is given.

        Args:
            sources (tuple): What it comes from, as :meth:`of` gives it.

        Returns:
            bool: True also where that is not known, see :meth:`causes`.

        Example:
            >>> sources = TensorSources(nn.Module(), [])
            >>> sources.connect('a', ('input',))
            >>> sources.connect('b', ('a',))
            >>> sources.depend_on_input(('b',)), sources.depend_on_input(())
            (True, False)
        """
        return bool(self.causes(sources))

    def made(self, results: Any, sources: RecordKeys) -> None:
        """Note what results come from.

        Args:
            results: Tensors, nested as for :meth:`of`.
            sources (tuple): Keys of records.
        """
        for x in tensors(results):
            if isinstance(x, SpikeTensor):
                x.sources = sources
            else:
                self._sources[memory_of(x)] = sources

    def kept(self, model: nn.Module) -> set[StorageWeakRef]:
        """Memory of tensors that a model holds now and that may differ
        between inputs: the next call finds them.

        Args:
            model (nn.Module): The model, after its call.
        """
        held = {memory_of(x) for _, x in held_tensors(model)}
        return {memory for memory in held
                if self.causes(self._sources.get(memory, ()))}

    def written(self, arguments: Any, sources: RecordKeys) -> None:
        """Note that a compiled op may have written into its arguments.

        It writes into tensors that are made for it, which no op has computed
        so far.

        Args:
            arguments: Tensors, nested as for :meth:`of`.
            sources (tuple): Keys of records.
        """
        for x in tensors(arguments):
            if isinstance(x, SpikeTensor):
                continue
            known = self._sources.get(memory_of(x))
            if known is not None and all(isinstance(s, Read) for s in known):
                self._sources[memory_of(x)] = sources


class Literals(TorchFunctionMode):
    """Sees tensors made from Python numbers, which dispatch modes do not see.

    Args:
        sources (TensorSources): Is told of them.
    """

    #: Neurons may run as kernels: none of their operations matter here.
    allows_kernels = True

    _MAKERS = (torch.Tensor.new_tensor, torch.tensor, torch.as_tensor)

    def __init__(self, sources: TensorSources) -> None:
        super().__init__()
        self.sources = sources

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func in self._MAKERS:
            data = args[1:] if func is torch.Tensor.new_tensor else args
            numbers = data[:1] or [(kwargs or {}).get('data')]
            if isinstance(numbers[0], (bool, int, float, list, tuple)) and (
                    not any(True for _ in tensors(numbers[0]))):
                self.sources.made(out, self.sources.read)
        return out


def memory_of(x: torch.Tensor) -> StorageWeakRef:
    """What stands for a tensor's memory, which views share; of a sparse
    tensor that of its values.

    Args:
        x (Tensor): The tensor.

    Returns:
        StorageWeakRef: It keeps the address from being used again.
    """
    with torch._C.DisableTorchFunction():  # the model does not read it
        if x.is_sparse:
            with _disable_current_modes():
                x = x._values()
        return StorageWeakRef(x.untyped_storage())


def held_tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors that a model holds, also in lists and in plain objects that
    are attributes of its modules.

    Args:
        model (nn.Module): The model.

    Yields:
        tuple[str, Tensor]: The path of a tensor, and the tensor: parameters,
        then buffers, then others.
    """
    yield from model.named_parameters()
    yield from model.named_buffers()
    for path, module in model.named_modules():
        for name, attribute in vars(module).items():
            if name in _OWN or isinstance(attribute, _NO_TENSORS):
                continue
            found = list(tensors(attribute))
            if hasattr(attribute, '__dict__'):
                found += tensors(list(vars(attribute).values()))
            for x in found:
                if not isinstance(x, (SpikeTensor, Unnormalised)):
                    yield f'{path}.{name}'.lstrip('.'), x


#: What every module has, and kinds of attributes that hold no tensor.
_OWN = set(vars(nn.Module()))
_NO_TENSORS = (nn.Module, type, bool, int, float, str, type(None),
               FunctionType)
