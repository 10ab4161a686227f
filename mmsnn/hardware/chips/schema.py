"""What a chip spec may hold, and the checks when one is read."""

import re
import sys
from pathlib import Path
from typing import Any

from mmsnn.hardware.amounts import Range
from mmsnn.suggest import did_you_mean

from .figures import Figure

#: How a figure was seen. ``read``: in a paper, page or program that was
#: opened; ``quoted``: in a note that quotes the paper; ``derived``: computed
#: or concluded from other figures, as ``source`` says; ``unknown``: no figure
#: or sources that disagree, the value is null.
STATUSES = ('read', 'quoted', 'derived', 'unknown')

_ARITHMETIC = {
    name: 'pJ'
    for name in ('mac', 'ac', 'add', 'mul', 'compare', 'other',
                 'neuron_update')
}

#: What happens on a chip: a synaptic addition (at convolutions and at linear
#: layers where they differ), a neuron looked at, updated, fired, a message
#: sent, received, one hop along each axis of the mesh, one step to a
#: neighbouring chip.
CHIP_EVENTS = ('synop', 'synop_conv', 'synop_dense', 'access', 'update',
               'fire', 'message', 'message_in', 'hop_ew', 'hop_ns', 'link')

#: Section -> figure -> unit.
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
    'events': {
        name: 'pJ'
        for name in CHIP_EVENTS
    },
    'power': {
        'static': 'mW'
    },
    'latency': {
        name: 'ns'
        for name in (*CHIP_EVENTS, 'transport', 'barrier', 'tick')
    },
    'limits': {
        'chips': 'chips',
        'cores': 'cores',
        'cores_per_tile': 'cores',
        'mesh_width': 'tiles',
        'mesh_height': 'tiles',
        'neurons': 'neurons',
        'synapse_memory': 'B',
        'memory': 'B',
        'axons_in': 'axons',
        'axons_out': 'axons',
        'fan_in': 'synapses',
        'fan_out': 'layers',
        'weight_bits': 'bit',
        'state_bits': 'bit',
        'queue': 'messages'
    },
    'support': {
        name: 'yes/no'
        for name in ('synchronous', 'asynchronous', 'shared_weights',
                     'unrolled_weights', 'split_layers', 'membrane_transfer',
                     'dynamic_synapses')
    },
}

#: Figures that may be a list with one number for each core of the chip.
PER_CORE = ('limits.neurons', 'limits.synapse_memory')

#: Limits that are one number each, no range. All limits are whole numbers
#: from 1 to :data:`MOST`.
SINGLE = ('limits.chips', 'limits.cores', 'limits.cores_per_tile',
          'limits.mesh_width', 'limits.mesh_height')

#: The largest limit, far beyond any chip: positions of cores over all chips,
#: and bytes in bits, still fit into 64 bits.
MOST = 2**40

#: Ways of execution, one of which a chip must be able to do.
TIMINGS = ('support.synchronous', 'support.asynchronous')
#: Ways to store weights, one of which a chip must have.
_STORES = ('support.shared_weights', 'support.unrolled_weights')

#: Sections whose figures may contain each other.
CONTAINERS = {
    'events': ('events', 'power'),
    'power': ('events', 'power'),
    'latency': ('latency', )
}

#: Figures that may be a table: number of tiles -> value.
TABLES = ('latency.barrier', )

TEXTS = ('name', 'title', 'description')
LISTS = ('includes', 'excludes')
_FIELDS = ('value', 'unit', 'source', 'status')


def require(valid: bool, message: str) -> None:
    """Check one rule of the schema.

    Args:
        valid (bool): Whether the spec keeps the rule.
        message (str): Of the error: file and key at fault, and what is valid.

    Raises:
        ValueError: With ``message``, unless ``valid``.
    """
    if not valid:
        raise ValueError(message)


def check_spec(raw: Any, path: Path) -> dict[str, Any]:
    """Check a spec as YAML gave it.

    Args:
        raw (Any): What the YAML file holds.
        path (Path): The file, for error messages.

    Returns:
        dict: ``name``, ``title``, ``description``, ``includes``,
        ``excludes`` and ``figures`` (dict[str, Figure]).

    Raises:
        ValueError: If it breaks the schema; names file and key.
    """
    where = f'chip spec {path}'
    keys = (*TEXTS, *LISTS, *SCHEMA)
    require(
        isinstance(raw, dict),
        f'{where} must be a mapping with the keys {", ".join(keys)}')
    _check_keys(raw, keys, where, '')
    for key in TEXTS:
        text = raw.get(key)
        require(
            isinstance(text, str) and bool(text.strip()),
            f'{where}: {key} must be a text, got {text!r}')
    require(
        re.fullmatch(r'\w[\w .+-]*', raw['name']) is not None,
        f'{where}: name must be letters, digits, spaces and . + - _, since '
        f'files are called by it, got {raw["name"]!r}')
    for key in LISTS:
        items = raw.get(key)
        require(
            isinstance(items, list) and bool(items)
            and all(isinstance(item, str) and item.strip()
                    for item in items),
            f'{where}: {key} must be a list of texts, got {items!r}')
    figures = {}
    for section, names in SCHEMA.items():
        if section not in raw:
            continue
        require(
            isinstance(raw[section], dict),
            f'{where}: {section} must map figure names to figures, got '
            f'{raw[section]!r}')
        _check_keys(raw[section], names, where, f'{section}.')
        for name, entry in raw[section].items():
            key = f'{section}.{name}'
            figures[key] = _figure(key, entry, names[name], where)
    require(
        bool(figures), f'{where} has no figure: give at least one of the '
        f'sections {", ".join(SCHEMA)}')
    _check_containers(figures, where)
    for ways in (TIMINGS, _STORES):
        require(
            not all(name in figures and figures[name].value is False
                    for name in ways),
            f'{where}: {" and ".join(ways)} are both false, so that nothing '
            'can run: one of them must be true, or null if it is unknown')
    return dict(
        figures=figures,
        **{key: raw[key].strip()
           for key in TEXTS},
        **{key: tuple(raw[key])
           for key in LISTS})


