"""Which values of tensors a model's Python code has seen."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from mmsnn.conversion.rules.moves import UNSET
from mmsnn.conversion.rules.rule import Call
from mmsnn.conversion.upstream.nested import tensors
from mmsnn.trace import INPUT, UNKNOWN

from .module_path import ModulePath
from .tensor_sources import EARLIER, READ, Read, RecordKeys, TensorSources

#: Of these, all that Python gets to know is a yes or no.
_DECISIONS = frozenset(('__bool__', '__contains__', 'allclose', 'equal',
                        'is_nonzero'))

#: What gives Python values of a tensor, or its memory. Values that ops
#: compute from, such as ``.item()`` does, dispatch modes see as well.
_READS = _DECISIONS | frozenset((
    '__array__', '__array_wrap__', '__complex__',
    '__cuda_array_interface__', '__dlpack__', '__float__', '__format__',
    '__hex__', '__index__', '__int__', '__long__', '__oct__', '__reduce__',
    '__reduce_ex__', '__repr__', '__str__', '_storage', '_typed_storage',
    'apply_', 'data_ptr', 'item', 'map2_', 'map_', 'numpy', 'save', 'storage',
    'tolist', 'typed_storage', 'untyped_storage'
))

#: Ops that give the values of one tensor as they are.
_COPIES = frozenset(('clone', '_to_copy', '_unsafe_view'))

#: Makers of tensors in which no value is that could come from a read.
_BLANK = frozenset((*UNSET, 'zeros', 'zeros_like', 'new_zeros'))

#: Why the weights of a synapse are not static: nothing seen has made them.
FOREIGN = ('what it multiplies with comes from outside PyTorch, so that it '
           'may differ from run to run: hold weights that do not in a '
           'parameter or buffer')

#: They are made after the first of these reads.
AFTER_READ = ('what it multiplies with is made after the code of the model '
              'has read values that follow its input ({}), so that it may '
              'follow them, too: hold weights that do not in a parameter or '
              'buffer, or make them before')


#: They are drawn, or were kept.
RANDOM = ('what it multiplies with is drawn at random in each call: hold '
          'weights that are not in a parameter or buffer')
KEPT = ('what it multiplies with is made of what the model has kept from an '
        'earlier call and may follow the input of that: hold weights that do '
        'not in a parameter or buffer that no call writes into')


class ReadValues:
    """Values that differ between inputs and were read in a model's call.

    Args:
        sources (TensorSources): Knows what tensors come from. It is told what
            was read, which may have a say in all that is made later.
        path (ModulePath): Knows which module is running.
        earlier (str): Which values earlier calls have read, as :attr:`first`
            says it, if the model may have kept them. Defaults to none.

    Attributes:
        first (str): Which values were read first, and where; empty if none
            were.
    """

    def __init__(self, sources: TensorSources, path: ModulePath,
                 earlier: str = '') -> None:
        self._sources = sources
        self._path = path
        self._numbers: RecordKeys = ()  # of what numbers come that were read
        self.first = earlier
        if earlier:
            sources.read = self._numbers = (Read(EARLIER), )
        self._told = False  # while a method runs whose read is noted

    @contextmanager
    def reading(self, name: str, values: Any) -> Iterator[None]:
        """Context in which a method gives values to Python.

        Args:
            name (str): The method, such as ``'__float__'``.
            values: Tensors, nested in its arguments.
        """
        self.note(name, values, decides=name in _DECISIONS)
        before, self._told = self._told, True
        try:
            yield
        finally:
            self._told = before

    def note(self, name: str, values: Any, decides: bool = False) -> None:
        """Note that values were read.

        Args:
            name (str): By which op or method.
            values: Tensors, nested in its arguments.
            decides (bool): Whether all that Python gets is a yes or no.
                Defaults to False: it gets numbers, to compute with.
        """
        found = tuple(s if isinstance(s, Read) else Read(s)
                      for s in self._sources.of(values)
                      if self._sources.causes((s, )))
        if not found:
            return
        self.first = self.first or f'{name.strip("_")} in {self._path.name}'
        self._sources.read = _joined(self._sources.read, found)
        if not decides:
            self._numbers = _joined(self._numbers, found)

    def note_op(self, func, args: tuple, kwargs: dict) -> bool:
        """Note an op of which Python gets to know values, by its result or
        its shape, unless that is one of a method whose read is noted.

        Args:
            func (OpOverload): The op.
            args (tuple): Its arguments.
            kwargs (dict): Its keyword arguments.

        Returns:
            bool: Whether it is such an op.
        """
        values = _deciding(func, args, kwargs)
        if values and not self._told:
            self.note(func.overloadpacket.__name__, values)
        return bool(values)

    def have_a_say(self, func, args: tuple, kwargs: dict,
                   sources: RecordKeys) -> RecordKeys:
        """What the results of an op come from, by way of Python, too.

        Values that were read may have a say in all that is computed of
        constants, but for parameters as they are and parts of them. Where an
        op works on more than constants, they have if it computes with a
        number of Python and what was read were numbers, not decisions.

        Args:
            func (OpOverload): The op.
            args (tuple): Its arguments.
            kwargs (dict): Its keyword arguments.
            sources (tuple): What these come from.

        Returns:
            tuple: The same, and what was read before.
        """
        read = self._sources.read
        if not read or func.is_view:
            return sources
        if self._sources.depend_on_input(sources):
            return _joined(sources, self._numbers) if _takes_a_number(
                func, args, kwargs) else sources
        name = func.overloadpacket.__name__
        return sources if name in _COPIES or name in _BLANK else read

    def why_not_static(self, operands: tuple) -> str:
        """Why a product has no operand that is known before the run.

        Args:
            operands (tuple): Two tensors, none of which is made of constants.

        Returns:
            str: Empty if both are computed from what the model is given.
        """
        for x in operands:
            causes = self._sources.causes(self._sources.of(x))
            if INPUT not in causes:
                if READ in causes:
                    return AFTER_READ.format(self.first)
                return (FOREIGN if UNKNOWN in causes else
                        KEPT if EARLIER in causes else RANDOM)
        return ''


class ValueReads(TorchFunctionMode):
    """Notes whether Python code reads values of tensors while it is entered.

    Up to the first read, what Python code does follows from its own state and
    from what shapes and types tensors have. The recorder gets to know each.

    Args:
        session (Session): What the converted model is doing.

    Attributes:
        found (bool): Whether values were read.
    """

    #: Neurons may run as kernels: none of their operations matter here.
    allows_kernels = True

    def __init__(self, session) -> None:
        super().__init__()
        self.found = False
        self._session = session

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = _name(func)
        if self._session.unwatched or name not in _READS:
            return func(*args, **kwargs)
        self.found = True
        with self._session.recorder.reading(name, (args, kwargs)):
            return func(*args, **kwargs)


def _deciding(func, args: tuple, kwargs: dict) -> list[torch.Tensor]:
    """Tensors whose values decide the shape of an op's result, or its cost
    (torchvision's, on boxes), or that it gives to Python."""
    if not (torch.Tag.data_dependent_output in func.tags
            or torch.Tag.dynamic_output_shape in func.tags
            or func.namespace == 'torchvision'):
        return []
    packet = func.overloadpacket
    if packet is torch.ops.aten.index:  # masks; positions have a shape
        return [x for x in tensors(Call(func, args, kwargs)['indices'])
                if x.dtype in (torch.bool, torch.uint8)]
    if packet is torch.ops.aten.masked_select:
        return [Call(func, args, kwargs)['mask']]
    return list(tensors((args, kwargs)))


def _joined(sources: RecordKeys, more: RecordKeys) -> RecordKeys:
    return tuple(dict.fromkeys((*sources, *more)))


def _takes_a_number(func, args: tuple, kwargs: dict) -> bool:
    """Whether an op computes with a number of Python: no size or axis."""
    for i, argument in enumerate(func._schema.arguments):
        x = args[i] if i < len(args) else kwargs.get(argument.name)
        if isinstance(x, (int, float, complex)) and any(
                kind in str(argument.type) for kind in ('Tensor', 'number')):
            return True
    return False


def _name(func) -> str:
    name = getattr(func, '__name__', '')
    if name == '__get__':  # of a property
        return getattr(getattr(func, '__self__', None), '__name__', name)
    return name
