"""Attributes that objects keep in slots, not in a dictionary."""


def slots_of(kind: type) -> list[str]:
    """Names of the slots of a class and of those it inherits from.

    Args:
        kind (type): The class.

    Returns:
        list[str]: As ``getattr`` takes them. Not every object has filled all.

    Example:
        >>> class Point:
        ...     __slots__ = 'x', '__private'
        >>> slots_of(Point)
        ['x', '_Point__private']
    """
    found = []
    for base in kind.__mro__:
        slots = vars(base).get('__slots__', ())
        for name in (slots, ) if isinstance(slots, str) else slots:
            if name.startswith('__') and not name.endswith('__'):
                name = f'_{base.__name__.lstrip("_")}{name}'
            found.append(name)
    return [n for n in found if n not in ('__dict__', '__weakref__')]
