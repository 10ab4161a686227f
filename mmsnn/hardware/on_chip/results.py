"""What an estimate on a chip consists of."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmsnn.hardware.amounts import Range, plain
from mmsnn.hardware.chips.figures import Constant
from mmsnn.hardware.timing.asynchronous import Burst


@dataclass(frozen=True)
class RowCost:
    """One layer, or one projection, on a chip; all means per image.

    Attributes:
        name (str): Module path.
        kind (str): ``neuron``, ``real`` (populations) or the op of the
            projection.
        target (str): Where the projection ends; empty for populations.
        cores (int): Cores of the population (of the target).
        neurons (int): Neurons of the population; 0 for projections.
        limited_by (str): The limit that alone asks for the most cores.
        reasons (tuple[str]): Why it does not fit; empty if it does.
        events (dict[str, float]): Events by name, for one image alone.
        energy_mj (dict[str, Range]): mJ by cause, for one image alone.
        utilisation (Range | None): Least and most busy core of the
            population while images follow each other; None where a fixed
            time step hides it, and for projections.
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

    A number is a :class:`Range`; where no figure of the chip is one, both
    ends are equal.

    Attributes:
        chip (str): Name of the chip spec.
        title (str): Its title.
        images (int): Images that the network's means are over.
        weights (str): ``shared`` or ``unrolled``.
        weight_bits (int): Bits of a stored weight.
        timing (str): ``synchronous`` or ``asynchronous``.
        mode (str): ``lossless`` or ``free_running``.
        fits (bool): Whether the chip can run the network as it is.
        reasons (dict[str, tuple[str]]): Why not, by layer.
        unchecked (tuple[str]): Limits that the spec does not know.
        conditions (tuple[str]): What must happen outside the cores.
        cores (int): Cores that are used.
        chips (int): Chips that they fill.
        depth (int): Windows of D sub-steps from input to output.
        substeps (int): Sub-steps of an image alone.
        interval_substeps (int): Sub-steps between images (T x D, times
            runs).
        runs (int): Runs of the network for an image.
        latency_ms (Range | None): Of one image alone.
        interval_ms (Range | None): Between images that follow each other.
        throughput (Range | None): Images per second in a pipeline.
        events (dict[str, float]): Events per image by name, alone.
        energy_mj (dict[str, Range]): mJ by cause, one image alone.
        pipeline_mj (dict[str, Range]): mJ by cause, images following each
            other.
        rows (tuple[RowCost]): By population and projection.
        utilisation (ndarray): Of each core while images follow each other:
            busy time over the interval. Empty where it is hidden.
        burst (Burst | None): The fullest queue (asynchronous only).
        overflow (Range | None): Messages of the fullest queue beyond its
            room; None if the spec gives no ``limits.queue``.
        missing (dict[str, str]): Results that could not be worked out, and
            why.
        assumptions (tuple[str]): What was assumed.
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
        """mJ of one image alone; None if a part of it is missing."""
        return self._total(self.energy_mj)

    @property
    def pipeline_total_mj(self) -> Range | None:
        """mJ per image in a pipeline; None if a part of it is missing."""
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
        """Plain dicts, lists, texts and numbers, ready for JSON; of the
        utilisation least, mean and most; None for an infinite pressure."""
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
