"""Chip specs: what an operation costs, with unit, source and status."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from mmsnn.hardware.amounts import ENDS, Range
from mmsnn.suggest import did_you_mean

from .figures import Figure, MissingFigureError
from .schema import check_spec

CHIP_DIR = Path(__file__).parent


@dataclass(frozen=True)
class Chip:
    """A chip spec.

    Attributes:
        name (str): Short name, as given to :func:`load_chip`.
        title (str): Name in tables and reports.
        description (str): What the spec describes.
        includes (tuple[str]): What its energies include.
        excludes (tuple[str]): What they leave out.
        figures (dict[str, Figure]): By ``section.figure``.
        path (str): File it was read from.
    """

    name: str
    title: str
    description: str
    includes: tuple[str, ...]
    excludes: tuple[str, ...]
    figures: dict[str, Figure]
    path: str

    def figure(self, name: str, needed_by: str) -> Figure:
        """A figure whose value is known, or contained in another.

        Args:
            name (str): ``section.figure``, e.g. ``fp32.mac``.
            needed_by (str): The result that needs it, for the error message.

        Returns:
            Figure: With value (None if contained), unit, source and status.

        Raises:
            MissingFigureError: If the spec has no such figure, or null.

        Example:
            >>> load_chip('cmos45').figure('fp32.mac', 'the example').value
            4.6
        """
        figure = self.figures.get(name)
        if figure is None:
            raise MissingFigureError(
                f'{needed_by} needs the figure {name}, which chip spec '
                f'{self.path} does not list: add it with its value, unit, '
                'source and status, or choose another chip')
        if figure.contained_in:
            self.figure(figure.contained_in, needed_by)
        elif figure.value is None:
            raise MissingFigureError(
                f'{needed_by} needs the figure {name}, which is null in chip '
                f'spec {self.path} ({figure.source}): give a value with its '
                'source and status, or choose another chip')
        return figure

    def at(self, end: str) -> 'Chip':
        """The chip with every range replaced by its ``low`` or ``high`` end.

        Costs grow with each figure, so a result lies between those of the
        two ends.

        Args:
            end (str): ``'low'`` or ``'high'``.

        Returns:
            Chip: A copy whose figures are numbers.

        Raises:
            ValueError: If ``end`` is something else.

        Example:
            >>> chip = load_chip('spinnaker2')
            >>> chip.figures['events.synop'].value
            Range(low=10.0, high=450.0)
            >>> chip.at('low').figures['events.synop'].value
            10.0
        """
        if end not in ENDS:
            raise ValueError(f"end must be 'low' or 'high', got {end!r}")
        return replace(
            self,
            figures={
                name: replace(f, value=getattr(f.value, end)) if isinstance(
                    f.value, Range) else f
                for name, f in self.figures.items()
            })

    @property
    def prices_operations(self) -> bool:
        """Whether the spec says what operations cost, without cores."""
        return any(name.startswith(('fp32.', 'int8.'))
                   for name in self.figures)

    @property
    def has_cores(self) -> bool:
        """Whether the spec describes a chip with cores to map to."""
        return 'limits.cores' in self.figures


def pricing_chip(chips: Iterable[Chip]) -> Chip:
    """The first spec that prices operations with FP32 weights; ``cmos45`` if
    none does.

    Args:
        chips (Iterable[Chip]): The specs that a user named, in that order.

    Returns:
        Chip: The spec that a result which needs prices is computed with.

    Example:
        >>> pricing_chip(load_chips(['loihi', 'cmos45_memory'])).name
        'cmos45_memory'
    """
    priced = (chip for chip in chips if any(
        name.startswith('fp32.') for name in chip.figures))
    return next(priced, None) or load_chip('cmos45')


class _UniqueKeys(yaml.SafeLoader):
    """YAML that refuses a key that stands twice in a mapping."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        twice = [key for i, key in enumerate(keys) if key in keys[:i]]
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f'the key {twice[0]!r} stands twice',
                node.start_mark)
        return super().construct_mapping(node, deep)


def list_chips() -> list[str]:
    """Names of the chip specs that ship with the package.

    Returns:
        list[str]: In alphabetical order.

    Example:
        >>> 'cmos45' in list_chips()
        True
    """
    return sorted(path.stem for path in CHIP_DIR.glob('*.yaml'))


def load_chip(chip: str | Path | Chip) -> Chip:
    """Read and check a chip spec.

    Args:
        chip (str | Path | Chip): One of :func:`list_chips`, or the path of a
            YAML file (``.yaml`` or ``.yml``) of the same form; a spec is
            returned as it is.

    Returns:
        Chip: The spec, whose figures have been checked.

    Raises:
        ValueError: If there is no such spec, or if it breaks the schema;
            the message names file and key.

    Example:
        >>> load_chip('cmos45').figures['fp32.ac'].value
        0.9
    """
    if isinstance(chip, Chip):
        return chip
    if not isinstance(chip, (str, Path)):
        raise TypeError('chips are names or paths of chip specs, or specs, '
                        f'got {type(chip).__name__}')
    name = str(chip)
    if name in list_chips():
        path = CHIP_DIR / f'{name}.yaml'
    else:
        path = Path(name)
        if path.suffix not in ('.yaml', '.yml') or not path.is_file():
            raise ValueError(
                f'unknown chip {name!r}{did_you_mean(name, list_chips())}: '
                f'give one of {", ".join(list_chips())} or the path of an '
                'existing YAML chip spec')
    try:
        raw = yaml.load(path.read_text(encoding='utf-8'), _UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f'chip spec {path} is not valid YAML: {error}') \
            from error
    return Chip(**check_spec(raw, path), path=str(path))


def load_chips(chips: str | Path | Chip | Iterable[str | Path | Chip]
               ) -> list[Chip]:
    """Read one or many chip specs, no two of the same name.

    Args:
        chips (str | Path | Chip | Iterable): One, or several, of what
            :func:`load_chip` takes.

    Returns:
        list[Chip]: The specs, in the same order.

    Raises:
        ValueError: If there is none, if one can not be read, or if two have
            the same name.

    Example:
        >>> [chip.name for chip in load_chips(['cmos45', 'loihi'])]
        ['cmos45', 'loihi']
    """
    if not isinstance(chips, Iterable) or isinstance(chips, (str, Path)):
        chips = [chips]
    by_name: dict[str, Chip] = {}
    for chip in map(load_chip, chips):
        other = by_name.setdefault(chip.name, chip)
        if other is chip:
            continue
        if other.path == chip.path:
            raise ValueError(f'chips names {chip.path} twice')
        raise ValueError(
            f'two chip specs have the name {chip.name!r}, {other.path} and '
            f'{chip.path}: results are told apart by it, give one of them '
            'another name')
    if not by_name:
        raise ValueError('chips must name at least one chip spec; those that '
                         f'ship are {", ".join(list_chips())}')
    return list(by_name.values())
