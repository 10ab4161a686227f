"""Classes of layers with something mixed in, which can be copied and saved."""

from functools import cache

from torch import nn


def mixed_form(mixin: type,
               kind: type[nn.Module],
               prefix: str = '') -> type[nn.Module]:
    """Subclass of a module's class with a mixin in front.

    The direct bases of ``kind`` are bases of the subclass too, since
    initialisers of mmengine look for the names of direct bases only. Its
    instances are copied and pickled by ``mixin`` and ``kind``, since no
    Python module has the subclass.

    Args:
        mixin (type): Its methods come first.
        kind (type[nn.Module]): The class of the module.
        prefix (str): Put before the name of ``kind``. Defaults to ''.

    Returns:
        type[nn.Module]: The same subclass for the same arguments.

    Example:
        >>> class Loud:
        ...     def forward(self, x):
        ...         return 10 * super().forward(x)
        >>> mixed_form(Loud, nn.ReLU, 'Loud')
        <class 'torch.nn.modules.activation.LoudReLU'>
        >>> [base.__name__ for base in mixed_form(Loud, nn.ReLU).__bases__]
        ['Loud', 'ReLU']
    """
    return _mixed(mixin, kind, prefix)


@cache
def _mixed(mixin: type, kind: type, prefix: str) -> type:
    more = (b for b in kind.__bases__ if not issubclass(nn.Module, b))
    return type(
        prefix + kind.__name__, (mixin, kind, *more),
        dict(
            __module__=kind.__module__,
            __doc__=kind.__doc__,
            __reduce_ex__=_reduce,
            _made_of=(mixin, kind, prefix)))


def _reduce(self, protocol):
    return _restore, (_recipe(type(self)), ), self.__dict__


def _recipe(kind: type) -> type | tuple:
    """What a class is made of; the class itself where Python has it."""
    if '_made_of' not in vars(kind):
        return kind
    mixin, base, prefix = kind._made_of
    return mixin, _recipe(base), prefix


def _made(recipe: type | tuple) -> type:
    if isinstance(recipe, type):
        return recipe
    mixin, base, prefix = recipe
    return _mixed(mixin, _made(base), prefix)


def _restore(recipe: tuple) -> nn.Module:
    kind = _made(recipe)
    return kind.__new__(kind)
