"""What free running (firing while input still arrives) costs, beside the
lossless form."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmsnn.trace import OpTrace

from .amounts import Amount
from .chips.figures import MissingFigureError
from .chips.spec import Chip, load_chips
from .network.from_trace import network_from_trace
from .on_chip.estimate import estimate_on_chip, supported_timings
from .operations.estimate import estimate_operations


@dataclass(frozen=True)
class FormComparison:
    """One amount in both forms.

    Attributes:
        what (str): Name of the amount, with its unit.
        lossless (float | Range | None): The amount where a layer fires when
            all of its input has arrived; None if the chip lacks a figure.
        free_running (float | Range | None): The amount where a layer fires
            before that; None as above.
    """

    what: str
    lossless: Amount | None
    free_running: Amount | None

    def __str__(self) -> str:
        values = ['not measured' if v is None else format(v, '.4g')
                  for v in (self.lossless, self.free_running)]
        return f'{self.what}: {values[1]} free running, {values[0]} lossless'


def compare_forms(lossless: OpTrace, free: OpTrace,
                  chips: Iterable[str | Path | Chip],
                  **options) -> list[FormComparison]:
    """Compare spikes, additions, energy and time of both forms.

    Args:
        lossless (OpTrace): Ops of some images in the lossless form.
        free (OpTrace): Ops of the same images while neurons run freely, from
            :func:`mmsnn.conversion.run_free_running`.
        chips (Iterable[str | Path | Chip]): Names or paths of chip specs, or
            specs. One that prices operations adds energies; one with cores
            that run without a barrier adds energy and time; others add
            nothing.
        **options: ``weights`` and ``weight_bits`` of
            :func:`mmsnn.hardware.estimate`.

    Returns:
        list[FormComparison]: One for each amount; per image, in mJ and ms.

    Example:
        >>> import torch
        >>> from mmsnn.conversion import run_free_running
        >>> from mmsnn.layers import SpikeLinear
        >>> fc = SpikeLinear(2, 3, neuron=dict(type='mmsnn.SFANeuron'))
        >>> run = run_free_running(fc.eval(), torch.tensor([[1., 2.]]))
        >>> for row in compare_forms(run.lossless, run.trace, ['cmos45'])[:2]:
        ...     print(row)
        spikes per neuron: 1.5 free running, 1.5 lossless
        additions that spikes cause: 9 free running, 9 lossless
    """
    rows = [
        FormComparison('spikes per neuron', *(
            t.total('emitted') / max(1, t.neurons)
            for t in (lossless, free))),
        FormComparison('additions that spikes cause', *(
            t.per_image('sops') for t in (lossless, free)))
    ]
    for chip in load_chips(chips):
        if chip.prices_operations:
            rows += _operations(lossless, free, chip)
        if chip.has_cores and 'asynchronous' in supported_timings(chip):
            rows += _time(lossless, free, chip, options)
    return rows


def _operations(lossless: OpTrace, free: OpTrace,
                chip: Chip) -> list[FormComparison]:
    try:
        a, b = (estimate_operations(t, chip) for t in (lossless, free))
    except MissingFigureError:
        return []
    return [
        FormComparison(f'{r.title}, {chip.name}, mJ', r.energy_mj,
                       b[r.key].energy_mj)
        for r in a.results if r.key.startswith('spiking')
    ]


def _time(lossless: OpTrace, free: OpTrace, chip: Chip,
          options: dict) -> list[FormComparison]:
    (a, ), (b, ) = (
        estimate_on_chip(
            network_from_trace(t), chip, timing='asynchronous', mode=mode,
            missing='report', **options)
        for t, mode in ((lossless, 'lossless'), (free, 'free_running')))
    return [
        FormComparison(f'latency, {chip.name}, asynchronous, ms',
                       a.latency_ms, b.latency_ms),
        FormComparison(
            f'energy of one image alone, {chip.name}, asynchronous, mJ',
            a.total_mj, b.total_mj)
    ]
