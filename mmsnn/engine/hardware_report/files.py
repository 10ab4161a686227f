"""The report on hardware as HTML, JSON and CSV."""

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmsnn.files import dump_json, write_whole
from mmsnn.hardware.amounts import plain
from mmsnn.visualization import HardwareReport, write_hardware_report
from mmsnn.visualization.metrics import json_metrics


def write_hardware_files(folder: Path, report: HardwareReport) -> Path:
    """Write a report on hardware in every form that it has.

    ``report.html`` shows it with its pictures, ``hardware.json`` holds all of
    it, ``trace.json`` the op trace. Tables are ``layers.csv`` (memory traffic
    by op), ``ops_CHIP.csv`` (energy by operation) and ``chips.csv`` (energy on
    cores).

    Args:
        folder (Path): Where to write; it is made if it is missing.
        report (HardwareReport): What to write.

    Returns:
        Path: The HTML file.
    """
    report.trace.save(folder / 'trace.json')
    dump_json(
        folder / 'hardware.json',
        dict(
            title=report.title,
            images=report.images,
            **report.estimate.to_dict(),
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
            metrics=json_metrics(report.metrics),
            points=list(report.points),
            provenance=dict(report.provenance)))
    _write_csv(folder / 'layers.csv', [asdict(t) for t in report.traffic])
    report.estimate.write_tables(folder)
    return write_hardware_report(folder / 'report.html', report)[0]


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    table = io.StringIO()
    if rows:
        writer = csv.DictWriter(table, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    write_whole(path, table.getvalue())
