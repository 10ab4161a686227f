"""Numbers of a chip spec, and which of them a result used."""

from dataclasses import dataclass
from typing import Any

from mmsnn.hardware.amounts import Range, as_range


class MissingFigureError(ValueError):
    """A result needs a figure that the chip spec does not have."""


@dataclass(frozen=True)
class Figure:
    """One number of a chip spec.

    Attributes:
        name (str): ``section.figure``, e.g. ``fp32.mac``.
        value (float | Range | bool | tuple | dict | None): In ``unit``; None
            if unknown or contained in another figure. A tuple has one number
            for each core, a dict is a table by number of tiles.
        unit (str): As in :data:`mmsnn.hardware.chips.schema.SCHEMA`.
        source (str): Where the number comes from.
        status (str): One of :data:`mmsnn.hardware.chips.schema.STATUSES`.
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
        status (str): How it was seen, as in :class:`Figure`.
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
        """The value with its unit, as reports print it.

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
        elif isinstance(self.value, tuple):
            text = ', '.join(f'{value:.9g}' for value in self.value)
        else:
            text = format(self.value, '.9g')
        return f'{text} {self.unit}'

    def __str__(self) -> str:
        return (f'{self.name} = {self.in_words} '
                f'({self.status}: {self.source})')


class UsedFigures:
    """Hands out the figures of a chip, and remembers which were used.

    Args:
        chip (Chip): Where the figures come from.

    Example:
        >>> from mmsnn.hardware import load_chip
        >>> used = UsedFigures(load_chip('cmos45'))
        >>> str(used.span('fp32.add', 'the example', 'additions'))  # pJ
        '0.9'
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
            name (str): ``section.figure``, e.g. ``fp32.mac``.
            needed_by (str): The result that needs it, for the error message.
            charged_for (str): What is charged or checked with it, for
                :attr:`constants`.

        Returns:
            Figure: As the spec states it.

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

    def span(self, name: str, needed_by: str, charged_for: str) -> Range:
        """The value of a figure as a range, in the figure's unit.

        Args:
            name (str): As for :meth:`take`.
            needed_by (str): As for :meth:`take`.
            charged_for (str): As for :meth:`take`.

        Returns:
            Range: With equal ends if the figure is one number; 0 if another
            figure contains it, so that it is not charged twice.

        Raises:
            MissingFigureError: As :meth:`take`.
        """
        figure = self.take(name, needed_by, charged_for)
        return as_range(0.0 if figure.contained_in else figure.value)
