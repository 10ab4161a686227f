"""Firing while input still arrives, beside the lossless form."""

from dataclasses import dataclass

from mmsnn.hardware.chips.figures import MissingFigureError
from mmsnn.hardware.chips.spec import Chip
from mmsnn.hardware.network.from_trace import network_from_trace
from mmsnn.hardware.on_chip.estimate import estimate_on_chip, supported_timings
from mmsnn.hardware.operations.estimate import estimate
from mmsnn.trace import OpTrace

from .amounts import Amount


@dataclass(frozen=True)
class Beside:
    """One amount in both forms.

    Attributes:
        what (str): With its unit.
        lossless (float | Range | None): Where a layer fires when all of its
            input has arrived; None if a figure of the chip is missing.
        free_running (float | Range | None): Where it fires before.
    """

    what: str
    lossless: Amount | None
    free_running: Amount | None

    def __str__(self) -> str:
        values = ['not measured' if v is None else format(v, '.4g')
                  for v in (self.lossless, self.free_running)]
        return f'{self.what}: {values[1]} free running, {values[0]} lossless'


def beside_lossless(lossless: OpTrace, free: OpTrace,
                    chips: list[Chip], **options) -> list[Beside]:
    """Spikes, additions, energy and time of both forms.

    Args:
        lossless (OpTrace): Of some images.
        free (OpTrace): Of the same images, from
            :func:`mmsnn.conversion.run_free_running`.
        chips (list[Chip]): Those with costs of operations give energies;
            those with cores that run without a barrier energy and time.
        **options: For :func:`mmsnn.hardware.estimate_on_chip`.

    Example:
        >>> import torch
        >>> from mmsnn.conversion import run_free_running
        >>> from mmsnn.hardware import load_chip
        >>> from mmsnn.layers import SpikeLinear
        >>> fc = SpikeLinear(2, 3, neuron=dict(type='mmsnn.SFANeuron'))
        >>> run = run_free_running(fc.eval(), torch.tensor([[1., 2.]]))
        >>> for row in beside_lossless(run.lossless, run.trace,
        ...                            [load_chip('cmos45')])[:2]:
        ...     print(row)
        spikes per neuron: 1.5 free running, 1.5 lossless
        additions that spikes cause: 9 free running, 9 lossless
    """
    rows = [
        Beside('spikes per neuron', *(
            sum(r.emitted for r in t) / max(1, t.neurons)
            for t in (lossless, free))),
        Beside('additions that spikes cause', *(
            t.per_image('sops') for t in (lossless, free)))
    ]
    for chip in chips:
        rows += _operations(lossless, free, chip)
        if chip.has_cores and 'asynchronous' in supported_timings(chip):
            rows += _time(lossless, free, chip, options)
    return rows


def _operations(lossless: OpTrace, free: OpTrace,
                chip: Chip) -> list[Beside]:
    try:
        a, b = estimate(lossless, chip), estimate(free, chip)
    except MissingFigureError:  # a chip with cores, or one without figures
        return []
    return [
        Beside(f'{r.title}, {chip.name}, mJ', r.energy_mj,
               b[r.key].energy_mj)
        for r in a.results if r.key.startswith('spiking')
    ]


def _time(lossless: OpTrace, free: OpTrace, chip: Chip,
          options: dict) -> list[Beside]:
    a, b = (
        estimate_on_chip(
            network_from_trace(t), chip, timing='asynchronous', mode=mode,
            missing='report', **options)
        for t, mode in ((lossless, 'lossless'), (free, 'free_running')))
    return [
        Beside(f'latency, {chip.name}, asynchronous, ms', a.latency_ms,
               b.latency_ms),
        Beside(f'energy of one image alone, {chip.name}, asynchronous, mJ',
               a.total_mj, b.total_mj)
    ]
