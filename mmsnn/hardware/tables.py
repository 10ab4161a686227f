"""Estimates as tables: lines for a terminal, and CSV."""

import csv
import io
import textwrap
from collections.abc import Collection, Sequence
from pathlib import Path

from mmsnn.files import write_whole

from .amounts import Range, added, as_range
from .chips.figures import Constant
from .on_chip.event_energy import ENERGY_CAUSES
from .on_chip.results import ChipEstimate, RowCost
from .operations.results import COUNTS, OperationsEstimate


def format_operations(estimate: OperationsEstimate, top: int = 12) -> str:
    """The costliest ops, totals and comparisons, for a terminal.

    Args:
        estimate (OperationsEstimate): What to show.
        top (int): Number of ops to list, the costliest in the first result
            first. Defaults to 12.

    Returns:
        str: Text of several lines.

    Example:
        >>> from mmsnn.trace import OpRecord, OpTrace
        >>> from mmsnn.hardware.operations.estimate import (
        ...     estimate_operations)
        >>> fc = OpRecord('fc', 'linear', 'linear', spiking=True,
        ...               dense_ops=10, sops=2, in_spikes=2, in_elements=10,
        ...               max_spikes=4)
        >>> table = format_operations(
        ...     estimate_operations(OpTrace([fc], images=1)))
        >>> 'wins' in table
        True
    """
    title = (f'Energy on {estimate.title} ({estimate.chip}), mJ per image, '
             f'mean of {estimate.images} images')
    lines = [title, '', *operation_rows(estimate, top), '']
    width = len(lines[2])
    texts = estimate.verdicts
    texts += [
        f'{key}: not measured: {reason}'
        for key, reason in estimate.missing.items()
    ]
    texts += [t for t in estimate.assumptions if t.startswith('Memory')]
    texts.append('Not charged: ' + '; '.join(estimate.not_charged) + '.')
    for text in texts:
        lines += textwrap.wrap(text, width=width)
    return '\n'.join(lines + ['', *format_constants(estimate.constants)])


def operation_rows(estimate: OperationsEstimate, top: int = 12) -> list[str]:
    """The costliest ops and their total, as lines of a table.

    Args:
        estimate (OperationsEstimate): What to show.
        top (int): Number of ops to list, the costliest in the first result
            first. Defaults to 12.

    Returns:
        list[str]: Header, rule, a line for each op, rule, total. SOPs and
        MACs are per image, energies in mJ per image.
    """
    first = estimate.results[0].key
    layers = sorted(
        estimate.layers, key=lambda x: as_range(x.energy_mj[first]).high,
        reverse=True)[:top]
    keys = [r.key for r in estimate.results]
    rows = [
        (x.module, x.kind, f'{x.rate:.3f}' if x.spiking else 'real',
         f'{x.sops:.3g}', f'{x.macs:.3g}',
         *(format(x.energy_mj[key], '.3g') for key in keys)) for x in layers
    ]
    total = ('total', '', '', f'{sum(x.sops for x in estimate.layers):.3g}',
             f'{sum(x.macs for x in estimate.layers):.3g}',
             *(format(r.energy_mj, '.3g') for r in estimate.results))
    return _table(('op', 'kind', 'rate', 'SOPs', 'MACs', *map(_short, keys)),
                  rows, total, 2, len(estimate.layers) - len(layers), 'ops')


