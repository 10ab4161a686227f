"""What somebody who misspelt a name may have meant."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from inspect import Parameter, signature
from typing import Any


def did_you_mean(name: str, names: Iterable[str], scope: str = '') -> str:
    """A question to put behind an unknown name in an error message.

    Args:
        name (str): The unknown name.
        names (Iterable[str]): The valid names.
        scope (str): Put before the name that is suggested, such as
            ``'mmsnn.'``. Defaults to nothing.

    Returns:
        str: The nearest of the valid names in a question, in parentheses,
        after a space; empty if none is near. Case does not count.

    Example:
        >>> chips = ['cmos45', 'loihi', 'spinnaker2']
        >>> print(f"no chip 'Loihi2'{did_you_mean('Loihi2', chips)}: ...")
        no chip 'Loihi2' (did you mean 'loihi'?): ...
        >>> did_you_mean('tpu', chips)
        ''
    """
    written = {valid.lower(): valid for valid in names}
    near = get_close_matches(name.lower(), written, n=1)
    return f' (did you mean {scope + written[near[0]]!r}?)' if near else ''


def keys_of(kind: type) -> list[str]:
    """Keys that the constructor of a class takes.

    Args:
        kind (type): The class. Where it takes ``**keys``, it also has the
            keys of the class that it inherits from.

    Returns:
        list[str]: Their names, those of the class itself first.

    Example:
        >>> class Base:
        ...     def __init__(self, width, **unknown): ...
        >>> class Net(Base):
        ...     def __init__(self, depth, **kwargs): ...
        >>> keys_of(Net)
        ['depth', 'width']
    """
    valid: dict[str, Any] = {}
    for base in kind.__mro__[:-1]:
        parameters = signature(base).parameters.values()
        valid = {**valid, **{p.name: p.kind for p in parameters}}
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return [name for name, how in valid.items()
            if not how.name.startswith('VAR')]


def naming_keys(function: Callable, called: str) -> Callable:
    """A function that names an unknown key, the nearest one and all others.

    Args:
        function (Callable): The function. One that takes any keyword stays as
            it is.
        called (str): What a config calls it, such as ``'mmsnn.FreezeHook'``.

    Returns:
        Callable: The same, except that an unknown keyword is a TypeError that
        says so.

    Example:
        >>> def pool(size, stride=1):
        ...     return size, stride
        >>> naming_keys(pool, 'mmsnn.Pool')(2, strides=2)
        Traceback (most recent call last):
        TypeError: mmsnn.Pool has no key 'strides' (did you mean 'stride'?);
            its keys are size, stride
    """
    parameters = signature(function).parameters
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values()):
        return function
    known = [
        name for name, p in parameters.items() if name != 'self' and
        p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    ]

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for key in kwargs:
            if key not in known:
                raise TypeError(
                    f'{called} has no key {key!r}{did_you_mean(key, known)}; '
                    f'its keys are {", ".join(known) or "none"}')
        return function(*args, **kwargs)

    return checked
