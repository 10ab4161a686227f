"""The result of an estimate on a chip, and its parts."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmsnn.hardware.amounts import Range, plain
from mmsnn.hardware.chips.figures import Constant
from mmsnn.hardware.timing.asynchronous import Burst


@dataclass(frozen=True)
class RowCost:
    """One population, or one projection, on a chip; means per image.

    Attributes:
        name (str): Module path.
        kind (str): ``neuron`` or ``real`` (a population), or the op of the
            projection.
        target (str): Where the projection ends; empty for a population.
        cores (int): Cores of the population, or of the projection's target.
        neurons (int): Neurons of the population; 0 for a projection.
        limited_by (str): The limit which would need the most cores if it were
            the only one; empty if one core holds the population.
        reasons (tuple[str]): Why it does not fit; empty if it does.
        events (dict[str, float]): Event -> number of them for a single image.
        energy_mj (dict[str, Range]): Cause -> mJ of a single image.
        utilisation (Range | None): Part of the interval of a pipeline in
            which the least busy core of the population works, and that of the
            most busy one. None where a fixed length of sub-steps hides it, and
            for a projection.
        unknown (tuple[str]): Causes whose figure is missing, so that their
            energy is not in ``energy_mj``.
    """

    name: str
    kind: str
    target: str
    cores: int
    neurons: int
    limited_by: str
    reasons: tuple[str, ...]
    events: dict[str, float]
    energy_mj: dict[str, Range]
    utilisation: Range | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChipEstimate:
    """Energy and time per image of a network on a chip.

    A *single image* has the chip to itself. In a *pipeline* images follow each
    other: one enters before the one before it has left. A number is a
    :class:`Range`, whose ends are equal where no figure of the chip is one.

    Attributes:
        chip (str): Name of the chip spec.
        title (str): Title of the chip spec.
        images (int): Images over which the counts of the network were
            averaged.
        weights (str): ``shared`` or ``unrolled``.
        weight_bits (int): Bits of a stored weight.
        timing (str): ``synchronous`` or ``asynchronous``.
        mode (str): ``lossless`` or ``free_running``.
        fits (bool): Whether the chip can run the network as it is.
        reasons (dict[str, tuple[str]]): Layer -> why it does not fit.
        unchecked (tuple[str]): Sentences: limits that the spec does not know.
        conditions (tuple[str]): Sentences: what must happen outside the cores.
        cores (int): Number of cores that are used.
        chips (int): Number of chips that are used.
        depth (int): Windows of D sub-steps from input to output.
        substeps (int): Sub-steps that a single image takes.
        interval_substeps (int): Sub-steps between two images of a pipeline:
            T x D, times runs.
        runs (int): Runs of the network for an image.
        latency_ms (Range | None): Time that a single image takes, in ms. Like
            other results, None if a figure that it needs is missing.
        interval_ms (Range | None): Time between images of a pipeline, in ms.
        throughput (Range | None): Images per second in a pipeline.
        events (dict[str, float]): Event -> number of them for a single image.
        energy_mj (dict[str, Range]): Cause -> mJ of a single image.
        pipeline_mj (dict[str, Range]): Cause -> mJ of an image of a pipeline.
        rows (tuple[RowCost]): The same by population and projection.
        utilisation (ndarray): For each core, the part of the interval of a
            pipeline in which it works. Empty where that is hidden.
        burst (Burst | None): The fullest queue (asynchronous only).
        overflow (Range | None): Messages for which the fullest queue has no
            room; None if the spec gives no ``limits.queue``.
        missing (dict[str, str]): Result that could not be computed -> why.
        assumptions (tuple[str]): Sentences: what was assumed.
        constants (tuple[Constant]): Figures that were used.
    """

    chip: str
    title: str
    images: int
    weights: str
    weight_bits: int
    timing: str
    mode: str
    fits: bool
    reasons: dict[str, tuple[str, ...]]
    unchecked: tuple[str, ...]
    conditions: tuple[str, ...]
    cores: int
    chips: int
    depth: int
    substeps: int
    interval_substeps: int
    runs: int = 1
    latency_ms: Range | None = None
    interval_ms: Range | None = None
    throughput: Range | None = None
    events: dict[str, float] = field(default_factory=dict)
    energy_mj: dict[str, Range] = field(default_factory=dict)
    pipeline_mj: dict[str, Range] = field(default_factory=dict)
    rows: tuple[RowCost, ...] = ()
    utilisation: np.ndarray = field(
        default_factory=lambda: np.zeros(0), repr=False, compare=False)
    burst: Burst | None = None
    overflow: Range | None = None
    missing: dict[str, str] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    constants: tuple[Constant, ...] = ()

    @property
    def total_mj(self) -> Range | None:
        """mJ of a single image; None if a part of it is missing."""
        return self._total(self.energy_mj)

    @property
    def pipeline_total_mj(self) -> Range | None:
        """mJ of an image of a pipeline; None if a part of it is missing."""
        return self._total(self.pipeline_mj)

    @property
    def summary(self) -> str:
        """Whether the network fits, energy and time, in one line."""
        return (f'{self.title}: {"fits" if self.fits else "does NOT fit"}, '
                f'{self.cores:,} cores on {self.chips:,} chips, {self.timing} '
                f'{self.mode}: {_or_missing(self.total_mj)} mJ alone, '
                f'{_or_missing(self.pipeline_total_mj)} mJ in a pipeline, '
                f'{_or_missing(self.latency_ms)} ms, '
                f'{_or_missing(self.throughput)} images/s')

    def _total(self, causes: dict[str, Range]) -> Range | None:
        if not causes or any(key.startswith('energy') for key in self.missing):
            return None
        total = Range(0.0, 0.0)
        for energy in causes.values():
            total = total.plus(energy)
        return total

    def to_dict(self) -> dict[str, Any]:
        """The fields and totals as plain values, ready for JSON.

        Returns:
            dict[str, Any]: Of the utilisation it has the least, mean and most
            of all cores, and None for an infinite pressure.
        """
        raw = {
            name: plain(getattr(self, name))
            for name in self.__dataclass_fields__ if name != 'utilisation'
        }
        if self.utilisation.size:
            raw['utilisation'] = dict(
                least=float(self.utilisation.min()),
                mean=float(self.utilisation.mean()),
                most=float(self.utilisation.max()))
        if self.burst is not None and math.isinf(self.burst.pressure):
            raw['burst']['pressure'] = None  # JSON has no infinity
        raw['total_mj'] = plain(self.total_mj)
        raw['pipeline_total_mj'] = plain(self.pipeline_total_mj)
        return raw


def _or_missing(value: Range | None) -> str:
    return 'not measured' if value is None else str(value)
