"""The report as HTML, JSON and CSV."""

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmsnn.files import dump_json, write_whole
from mmsnn.hardware import write_csv
from mmsnn.hardware.amounts import Range, plain
from mmsnn.visualization import HardwareReport, write_hardware_report


def write_all(folder: Path, report: HardwareReport) -> Path:
    """Write ``report.html`` with its pictures, ``hardware.json``,
    ``layers.csv`` (memory traffic), ``ops_SPEC.csv`` (energies of the
    operations), ``chips.csv`` and ``trace.json``.

    Returns:
        Path: The HTML file.
    """
    report.trace.save(folder / 'trace.json')
    dump_json(
        folder / 'hardware.json',
        dict(
            title=report.title,
            images=report.images,
            estimates=[e.to_dict() for e in report.estimates],
            chips=[e.to_dict() for e in report.chips],
            failed=dict(report.failed),
            spreads={
                chip: {k: asdict(s) for k, s in found.items()}
                for chip, found in report.spreads.items()
            },
            chip_spreads=plain(report.chip_spreads),
            rates={k: asdict(s) for k, s in report.rates.items()},
            traffic=[asdict(t) for t in report.traffic],
            hidden=[asdict(h) for h in report.hidden],
            implied=asdict(report.implied) if report.implied else None,
            free_running=report.free_running,
            beside_lossless=plain(report.beside_lossless),
            metrics=report.metrics,
            points=list(report.points),
            provenance=dict(report.provenance)))
    _write_csv(folder / 'layers.csv', [asdict(t) for t in report.traffic])
    for e in report.estimates:
        write_csv(folder / f'ops_{e.chip}.csv', e)
    _write_csv(folder / 'chips.csv', [
        dict(chip=e.chip, timing=e.timing, name=row.name, kind=row.kind,
             target=row.target,
             cores=row.cores, neurons=row.neurons, limited_by=row.limited_by,
             fits=int(not row.reasons), **_ends('busy', row.utilisation),
             cause=cause, **_ends('mj', energy))
        for e in report.chips for row in e.rows
        for cause, energy in (*row.energy_mj.items(),
                              *((cause, None) for cause in row.unknown))
    ])
    return write_hardware_report(folder / 'report.html', report)[0]


def _ends(name: str, value: Range | None) -> dict[str, Any]:
    """Two columns; empty where nothing is known."""
    low, high = value or ('', '')
    return {f'low_{name}': low, f'high_{name}': high}


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    table = io.StringIO()
    if rows:
        writer = csv.DictWriter(table, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    write_whole(path, table.getvalue())
