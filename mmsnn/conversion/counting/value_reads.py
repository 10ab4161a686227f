"""Whether a model's Python code has seen the values of tensors."""

from torch.overrides import TorchFunctionMode

#: What gives Python values of a tensor, or its memory. Values that ops
#: compute from, such as ``.item()`` does, dispatch modes see as well.
_READS = frozenset((
    '__array__', '__array_wrap__', '__bool__', '__complex__', '__contains__',
    '__cuda_array_interface__', '__dlpack__', '__float__', '__format__',
    '__hex__', '__index__', '__int__', '__long__', '__oct__', '__reduce__',
    '__reduce_ex__', '__repr__', '__str__', '_storage', '_typed_storage',
    'allclose', 'apply_', 'data_ptr', 'equal', 'is_nonzero',
    'item', 'map2_', 'map_', 'numpy', 'save', 'storage',
    'tolist', 'typed_storage', 'untyped_storage'
))


class ValueReads(TorchFunctionMode):
    """Notes whether Python code reads values of tensors while it is entered.

    Up to the first read, what Python code does follows from its own state and
    from what shapes and types tensors have.

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
        if not self._session.unwatched and _name(func) in _READS:
            self.found = True
        return func(*args, **(kwargs or {}))


def _name(func) -> str:
    name = getattr(func, '__name__', '')
    if name == '__get__':  # of a property
        return getattr(getattr(func, '__self__', None), '__name__', name)
    return name
