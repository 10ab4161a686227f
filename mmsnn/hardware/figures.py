"""Numbers of a chip spec, and which of them a result used."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple


class MissingFigureError(ValueError):
    """A result needs a figure that the chip spec does not have."""


class Range(NamedTuple):
    """A number that is only known to lie between two others.

    Example:
        >>> str(Range(1., 2.5)), str(Range(2., 2.))
        ('1 to 2.5', '2')
        >>> Range(1., 2.).plus(Range(0., 1.)), Range(1., 2.).times(10)
        (Range(low=1.0, high=3.0), Range(low=10.0, high=20.0))
        >>> f'{Range(1., 2.52):.2g} mJ'
        '1 to 2.5 mJ'
    """

    low: float
    high: float

    def __str__(self) -> str:
        return format(self)

    def __format__(self, spec: str) -> str:
        spec = spec or '.4g'
        if self.low == self.high:
            return format(self.low, spec)
        return f'{self.low:{spec}} to {self.high:{spec}}'

    @property
    def exact(self) -> bool:
        """Whether both ends are equal."""
        return self.low == self.high

    def plus(self, other: 'Range') -> 'Range':
        """The range of the sum."""
        return Range(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> 'Range':
        """The range of the product with a number."""
        ends = self.low * factor, self.high * factor
        return Range(min(ends), max(ends))


#: A number, or a range where a figure of the chip is one.
Amount = float | Range


def bounds(value: Amount) -> Range:
    """Both ends of a number, which are equal if it is exact.

    Example:
        >>> bounds(2.), bounds(Range(1., 2.)).high
        (Range(low=2.0, high=2.0), 2.0)
    """
    return value if isinstance(value, Range) else Range(value, value)


def scaled(value: Amount, factor: float) -> Amount:
    """The product with a number.

    Example:
        >>> scaled(2., 3), scaled(Range(1., 2.), 3)
        (6.0, Range(low=3.0, high=6.0))
    """
    return value.times(factor) if isinstance(value, Range) else value * factor


def added(values: Iterable[Amount]) -> Amount:
    """The sum; a range if one of the values is one.

    Example:
        >>> added([1., 2.]), added([1., Range(1., 2.)])
        (3.0, Range(low=2.0, high=3.0))
    """
    values = list(values)
    if any(isinstance(v, Range) for v in values):
        return Range(*(math.fsum(ends) for ends in zip(*map(bounds, values))))
    return math.fsum(values)


def divided(value: Amount, by: Amount) -> Amount:
    """The quotient of two numbers that depend on the same figures: both are
    taken at the same end.

    Example:
        >>> divided(1., 2.), divided(Range(1., 3.), Range(4., 6.))
        (0.5, Range(low=0.25, high=0.5))
    """
    if not isinstance(value, Range) and not isinstance(by, Range):
        return value / by
    ends = [a / b for a, b in zip(bounds(value), bounds(by))]
    return Range(min(ends), max(ends))


def plain(value: Any) -> Any:
    """Dicts, lists, texts and numbers, ready for JSON, of dataclasses and
    ranges.

    Example:
        >>> plain((1, Range(1., 2.)))
        [1, {'low': 1.0, 'high': 2.0}]
    """
    if isinstance(value, Range):
        return value._asdict()
    if hasattr(value, '__dataclass_fields__'):
        return {
            name: plain(getattr(value, name))
            for name in value.__dataclass_fields__
        }
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


@dataclass(frozen=True)
class Figure:
    """One number of a chip spec.

    Attributes:
        name (str): ``section.figure``, e.g. ``fp32.mac``.
        value (float | Range | bool | tuple | dict | None): In ``unit``; None
            if unknown or contained in another figure. A tuple has one number
            for each core, a dict is a table by number of tiles.
        unit (str): As in :data:`mmsnn.hardware.schema.SCHEMA`.
        source (str): Where the number comes from.
        status (str): One of :data:`mmsnn.hardware.schema.STATUSES`.
        contained_in (str): The figure that already contains this one, so
            that it is not charged again; else empty.
    """

    name: str
    value: Any
    unit: str
    source: str
    status: str
    contained_in: str = ''


@dataclass
class Constant:
    """A figure of the chip spec that an estimate used.

    Attributes:
        name (str): ``section.figure``.
        value (float | Range | bool | tuple | dict | None): In ``unit``; None
            where another figure contains it.
        unit (str): Unit of ``value``.
        source (str): Where the value comes from.
        status (str): How it was seen.
        charged_for (list[str]): What was charged or checked with it.
    """

    name: str
    value: Any
    unit: str
    source: str
    status: str
    charged_for: list[str]

    @property
    def in_words(self) -> str:
        """The value, with its unit.

        Example:
            >>> def shown(value, unit, status='read'):
            ...     return Constant('a', value, unit, '', status, []).in_words
            >>> shown(Range(1., 2.), 'pJ'), shown((256., 512.), 'neurons')
            ('1 to 2 pJ', '256, 512 neurons')
            >>> shown({1: 65., 9: 80.}, 'ns'), shown(True, 'yes/no')
            ('65 (from 1 tiles), 80 (from 9 tiles) ns', 'yes')
            >>> shown(None, 'pJ'), shown(None, 'pJ', 'unknown')
            ('contained in another figure', 'unknown')
        """
        if self.value is None:
            return ('unknown' if self.status == 'unknown' else
                    'contained in another figure')
        if isinstance(self.value, bool):
            return 'yes' if self.value else 'no'
        if isinstance(self.value, dict):
            text = ', '.join(f'{value:.9g} (from {tiles} tiles)'
                             for tiles, value in self.value.items())
        elif isinstance(self.value, tuple) and not isinstance(
                self.value, Range):
            text = ', '.join(f'{value:.9g}' for value in self.value)
        else:
            text = format(self.value, '.9g')
        return f'{text} {self.unit}'

    def __str__(self) -> str:
        return (f'{self.name} = {self.in_words} '
                f'({self.status}: {self.source})')


class UsedFigures:
    """Hands out the figures of a chip and keeps which were used.

    Args:
        chip (Chip): Where the figures come from.

    Example:
        >>> from mmsnn.hardware import load_chip
        >>> used = UsedFigures(load_chip('cmos45'))
        >>> used.number('fp32.add', 'the example', 'additions')
        0.9
        >>> [(c.name, c.charged_for) for c in used.constants]
        [('fp32.add', ['additions'])]
    """

    def __init__(self, chip) -> None:
        self.chip = chip
        self._used: dict[str, Constant] = {}

    @property
    def constants(self) -> list[Constant]:
        """The figures that were used, in order of first use."""
        return list(self._used.values())

    def take(self, name: str, needed_by: str, charged_for: str) -> Figure:
        """A figure that is known, or contained in one that is.

        Args:
            name (str): ``section.figure``.
            needed_by (str): The result that needs it, for the error.
            charged_for (str): What it is charged for, for the list.

        Raises:
            MissingFigureError: If the spec has no such figure, or null.
        """
        figure = self.chip.figure(name, needed_by)
        constant = self._used.setdefault(
            figure.name,
            Constant(figure.name, figure.value, figure.unit, figure.source,
                     figure.status, []))
        if figure.contained_in:
            charged_for = f'{charged_for} (contained in {figure.contained_in})'
        if charged_for not in constant.charged_for:
            constant.charged_for.append(charged_for)
        return figure

    def number(self, name: str, needed_by: str, charged_for: str) -> float:
        """The value of a figure that must be one number.

        Raises:
            MissingFigureError: As :meth:`take`.
            ValueError: If the figure is a range.
        """
        figure = self.take(name, needed_by, charged_for)
        if isinstance(figure.value, Range):
            raise ValueError(
                f'{needed_by} needs one number, but {name} of chip spec '
                f'{self.chip.path} is a range ({figure.value}): give '
                "chip.at('low') and chip.at('high') in turn")
        return figure.value

    def span(self, name: str, needed_by: str, charged_for: str) -> Range:
        """The value of a figure as a range; 0 where another contains it."""
        figure = self.take(name, needed_by, charged_for)
        if figure.contained_in:
            return Range(0.0, 0.0)
        if isinstance(figure.value, Range):
            return figure.value
        return Range(figure.value, figure.value)
