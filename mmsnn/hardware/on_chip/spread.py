"""By how much energy and time on a chip differ from image to image."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmsnn.hardware.amounts import Range, Spread
from mmsnn.hardware.chips.spec import Chip, load_chip
from mmsnn.hardware.mapping.mapper import map_network
from mmsnn.hardware.network.from_trace import NetworkBuilder
from mmsnn.hardware.network.populations import FIRING_KINDS, Network
from mmsnn.trace import OpTrace

from .estimate import estimates_of_mapping, require_spikes, supported_timings
from .results import ChipEstimate


@dataclass(frozen=True)
class RangeSpread:
    """Spread over images of a result that is a :class:`Range`.

    Attributes:
        low (Spread): Spread of the lower ends.
        high (Spread): Spread of the upper ends.
    """

    low: Spread
    high: Spread

    def __str__(self) -> str:
        if self.low == self.high:
            return str(self.low)
        return f'low end {self.low}; high end {self.high}'


@dataclass(frozen=True)
class ChipSpread:
    """Spread over images of what a chip needs for each of them.

    Each image is estimated with its own counts, on the same cores. A result
    is None where a figure is missing.

    Attributes:
        chip (str): Name of the chip spec.
        timing (str): ``synchronous`` or ``asynchronous``.
        energy_mj (RangeSpread | None): mJ of a single image, which has the
            chip to itself.
        pipeline_mj (RangeSpread | None): mJ of an image in a pipeline of
            images like it.
        latency_ms (RangeSpread | None): ms that a single image takes.
        interval_ms (RangeSpread | None): ms between images in a pipeline of
            images like it.
    """

    chip: str
    timing: str
    energy_mj: RangeSpread | None
    pipeline_mj: RangeSpread | None
    latency_ms: RangeSpread | None
    interval_ms: RangeSpread | None

    def in_words(self) -> dict[str, str]:
        """The spreads that are known.

        Returns:
            dict[str, str]: Name of the result -> its spread.
        """
        found = {
            'mJ, alone': self.energy_mj,
            'mJ, pipeline': self.pipeline_mj,
            'latency, ms': self.latency_ms,
            'interval, ms': self.interval_ms,
        }
        return {k: str(v) for k, v in found.items() if v is not None}


def chip_spreads(trace: OpTrace,
                 chip: str | Path | Chip,
                 weights: str = 'shared',
                 mode: str = 'lossless',
                 weight_bits: int = 8,
                 missing: str = 'report',
                 most: int | None = None) -> list[ChipSpread]:
    """Mean, standard deviation and 95% interval over images.

    The network is mapped once, with mean counts. Then each image is estimated
    as :func:`estimate_on_chip` does, with its own spikes and additions. Which
    neurons of a layer fire them is taken from the first image.

    The busiest core decides a time, and it differs from image to image. So
    the mean time over images is at least the time at mean counts.

    Args:
        trace (OpTrace): Of images that were run one by one.
        chip (str | Path | Chip): A spec with cores.
        weights (str): ``shared`` or ``unrolled``.
        mode (str): ``lossless`` or ``free_running``.
        weight_bits (int): Bits of a stored weight.
        missing (str): ``report``: a result that lacks a figure is None; or
            ``raise``.
        most (int, optional): Number of images that are estimated. Defaults to
            None: all that the trace keeps
            (:data:`mmsnn.trace.MOST_IMAGES`).

    Returns:
        list[ChipSpread]: One for each timing that the chip supports.

    Raises:
        ValueError: If an argument is not valid or the trace does not hold
            the counts of each image.
        MissingFigureError: If a figure is missing and ``missing='raise'``.

    Example:
        >>> import torch
        >>> from mmsnn.conversion import to_spike_train
        >>> from mmsnn.layers import SpikeLinear
        >>> fc = SpikeLinear(2, 3, neuron=dict(type='mmsnn.SFANeuron'))
        >>> with to_spike_train(fc, 'counts') as spiking:
        ...     for spikes in ([1., 0.], [1., 1.]):  # 3 and 6 additions
        ...         _ = spiking(torch.tensor([spikes]))
        >>> found, = chip_spreads(spiking.trace, 'tianjic')
        >>> # 4.5 on average, and 2 membranes; 1.54 pJ each.
        >>> print(f'{found.energy_mj.low.mean * 1e9 / (4.5 + 2):.2f}')
        1.54
    """
    chip = load_chip(chip)
    timings = supported_timings(chip, mode)
    whole, each = networks_by_image(trace, most)
    require_spikes(whole)
    mapping = map_network(whole, chip, weights, weight_bits)
    by_image = [
        estimates_of_mapping(
            mapping.with_counts(network), timings, mode, missing)
        for network in each
    ]
    return [_chip_spread(list(estimates)) for estimates in zip(*by_image)]


def _chip_spread(estimates: list[ChipEstimate]) -> ChipSpread:
    return ChipSpread(
        estimates[0].chip, estimates[0].timing,
        _range_spread([e.total_mj for e in estimates]),
        _range_spread([e.pipeline_total_mj for e in estimates]),
        _range_spread([e.latency_ms for e in estimates]),
        _range_spread([e.interval_ms for e in estimates]))


def _range_spread(ranges: Sequence[Range | None]) -> RangeSpread | None:
    if None in ranges:
        return None
    ends = []
    for values in zip(*(r.ends for r in ranges)):
        std = statistics.stdev(values) if len(values) > 1 else None
        ends.append(Spread.of(statistics.fmean(values), std, len(values),
                           len(values)))
    return RangeSpread(*ends)


def networks_by_image(trace: OpTrace, most: int | None = None
                      ) -> tuple[Network, list[Network]]:
    """The network of a trace with mean counts, and with those of each image.

    All have the same populations and projections. Additions of an image are
    exact in total; within an image each spike of a sub-step is taken to cause
    as many of them as on average.

    Args:
        trace (OpTrace): Of images that were run one by one.
        most (int, optional): Number of images. Defaults to None: all that the
            trace keeps.

    Returns:
        tuple[Network, list[Network]]: The mean, and a network for each image.

    Raises:
        ValueError: If the trace does not hold the counts of each image.
    """
    builder = NetworkBuilder(trace)
    whole = builder.network()
    records = builder.graph.records
    used = [i for i in builder.graph.sources if records[i].spiking]
    images = max(len(records[i].by_image) for i in used)
    if trace.statistics.runs != trace.images or not images:
        raise ValueError('the op trace does not hold the counts of each '
                         'image: record images one by one (batch size 1)')
    for i in used:
        if len(records[i].by_image) != images:
            raise ValueError(
                f'{records[i].module} did not run on every image of the op '
                'trace, so the counts of each image are not known')
    return whole, [
        _of_image(builder, whole, k) for k in range(min(images,
                                                        most or images))
    ]


def _of_image(builder: NetworkBuilder, whole: Network, k: int) -> Network:
    """The network with the counts of one image."""
    records, runs = builder.graph.records, whole.runs
    made_by = {name: i for i, name in builder.names.items()}
    populations = tuple(
        builder.firing(made_by[p.name], p,
                       records[made_by[p.name]].by_image[k], runs)
        if p.kind in FIRING_KINDS else p for p in whole.populations)
    named = {p.name: p for p in populations}
    projections = []
    for i, p in zip(builder.made_by, whole.projections):
        if p.sops:
            share = p.total_sops * builder.images / max(records[i].sops, 1)
            total = share * records[i].by_image[k][0] / runs
            p = replace(
                p,
                sops=_over_substeps(p.sops, total, whole[p.source].spikes,
                                    named[p.source].spikes))
        if p.spikes_read:
            fired = whole[p.source].spikes, named[p.source].spikes
            p = replace(
                p,
                spikes_read=tuple(
                    read * now / mean if mean else 0.0
                    for read, mean, now in zip(p.spikes_read, *fired)))
        projections.append(p)
    return Network(populations, tuple(projections), 1, runs, whole.notes,
                   whole.remainder)


def _over_substeps(sops: tuple[float, ...], total: float,
                   mean: tuple[float, ...],
                   spikes: tuple[float, ...]) -> tuple[float, ...]:
    """Additions of an image in each sub-step, whose sum is ``total``. They are
    proportional to its spikes, and to the additions per spike of the mean."""
    if not sum(spikes):
        return ()
    if len(sops) < len(spikes):
        return (total, )
    fall = [a * s / m if m else 0.0 for a, s, m in zip(sops, spikes, mean)]
    whole = sum(fall)
    return tuple(total * a / whole for a in fall) if whole else (total, )
