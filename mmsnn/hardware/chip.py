"""Chip specs: what an operation costs, with unit, source and status."""

import math
from dataclasses import dataclass
from pathlib import Path

import yaml

CHIP_DIR = Path(__file__).parent / 'chips'

#: How a figure was seen. ``read``: in a paper, page or program that was
#: opened; ``quoted``: in a note that quotes the paper; ``derived``: computed
#: from other figures of the spec, as ``source`` says; ``unknown``: no figure
#: or sources that disagree, the value is null.
STATUSES = ('read', 'quoted', 'derived', 'unknown')

_ARITHMETIC = {
    name: 'pJ'
    for name in ('mac', 'ac', 'add', 'mul', 'compare', 'other',
                 'neuron_update')
}

#: Section -> figure -> unit. A chip that needs another section (events,
#: limits, latencies) adds it here.
SCHEMA: dict[str, dict[str, str]] = {
    'process': {
        'node': 'nm'
    },
    'fp32': _ARITHMETIC,
    'fp16': _ARITHMETIC,
    'int32': _ARITHMETIC,
    'int8': _ARITHMETIC,
    'memory': {
        'sram_8kb': 'pJ/B',
        'sram_32kb': 'pJ/B',
        'sram_1mb': 'pJ/B',
        'flat': 'pJ/B'
    },
}

_TEXTS = ('name', 'title', 'description')
_LISTS = ('includes', 'excludes')
_FIELDS = ('value', 'unit', 'source', 'status')


class MissingFigureError(ValueError):
    """A result needs a figure that the chip spec does not have."""


@dataclass(frozen=True)
class Figure:
    """One number of a chip spec.

    Attributes:
        name (str): ``section.figure``, e.g. ``fp32.mac``.
        value (float | None): In ``unit``; None if unknown.
        unit (str): As in :data:`SCHEMA`.
        source (str): Where the number comes from.
        status (str): One of :data:`STATUSES`.
    """

    name: str
    value: float | None
    unit: str
    source: str
    status: str


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
        """A figure whose value is known.

        Args:
            name (str): ``section.figure``.
            needed_by (str): The result that needs it, for the error.

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
        if figure.value is None:
            raise MissingFigureError(
                f'{needed_by} needs the figure {name}, which is null in chip '
                f'spec {self.path} ({figure.source}): give a value with its '
                'source and status, or choose another chip')
        return figure


def list_chips() -> list[str]:
    """Names of the chip specs that ship with the package.

    Example:
        >>> 'cmos45' in list_chips()
        True
    """
    return sorted(path.stem for path in CHIP_DIR.glob('*.yaml'))


def load_chip(name_or_path: str | Path) -> Chip:
    """Read and check a chip spec.

    Args:
        name_or_path (str | Path): One of :func:`list_chips`, or the path of
            a YAML file (``.yaml`` or ``.yml``) of the same form.

    Raises:
        ValueError: If there is no such spec, or if it breaks the schema;
            the message names file and key.
    """
    name = str(name_or_path)
    if name in list_chips():
        path = CHIP_DIR / f'{name}.yaml'
    else:
        path = Path(name_or_path)
        if path.suffix not in ('.yaml', '.yml') or not path.is_file():
            raise ValueError(
                f'unknown chip {name!r}: give one of '
                f'{", ".join(list_chips())} or the path of an existing YAML '
                'chip spec')
    try:
        raw = yaml.safe_load(path.read_text(encoding='utf-8'))
    except yaml.YAMLError as error:
        raise ValueError(f'chip spec {path} is not valid YAML: {error}') \
            from error
    _require(
        isinstance(raw, dict), f'chip spec {path} must be a mapping with the '
        f'keys {", ".join((*_TEXTS, *_LISTS, *SCHEMA))}')
    return _check(raw, path)


def _require(valid: bool, message: str) -> None:
    if not valid:
        raise ValueError(message)


def _check(raw: dict, path: Path) -> Chip:
    where = f'chip spec {path}'
    _check_keys(raw, (*_TEXTS, *_LISTS, *SCHEMA), where, '')
    for key in _TEXTS:
        text = raw.get(key)
        _require(
            isinstance(text, str) and bool(text.strip()),
            f'{where}: {key} must be a text, got {text!r}')
    for key in _LISTS:
        items = raw.get(key)
        _require(
            isinstance(items, list) and bool(items)
            and all(isinstance(item, str) for item in items),
            f'{where}: {key} must be a list of texts, got {items!r}')
    figures = {}
    for section, names in SCHEMA.items():
        if section not in raw:
            continue
        _require(
            isinstance(raw[section], dict),
            f'{where}: {section} must map figure names to figures, got '
            f'{raw[section]!r}')
        _check_keys(raw[section], names, where, f'{section}.')
        for name, entry in raw[section].items():
            key = f'{section}.{name}'
            figures[key] = _figure(key, entry, names[name], where)
    _require(
        bool(figures), f'{where} has no figure: give at least one of the '
        f'sections {", ".join(SCHEMA)}')
    return Chip(
        **{key: raw[key].strip() for key in _TEXTS},
        **{key: tuple(raw[key]) for key in _LISTS},
        figures=figures,
        path=str(path))


def _check_keys(raw: dict, valid, where: str, prefix: str) -> None:
    for key in raw:
        _require(
            key in valid, f'{where}: unknown key {prefix}{key}; valid: '
            f'{", ".join(valid)}')


def _figure(key: str, entry: object, unit: str, where: str) -> Figure:
    _require(
        isinstance(entry, dict), f'{where}: {key} must be a mapping of '
        f'{", ".join(_FIELDS)}, got {entry!r}')
    _check_keys(entry, _FIELDS, where, f'{key}.')
    missing = [name for name in _FIELDS if name not in entry]
    _require(
        not missing, f'{where}: {key} lacks {", ".join(missing)}: every '
        f'figure has {", ".join(_FIELDS)}')
    value, status, source = (
        entry[name] for name in ('value', 'status', 'source'))
    where = f'{where}: {key}'
    _require(entry['unit'] == unit,
             f'{where}.unit must be {unit!r}, got {entry["unit"]!r}')
    _require(
        status in STATUSES, f'{where}.status must be one of '
        f'{", ".join(STATUSES)}, got {status!r}')
    _require(
        isinstance(source, str) and bool(source.strip()),
        f'{where}.source must say where the value comes from, got '
        f'{source!r}')
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    _require(
        value is None or (number and math.isfinite(value) and value > 0),
        f'{where}.value must be a positive number, or null if it is unknown, '
        f'got {value!r}')
    _require((value is None) == (status == 'unknown'),
             f'{where}: the value is null exactly when the status is '
             f'unknown, got value {value!r} with status {status!r}')
    return Figure(
        name=key,
        value=None if value is None else float(value),
        unit=unit,
        source=source.strip(),
        status=status)
