"""The report on hardware for a terminal."""

from mmsnn.hardware.tables import format_chip, format_constants, operation_rows
from mmsnn.visualization import HardwareReport


def format_report(report: HardwareReport, top: int = 12) -> list[str]:
    """Write a report as text.

    Args:
        report (HardwareReport): What to show.
        top (int): Number of layers to list for each chip, the costliest
            first. Defaults to 12.

    Returns:
        list[str]: Lines for a terminal.
    """
    lines = [report.title, report.description, '']
    for e in report.estimate.on_chip:
        lines += [*format_chip(e, top).splitlines(), '']
    for s in report.chip_spreads:
        lines += [f'{s.chip}, {s.timing}, over images: {what}: {value}'
                  for what, value in s.in_words().items()]
    for e in report.estimate.operations:
        lines.append(f'{e.title}:')
        for result in e.results:
            spread = report.spreads[e.chip].get(result.key)
            lines.append(f'  {result.title}: '
                         f'{spread or format(result.energy_mj, ".4g")} mJ')
        lines += [f'  {text}' for text in e.verdicts]
        lines += [f'  {text}' for text in e.assumptions
                  if text.startswith('Memory')]
        lines += ['', *operation_rows(e, top), '',
                  *format_constants(e.constants), '']
    lines += [f'{k}: not measured: {v}'
              for k, v in report.estimate.failed.items()]
    lines.append(f'spikes per neuron and image: {report.rates["network"]}'
                 if report.rates else 'rates: not measured')
    lines.append(str(report.implied) if report.implied else
                 'implied spike count: not measured: no reported power')
    for h in report.hidden:
        lines.append(f'multiplications without spikes, {h.kind}: '
                     f'{h.macs:,.0f} MACs, {h.energy_mj:.3g} mJ')
    if report.free_running:
        lines.append(f'free running: {report.free_running}')
        lines += [f'  {row}' for row in report.beside_lossless]
    lines += [f'{k}: {v:.4g}' for k, v in report.metrics.items()]
    return lines