def format_chip(estimate: ChipEstimate, top: int = 12) -> str:
    """Totals on a chip with cores, whether the network fits, and the
    costliest layers, for a terminal.

    Args:
        estimate (ChipEstimate): What to show.
        top (int): Number of layers to list, the costliest first. Defaults to
            12.

    Returns:
        str: Text of several lines.
    """
    e = estimate
    lines = [e.summary]
    reasons = [f'{k}: {"; ".join(v)}' for k, v in e.reasons.items()]
    lines += [f'  {text}' for text in reasons[:3]]
    if len(reasons) > 3:
        lines.append(f'  ... and {len(reasons) - 3} more layers')
    lines += [f'  not measured: {k}: {v}' for k, v in e.missing.items()]
    outside = [text for text in e.conditions if 'outside the cores' in text]
    if outside:
        lines.append(f'  not in it, since it runs outside the cores: '
                     f'{outside[0]}' + (f'; and {len(outside) - 1} more ops'
                                        if len(outside) > 1 else ''))
    if e.burst:
        lines.append(f'  {e.burst}' + (
            '' if e.overflow is None else
            f'; {e.overflow} messages exceed its room'))
    return '\n'.join([*lines, '', *format_layers(e, top), '',
                      *format_constants(e.constants)])


def format_layers(estimate: ChipEstimate, top: int = 12) -> list[str]:
    """The costliest layers and projections on a chip and their total, as
    lines of a table.

    Energies are in uJ, by cause, of one image while no other is on the chip.
    Static power belongs to the whole chip and is in the total only. ``?``
    stands where the spec lacks a figure.

    Args:
        estimate (ChipEstimate): What to show.
        top (int): Number of rows to list. Where no energy is known, those on
            the most cores come first. Defaults to 12.

    Returns:
        list[str]: Header, rule, a line for each row, rule, total.

    Example:
        >>> from mmsnn.hardware import (Network, Population, Projection,
        ...                             estimate)
        >>> spikes = dict(max_spikes=2, spikes=(3., 1.))
        >>> network = Network(
        ...     (Population('a', (8, ), **spikes),
        ...      Population('b', (4, ), **spikes)),
        ...     (Projection('fc', 'a', 'b', 'linear', weights=32, synapses=32,
        ...                 sops=(12., 4.)), ))
        >>> lines = format_layers(estimate(network, 'loihi').on_chip[0])
        >>> ' '.join(lines[0].split())[:46]
        'layer or projection ends in cores neurons busy'
    """
    unknown = {c for row in estimate.rows for c in row.unknown}
    causes = [c for c in ENERGY_CAUSES
              if c in estimate.energy_mj or c in unknown]

    def cells(energies: dict[str, Range],
              missing: Collection[str]) -> tuple[str, ...]:
        return tuple(
            '?' if c in missing else
            format(energies[c].times(1e3), '.3g') if c in energies else ''
            for c in causes)

    def cost(row: RowCost) -> tuple[float, int]:
        return added(map(as_range, row.energy_mj.values())).high if (
            row.energy_mj) else 0., row.cores

    shown = sorted(estimate.rows, key=cost, reverse=True)[:top]
    rows = [
        (row.name, row.target, f'{row.cores:,}',
         f'{row.neurons:,}' if row.neurons else '', row.limited_by,
         '' if row.utilisation is None else format(row.utilisation, '.2g'),
         *cells(row.energy_mj, row.unknown)) for row in shown
    ]
    total = ('total', '', f'{estimate.cores:,}', '', '', '',
             *cells(estimate.energy_mj, unknown))
    header = ('layer or projection', 'ends in', 'cores', 'neurons',
              'limited by', 'busy', *(f'{cause}, uJ' for cause in causes))
    return _table(header, rows, total, 2, len(estimate.rows) - len(shown),
                  'rows')


def format_constants(constants: Sequence[Constant]) -> list[str]:
    """The figures of a chip spec that an estimate used, with unit, status
    and source.

    Args:
        constants (Sequence[Constant]): ``constants`` of an estimate.

    Returns:
        list[str]: A heading and the figures, wrapped to 100 characters; no
        line if there is none.

    Example:
        >>> from mmsnn.hardware.chips.figures import Constant
        >>> mac = Constant('fp32.mac', 4.6, 'pJ', 'Horowitz 2014',
        ...                'reported', [])
        >>> format_constants([mac])
        ['Figures used:', '  fp32.mac = 4.6 pJ (reported: Horowitz 2014)']
    """
    lines = ['Figures used:'] if constants else []
    for c in constants:
        lines += textwrap.wrap(str(c), 100, initial_indent='  ',
                               subsequent_indent='    ')
    return lines


