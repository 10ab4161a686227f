"""How much energy and rates differ between images."""

import math
from dataclasses import dataclass

from scipy import stats

from mmsnn.trace import OpTrace, is_spiking_synapse

from .counts import (
    ACTIVATION_READS,
    ADDS,
    COMPARISONS,
    MEMORY_CAUSES,
    OTHER,
    REAL_MACS,
    STATE_READS,
    STATE_WRITES,
    SYNAPSE_ACS,
    SYNAPSE_MACS,
    UPDATES,
    WEIGHT_READS,
)
from .figures import bounds
from .results import EnergyResult, Estimate

#: Cause of energy -> amount of which a trace keeps variances.
_AMOUNTS = {
    SYNAPSE_ACS: 'sops',
    SYNAPSE_MACS: 'synapse_macs',
    REAL_MACS: 'real_macs',
    ADDS: 'adds',
    COMPARISONS: 'comparisons',
    OTHER: 'other',
    UPDATES: 'updates',
}

#: Amount -> the accesses to memory of one.
_ACCESSES = {
    'sops': (WEIGHT_READS, STATE_READS, STATE_WRITES),
    'synapse_macs': (WEIGHT_READS, ACTIVATION_READS),
    'updates': (STATE_READS, STATE_WRITES),
}

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """Mean over images, and how sure it is.

    Attributes:
        mean (float): Mean per image.
        std (float | None): Standard deviation between images; None if there
            was a single run.
        low (float | None): Lower end of the mean's 95% confidence interval
            (Student's t; images are taken to be drawn at random).
        high (float | None): Its upper end.
        runs (int): Runs of the model.
        images (int): Images in all of them. Where runs hold several images,
            the deviation between images is that between runs, scaled.
    """

    mean: float
    std: float | None
    low: float | None
    high: float | None
    runs: int
    images: int

    def __str__(self) -> str:
        if self.std is None:
            return f'{self.mean:.4g} (one run: no deviation known)'
        return (f'{self.mean:.4g}, standard deviation {self.std:.2g}, 95% '
                f'interval of the mean {self.low:.4g} to {self.high:.4g} '
                f'({self.images} images)')


def spread(mean: float, std: float | None, runs: int, images: int) -> Spread:
    """Add the confidence interval of the mean.

    Example:
        >>> str(spread(3.0, 1.0, 4, 4))  # 3.182 standard errors of 1/2
        '3, standard deviation 1, 95% interval of the mean 1.409 to 4.591 (4
        images)'
    """
    if std is None or runs < 2:
        return Spread(mean, None, None, None, runs, images)
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, runs - 1)
    half = quantile * std / math.sqrt(images)
    return Spread(mean, std, float(mean - half), float(mean + half), runs,
                  images)


def energy_spreads(trace: OpTrace,
                   estimate: Estimate) -> dict[str, Spread]:
    """Of the energy in spike-train form, mJ per image, by key of the result.

    Args:
        trace (OpTrace): What the estimate is of.
        estimate (Estimate): From :func:`mmsnn.hardware.estimate`.

    Returns:
        dict[str, Spread]: Without results that are ranges: estimate at both
        ends of the chip (``chip.at('low')``, ``chip.at('high')``) for those.
    """
    statistics, found = trace.statistics, {}
    for result in estimate.results:
        if not result.key.startswith('spiking') or not bounds(
                result.energy_mj).exact:
            continue
        found[result.key] = spread(result.energy_mj,
                                   statistics.std(_prices(result)),
                                   statistics.runs, statistics.images)
    return found


def _prices(result: EnergyResult) -> dict[str, float]:
    """mJ of one of each amount, with its accesses to memory."""
    each = {
        cause: energy / result.counts[cause]
        for cause, energy in result.causes.items()
    }
    prices = {
        _AMOUNTS[cause]: price
        for cause, price in each.items() if cause not in MEMORY_CAUSES
    }
    # A weight and the operand that takes its place cost the same.
    fetch = each.get(WEIGHT_READS, each.get(ACTIVATION_READS, 0.0))
    for amount, accesses in _ACCESSES.items():
        prices[amount] = prices.get(amount, 0.0) + sum(
            fetch if cause in (WEIGHT_READS, ACTIVATION_READS) else each.get(
                cause, 0.0) for cause in accesses)
    return prices


def rate_spreads(trace: OpTrace) -> dict[str, Spread]:
    """Of the rate of every spiking synapse, and of the spikes per neuron of
    the whole network (under ``network``). Modules that have several synapses
    are numbered."""
    statistics = trace.statistics
    runs, images = statistics.runs, statistics.images
    if not images or not trace.neurons:
        return {}
    found = {}
    neurons = trace.neurons / trace.images
    fired = sum(r.emitted for r in trace) / trace.images
    deviation = statistics.std(dict(spikes=1 / neurons))
    found['network'] = spread(fired / neurons, deviation, runs, images)
    for r in trace:
        if is_spiking_synapse(r) and r.in_elements:
            name, number = r.module, 1
            while name in found:
                number += 1
                name = f'{r.module}#{number}'
            inputs = r.in_elements / r.timesteps / images
            std = r.std('in_spikes', runs, images) / inputs if runs > 1 \
                else None
            found[name] = spread(r.rate, std, runs, images)
    return found
