"""How a synapse is divided between the populations that it reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from mmsnn.trace import OpRecord, Reads, is_spiking_synapse

from .populations import Population

#: A population that a synapse reads, and which part of it if not simply all.
Read = tuple[Population, Reads | None]


@dataclass(frozen=True)
class Part:
    """What a synapse does with one population.

    Attributes:
        operations (Fraction): Share of its operations.
        connections (Fraction): Share of its connections.
        weights (int): Weights that these have.
        offset (int): Input channel of the op where the channels of the
            population begin.
        spikes_read (tuple[float]): As of a projection.
    """

    operations: Fraction
    connections: Fraction
    weights: int
    offset: int = 0
    spikes_read: tuple[float, ...] = ()


def divided(record: OpRecord, read: Sequence[Read], images: int,
            channels: int) -> list[Part]:
    """Divide a synapse between the populations that it reads.

    Operations follow the spikes that arrive (real values: neurons), and
    connections the inputs that a population fills. Where only a part of a
    population is read, the trace has sampled which part of its spikes that
    is; together all are those that the trace has counted at the op.

    Args:
        record (OpRecord): Of the synapse.
        read (Sequence): The populations.
        images (int): Images of the trace, times runs.
        channels (int): Input channels of the op.

    Returns:
        list[Part]: One for each population.

    Example:
        >>> record = OpRecord('fc', 'linear', 'mm', spiking=True, weights=30,
        ...                   in_spikes=4)
        >>> a, b = (Population(n, (3,), spikes=(2.,)) for n in 'ab')
        >>> half = Reads([1, 1, 3], 1, 1, spikes=[1], fired=[2], arrived=1)
        >>> [(part.operations, part.spikes_read)
        ...  for part in divided(record, [(a, None), (b, half)], 1, 4)]
        [(Fraction(1, 2), ()), (Fraction(1, 2), (2.0,))]
    """
    spikes = [_sampled(p, r) for p, r in read]
    arriving = [
        Fraction(sum(now)) * (Fraction(r.arrived, sum(r.spikes)) if r and sum(
            r.spikes) else 1) if r else Fraction(p.total_spikes)
        for (p, r), now in zip(read, spikes)
    ]
    _correct(record, read, spikes, arriving, images)
    if not is_spiking_synapse(record):
        arriving = [Fraction(p.neurons) for p, _ in read]
    filled = [Fraction(r.inputs if r else p.neurons) for p, r in read]
    numbers = [_channels(p, r) for p, r in read]
    side_by_side = len(read) > 1 and sum(numbers) == channels
    parts, offset = [], 0
    for k, (population, reads) in enumerate(read):
        weights = record.weights
        if side_by_side:
            weights = weights * numbers[k] // channels
        parts.append(
            Part(_share(arriving, k), _share(filled, k), weights, offset,
                 tuple(spikes[k]) if _in_part(reads) else ()))
        offset += numbers[k] if side_by_side else 0
    return parts


def neurons_read(reads: Reads, population: Population) -> int:
    """How many neurons of a population an op reads.

    Args:
        reads (Reads): What it reads; each neuron has an element in each time
            step.
        population (Population): The population.

    Returns:
        int: Their number; where the time steps in which they are read are not
        known, as if all were read in each.
    """
    return min(population.neurons,
               ceil(reads.elements / max(1, population.timesteps)))


def _in_part(reads: Reads | None) -> bool:
    """Whether some elements of a population are not read."""
    return reads is not None and not reads.whole


def _sampled(population: Population, reads: Reads | None) -> list[float]:
    """Mean spikes that are read in each sub-step, as far as the sample says
    which part of the population's that is."""
    spikes = list(population.spikes)
    if reads is None:
        return spikes
    fired = sum(reads.fired)
    part = sum(reads.spikes) / fired if fired else (
        reads.elements / max(1, population.neurons * population.timesteps))
    return [
        s * (reads.spikes[d] / reads.fired[d] if d < len(reads.fired)
             and reads.fired[d] else min(1.0, part))
        for d, s in enumerate(spikes)
    ]


def _correct(record: OpRecord, read: Sequence[Read],
             spikes: list[list[float]], arriving: list[Fraction],
             images: int) -> None:
    """Scale what was sampled so that in all as many spikes arrive as the
    trace has counted, no more than a population has."""
    partly = [k for k, (_, r) in enumerate(read)
              if _in_part(r) and arriving[k]]
    if not partly or not record.in_spikes:
        return
    rest = Fraction(record.in_spikes, images) - sum(
        a for k, a in enumerate(arriving) if k not in partly)
    factor = float(rest / sum(arriving[k] for k in partly))
    if factor <= 0 or abs(factor - 1) < 1e-9:
        return
    for k in partly:
        population = read[k][0]
        arriving[k] *= Fraction(factor)
        spikes[k] = [min(s * factor, most)
                     for s, most in zip(spikes[k], population.spikes)]


def _channels(population: Population, reads: Reads | None) -> int:
    """Input channels of the op that a population fills."""
    if reads is None or len(reads.lines) < 2:
        return population.shape[0]
    return sum(i >= 0 for i in reads.indices(1))


def _share(sizes: list[Fraction], k: int) -> Fraction:
    whole = sum(sizes)
    return sizes[k] / whole if whole else Fraction(1, len(sizes))