def _table(header: Sequence[str], rows: Sequence[Sequence[str]],
           total: Sequence[str], left: int, hidden: int,
           what: str) -> list[str]:
    """Aligned lines, the first ``left`` columns to the left. A column that
    holds nothing but zeros is left out."""
    kept = [i for i, column in enumerate(zip(*rows, total))
            if any(cell not in ('', '0') for cell in column)]
    header, total, *rows = ([cells[i] for i in kept]
                            for cells in (header, total, *rows))
    left = sum(i < left for i in kept)
    widths = [max(map(len, column)) for column in zip(header, *rows, total)]

    def line(cells: Sequence[str]) -> str:
        return '  '.join(
            f'{cell:{"<" if i < left else ">"}{width}}'
            for i, (cell, width) in enumerate(zip(cells, widths))).rstrip()

    rule = '-' * (sum(widths) + 2 * (len(widths) - 1))
    more = [f'... and {hidden} more {what}'] if hidden else []
    return [line(header), rule, *map(line, rows), *more, rule, line(total)]


def _short(key: str) -> str:
    form, precision = key.rsplit('_', 1)
    names = {
        'spiking': 'spiking',
        'formula': 'FL x r',
        'float_twin': 'twin',
        'quantised_twin': 'twin'
    }
    return f'{names[form]} {precision}'


def write_operations_csv(path: str | Path,
                         estimate: OperationsEstimate) -> None:
    """Write a CSV file, whole or not at all, with a line for each op: its
    counts and its energies in mJ, per image.

    Args:
        path (str | Path): The file.
        estimate (OperationsEstimate): What to write. If one of its energies
            is a range, each has two columns, ``_low_mj`` and ``_high_mj``.
    """
    ends = ('', ) if estimate.exact else ('_low', '_high')
    table = io.StringIO()
    writer = csv.writer(table, lineterminator='\n')
    writer.writerow(('module', 'kind', 'op', 'spiking', 'rate', *COUNTS,
                     *(f'{key}{end}_mj' for key in estimate.keys
                       for end in ends), 'note'))
    for layer in estimate.layers:
        writer.writerow(
            (layer.module, layer.kind, layer.op, int(layer.spiking),
             layer.rate, *(getattr(layer, name) for name in COUNTS),
             *(end for key in estimate.keys
               for end in as_range(layer.energy_mj[key]).ends[:len(ends)]),
             layer.note))
    write_whole(path, table.getvalue())


def write_chips_csv(path: str | Path,
                    estimates: Sequence[ChipEstimate]) -> None:
    """Write a CSV file, whole or not at all, with a line for each layer or
    projection on cores and each cause of its energy, in mJ per image.

    Args:
        path (str | Path): The file.
        estimates (Sequence[ChipEstimate]): What to write, one per chip and
            timing. An energy that lacks a figure is an empty field.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator='\n')
    writer.writerow(('chip', 'timing', 'name', 'kind', 'target', 'cores',
                     'neurons', 'limited_by', 'fits', 'low_busy', 'high_busy',
                     'cause', 'low_mj', 'high_mj'))
    for e in estimates:
        for row in e.rows:
            energies = {**row.energy_mj, **dict.fromkeys(row.unknown)}
            for cause, energy in energies.items():
                writer.writerow(
                    (e.chip, e.timing, row.name, row.kind, row.target,
                     row.cores, row.neurons, row.limited_by,
                     int(not row.reasons), *_ends(row.utilisation), cause,
                     *_ends(energy)))
    write_whole(path, table.getvalue())


def _ends(value: Range | None) -> tuple:
    """Both ends; empty where nothing is known."""
    return ('', '') if value is None else value.ends
