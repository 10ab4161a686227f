"""What the key ``keep_real`` names in a module."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from torch import nn

from mmsnn.suggest import did_you_mean


def named_parts(module: nn.Module, names: Sequence[str]) -> set[object]:
    """Modules and parameters that ``keep_real`` names.

    Args:
        module (nn.Module): The module that is made spiking.
        names (Sequence[str]): Class names, paths within ``module`` of modules
            or parameters, and patterns of either (``'*.reg_convs.*'``). Class
            names and patterns may find nothing, so that one list serves all
            parts of a model.

    Returns:
        set: Modules and parameters.

    Raises:
        ValueError: If ``names`` is a string, or a name is no class of a
            module and nothing lies at that path.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 2), nn.Bilinear(2, 2, 2))
        >>> named_parts(net, ['Bilinear', 'LSTM']) == {net[1]}
        True
    """
    if isinstance(names, str):
        raise ValueError('keep_real must be a list of class names and paths, '
                         f'but is {names!r}: write [{names!r}]')
    kept, left = set(), set(names)
    for path, child in module.named_modules(remove_duplicate=False):
        found = {
            n for n in names if _matches(n, path, type(child).__name__)
        }
        left -= found
        kept.update([child] if found else [])
    for path, parameter in module.named_parameters(remove_duplicate=False):
        found = {n for n in names if _matches(n, path)}
        left -= found
        kept.update([parameter] if found else [])
    left = {n for n in left if not _is_pattern(n)}
    unknown = sorted(left - set(_class_names(nn.Module))) if left else []
    if unknown:
        known = {type(m).__name__ for m in module.modules()}
        known.update(path for path, _ in module.named_modules())
        known.update(path for path, _ in module.named_parameters())
        raise ValueError(
            f'keep_real names {", ".join(map(repr, unknown))}, but '
            f'{type(module).__name__} has no module of that class name, and '
            'no module or parameter at that path'
            f'{did_you_mean(unknown[0], known)}')
    return kept


def _matches(name: str, *candidates: str) -> bool:
    if _is_pattern(name):
        return any(fnmatchcase(c, name) for c in candidates)
    return name in candidates


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in '*?[')


def _class_names(kind: type) -> Iterator[str]:
    """Names of all classes derived from one, as far as they are imported."""
    for derived in kind.__subclasses__():
        yield derived.__name__
        yield from _class_names(derived)