def _check_keys(raw: dict, valid, where: str, prefix: str) -> None:
    for key in raw:
        near = did_you_mean(str(key), valid, prefix)
        require(
            key in valid, f'{where}: unknown key {prefix}{key}; valid: '
            f'{", ".join(valid)}{near}')


def _figure(key: str, entry: Any, unit: str, where: str) -> Figure:
    require(
        isinstance(entry, dict), f'{where}: {key} must be a mapping of '
        f'{", ".join(_FIELDS)}, got {entry!r}')
    contained = 'contained_in' in entry
    fields = ('contained_in', *_FIELDS[1:]) if contained else _FIELDS
    _check_keys(entry, fields, where, f'{key}.')
    missing = [name for name in fields if name not in entry]
    require(
        not missing, f'{where}: {key} lacks {", ".join(missing)}: every '
        f'figure has {", ".join(fields)}')
    status, source = entry['status'], entry['source']
    where = f'{where}: {key}'
    require(entry['unit'] == unit,
            f'{where}.unit must be {unit!r}, got {entry["unit"]!r}')
    require(
        status in STATUSES, f'{where}.status must be one of '
        f'{", ".join(STATUSES)}, got {status!r}')
    require(
        isinstance(source, str) and bool(source.strip()),
        f'{where}.source must say where the value comes from, got '
        f'{source!r}')
    if contained:
        require(
            key.split('.')[0] in CONTAINERS,
            f'{where}.contained_in: only figures of '
            f'{", ".join(CONTAINERS)} can be part of another one')
        require(
            isinstance(entry['contained_in'], str),
            f'{where}.contained_in must name a figure, got '
            f'{entry["contained_in"]!r}')
        return Figure(key, None, unit, source.strip(), status,
                      entry['contained_in'])
    value = entry['value']
    require((value is None) == (status == 'unknown'),
            f'{where}: the value is null exactly when the status is '
            f'unknown, got value {value!r} with status {status!r}')
    return Figure(key, _value(key, value, unit, where), unit, source.strip(),
                  status)


def _value(key: str, value: Any, unit: str, where: str) -> Any:
    """The value as a float, bool, Range, tuple or dict, or None."""
    if value is None:
        return None
    if unit == 'yes/no':
        require(
            isinstance(value, bool),
            f'{where}.value must be true or false, or null if it is '
            f'unknown, got {value!r}')
        return value
    whole = key.startswith('limits.')
    what = (f'a whole number from 1 to {MOST}'
            if whole else 'a positive number')
    valid = _count if whole else _positive
    if isinstance(value, dict) and set(value) == {'low', 'high'} and (
            key not in SINGLE):
        low, high = value['low'], value['high']
        least = valid(low) or (not whole and _zero(low))
        require(
            valid(high) and least and low <= high,
            f'{where}.value must have '
            f'{"whole numbers 1" if whole else "numbers 0"} <= low <= high'
            f'{f" <= {MOST}" if whole else ""}, got {value!r}')
        return Range(float(low), float(high))
    if isinstance(value, dict) and key in TABLES:
        require(
            bool(value) and all(
                isinstance(k, int) and _count(k) and _positive(v)
                for k, v in value.items()),
            f'{where}.value must map numbers of tiles (1 to {MOST}) to '
            f'positive numbers, got {value!r}')
        return {k: float(v) for k, v in sorted(value.items())}
    if isinstance(value, list) and key in PER_CORE:
        require(
            bool(value) and all(valid(v) for v in value),
            f'{where}.value must list {what} for each core, got {value!r}')
        return tuple(float(v) for v in value)
    ranges = '' if key in SINGLE else ', a range {low, high},'
    require(
        valid(value),
        f'{where}.value must be {what}{ranges} or null if it is unknown, got '
        f'{value!r}')
    return float(value)


def _number(value: Any) -> bool:
    """Whether a value is a number, and no yes or no."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _zero(value: Any) -> bool:
    return _number(value) and value == 0


def _positive(value: Any) -> bool:
    return _number(value) and 0 < value <= sys.float_info.max


def _count(value: Any) -> bool:
    return _positive(value) and value <= MOST and value == int(value)


def _check_containers(figures: dict[str, Figure], where: str) -> None:
    cores = figures.get('limits.cores')
    for figure in figures.values():
        if isinstance(figure.value, tuple):
            count = None if cores is None else cores.value
            require(
                len(figure.value) == count,
                f'{where}: {figure.name}.value must list a number for each of '
                f'the cores of limits.cores ({count}), got '
                f'{len(figure.value)}')
        if figure.contained_in:
            section = figure.contained_in.split('.')[0]
            valid = CONTAINERS[figure.name.split('.')[0]]
            require(
                section in valid,
                f'{where}: {figure.name}.contained_in must name a figure of '
                f'{" or ".join(valid)}, got {figure.contained_in!r}')
            container = figures.get(figure.contained_in)
            require(
                container is not None and not container.contained_in,
                f'{where}: {figure.name}.contained_in must name a figure of '
                f'the spec that has a value, got {figure.contained_in!r}')
