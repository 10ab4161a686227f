"""An estimate as a terminal table, as JSON and as CSV."""

import csv
import io
import textwrap
from collections.abc import Iterable
from pathlib import Path

from mmsnn.files import dump_json, write_whole

from .figures import Amount, bounds
from .results import Estimate

_COUNTS = ('dense_ops', 'sops', 'macs', 'adds', 'comparisons', 'other')


def format_table(estimate: Estimate, top: int = 12) -> str:
    """The costliest ops, totals and comparisons, for a terminal.

    Args:
        estimate (Estimate): What to show.
        top (int): Number of ops to list, the costliest in the first result
            first.

    Example:
        >>> from mmsnn.conversion.trace import OpRecord, OpTrace
        >>> from mmsnn.hardware import estimate
        >>> fc = OpRecord('fc', 'linear', 'linear', spiking=True,
        ...               dense_ops=10, sops=2, in_spikes=2, in_elements=10,
        ...               max_spikes=4)
        >>> table = format_table(estimate(OpTrace([fc], images=1)))
        >>> 'wins' in table
        True
    """
    results = estimate.results
    first = results[0].key
    layers = sorted(
        estimate.layers, key=lambda x: bounds(x.energy_mj[first]).high,
        reverse=True)[:top]
    width = max([len(x.module) for x in layers] + [12])
    title = (f'Energy on {estimate.title} ({estimate.chip}), mJ per image, '
             f'mean of {estimate.images} images')
    header = (f'{"op":<{width}}  {"kind":<11} {"rate":>6} {"SOPs":>9} '
              f'{"MACs":>9} ')
    wide = 12 if estimate.exact else 20

    def cells(energies: Iterable[Amount]) -> str:
        return ' '.join(f'{format(e, ".3g"):>{wide}}' for e in energies)

    header += ' '.join(f'{_short(r.key):>{wide}}' for r in results)
    lines = [title, '', header, '-' * len(header)]
    for x in layers:
        rate = f'{x.rate:6.3f}' if x.spiking else '  real'
        energies = cells(x.energy_mj[r.key] for r in results)
        lines.append(f'{x.module:<{width}}  {x.kind:<11} {rate} '
                     f'{x.sops:9.3g} {x.macs:9.3g} {energies}')
    rest = len(estimate.layers) - len(layers)
    if rest:
        lines.append(f'... and {rest} more ops')
    sops = sum(x.sops for x in estimate.layers)
    macs = sum(x.macs for x in estimate.layers)
    totals = cells(r.energy_mj for r in results)
    total = f'{"total":<{width}}  {"":<11} {"":>6} {sops:9.3g} {macs:9.3g} '
    lines += ['-' * len(header), total + totals, '']
    texts = estimate.verdicts
    texts += [
        f'{key}: not measured: {reason}'
        for key, reason in estimate.missing.items()
    ]
    texts += [t for t in estimate.assumptions if t.startswith('Memory')]
    texts.append('Not charged: ' + '; '.join(estimate.not_charged) + '.')
    for text in texts:
        lines += textwrap.wrap(text, width=len(header))
    return '\n'.join(lines)


def _short(key: str) -> str:
    form, precision = key.rsplit('_', 1)
    names = {
        'spiking': 'spiking',
        'formula': 'FL x r',
        'float_twin': 'twin',
        'quantised_twin': 'twin'
    }
    return f'{names[form]} {precision}'


def write_json(path: str | Path, estimate: Estimate) -> None:
    """Write everything the estimate holds as JSON, whole or not at all."""
    dump_json(path, estimate.to_dict())


def write_csv(path: str | Path, estimate: Estimate) -> None:
    """Write one line per op (counts and mJ per image; two columns for a
    range) as CSV, whole or not at all."""
    ends = ('', ) if estimate.exact else ('_low', '_high')
    table = io.StringIO()
    writer = csv.writer(table, lineterminator='\n')
    writer.writerow(('module', 'kind', 'op', 'spiking', 'rate', *_COUNTS,
                     *(f'{key}{end}_mj' for key in estimate.keys
                       for end in ends), 'note'))
    for layer in estimate.layers:
        writer.writerow(
            (layer.module, layer.kind, layer.op, int(layer.spiking),
             layer.rate, *(getattr(layer, name) for name in _COUNTS),
             *(end for key in estimate.keys
               for end in bounds(layer.energy_mj[key])[:len(ends)]),
             layer.note))
    write_whole(path, table.getvalue())
