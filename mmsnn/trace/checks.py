"""Whether the values of a file are what a trace can hold."""

import math
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from .reads import Reads
from .record import KINDS, OpRecord
from .run_statistics import AMOUNTS, RunStatistics

#: Beyond, products of amounts leave the range of floating-point numbers.
_MOST = 2**100
_WANTED = {
    bool: 'true or false',
    str: 'a text',
    int: 'an integer of 0 or more',
    Fraction: 'a finite number of 0 or more',
}


def _is_amount(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value is of a type, with numbers of 0 or more."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is int:
        return _is_amount(value)
    if kind is Fraction:
        return _is_amount(value) or isinstance(
            value, float) and math.isfinite(value) and value >= 0
    if kind is dict:
        return isinstance(value, dict) and (not inner or all(
            isinstance(k, str) and _fits(v, inner[1])
            for k, v in value.items()))
    if kind in (list, tuple):
        return isinstance(value, list) and (not inner or all(
            _fits(x, inner[0]) for x in value))
    return type(value) is kind


def check_fields(kind: type, raw: dict, where: str) -> None:
    """Check what a file says of a record, of its reads, or of statistics.

    Args:
        kind (type): Its data class.
        raw (dict): Values of its fields, all or some.
        where (str): What a message begins with.

    Raises:
        ValueError: If a field is unknown, or its value is of another type,
            negative, not finite, or contradicts another.

    Example:
        >>> check_fields(OpRecord, dict(module='fc', sops=-5), 'record 3')
        Traceback (most recent call last):
        ValueError: record 3: sops must be an integer of 0 or more, but is -5
    """
    check_kind(raw, dict, where)
    hints = _hints(kind)
    for name, value in raw.items():
        if name not in hints:
            raise ValueError(f'{where}: unknown field {shown(name)}')
        fits = _SPECIAL.get((kind, name))
        if not (fits(value) if fits else _fits(value, hints[name])):
            hint = get_origin(hints[name]) or hints[name]
            wanted = (f'one of {", ".join(KINDS)}' if name == 'kind' else
                      _WANTED.get(hint, f'what {kind.__name__}.{name} holds'))
            raise ValueError(f'{where}: {name} must be {wanted}, but is '
                             f'{shown(value)}')
    if kind is OpRecord and raw.get('kind') == 'neuron':
        fired = sum(raw.get('spikes', ()))
        most = raw.get('neurons', 0) * raw.get('max_spikes', 0)
        if fired > most:
            raise ValueError(f'{where}: {fired} spikes, but its neurons could '
                             f'fire {most} at most')


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind)}


def shown(value: Any) -> str:
    r"""What a file says, for a message.

    Args:
        value (Any): What was read.

    Returns:
        str: Up to 60 characters that can be printed.

    Example:
        >>> print(shown('a\nb'), len(shown([0] * 99)))
        'a\nb' 60
    """
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def check_kind(value: Any, kind: type, where: str) -> None:
    """Check that a file holds an object, or a list, in a place.

    Args:
        value (Any): What is there.
        kind (type): dict or list.
        where (str): What a message begins with.

    Raises:
        ValueError: If it is something else.

    Example:
        >>> check_kind(7, list, 'records')
        Traceback (most recent call last):
        ValueError: records must be a list, but is 7
    """
    if not isinstance(value, kind):
        wanted = 'an object' if kind is dict else 'a list'
        raise ValueError(f'{where} must be {wanted}, but is {shown(value)}')


def check_sources(pairs: Any, records: int, where: str) -> None:
    """Check what a file says of the sources of a record.

    Args:
        pairs (Any): Number of a record, or a name, and whether it is an
            operand.
        records (int): Number of records.
        where (str): What a message begins with.

    Raises:
        ValueError: If it is no list of such pairs.

    Example:
        >>> check_sources([[7, False]], records=3, where='record 0')
        Traceback (most recent call last):
        ValueError: record 0: sources [[7, False]] are no pairs of the number
        of one of 3 records, 'input' or 'unknown', and true or false
    """
    if not isinstance(pairs, list) or not all(
            isinstance(pair, list) and len(pair) == 2
            and type(pair[1]) is bool and
            (pair[0] in ('input', 'unknown') if isinstance(pair[0], str) else
             type(pair[0]) is int and 0 <= pair[0] < records)
            for pair in pairs):
        raise ValueError(
            f'{where}: sources {shown(pairs)} are no pairs of the number of '
            f"one of {records} records, 'input' or 'unknown', and true or "
            'false')


def _is_geometry(value: Any) -> bool:
    return isinstance(value, dict) and all(
        type(v) is bool or _is_amount(v) or _fits(v, list[int])
        for v in value.values())


def _are_pieces(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(piece, list) and len(piece) == 4
        and isinstance(piece[0], str) and all(map(_is_amount, piece[1:]))
        for piece in value)


def _are_lines(value: Any) -> bool:
    """Lists of runs ``[first, number, step]``, where -1 is no element."""
    return isinstance(value, list) and all(
        isinstance(line, list) and all(
            isinstance(run, list) and len(run) == 3
            and all(type(n) is int and abs(n) < _MOST for n in run)
            and run[0] >= -1 and run[1] >= 1 for run in line)
        for line in value)


def _is_sum(value: Any) -> bool:
    return _fits(value, list[int]) and len(value) == len(AMOUNTS)


def _are_squares(value: Any) -> bool:
    return _fits(value, list[list[Fraction]]) and [len(x) for x in value] == [
        len(AMOUNTS)] * len(AMOUNTS)


#: Fields whose values have a form of their own.
_SPECIAL: dict[tuple[type, str], Callable[[Any], bool]] = {
    (OpRecord, 'kind'): KINDS.__contains__,
    (OpRecord, 'geometry'): _is_geometry,
    (OpRecord, 'weight_pieces'): _are_pieces,
    (Reads, 'lines'): _are_lines,
    (RunStatistics, 'sums'): _is_sum,
    (RunStatistics, 'squares'): _are_squares,
}
