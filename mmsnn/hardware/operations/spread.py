"""How much energy and rates differ between images."""

from mmsnn.hardware.amounts import Spread, as_range
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
from .results import EnergyResult, OperationsEstimate

#: Cause of energy -> name of the amount whose variance a trace keeps.
_AMOUNTS = {
    SYNAPSE_ACS: 'sops',
    SYNAPSE_MACS: 'synapse_macs',
    REAL_MACS: 'real_macs',
    ADDS: 'adds',
    COMPARISONS: 'comparisons',
    OTHER: 'other',
    UPDATES: 'updates',
}

#: Name of an amount -> the accesses to memory that each of it makes.
_ACCESSES = {
    'sops': (WEIGHT_READS, STATE_READS, STATE_WRITES),
    'synapse_macs': (WEIGHT_READS, ACTIVATION_READS),
    'updates': (STATE_READS, STATE_WRITES),
}


def energy_spreads(trace: OpTrace,
                   estimate: OperationsEstimate) -> dict[str, Spread]:
    """How much the energy in spike-train form differs between images.

    Args:
        trace (OpTrace): The op trace that was estimated.
        estimate (OperationsEstimate): Its estimate, one of ``operations`` of
            :func:`mmsnn.hardware.estimate`.

    Returns:
        dict[str, Spread]: Key of the result -> spread in mJ per image. A
        result that is a range is left out: for its spread, estimate with both
        ends of the chip, ``chip.at('low')`` and ``chip.at('high')``.
    """
    statistics, found = trace.statistics, {}
    for result in estimate.results:
        if not result.key.startswith('spiking') or not as_range(
                result.energy_mj).exact:
            continue
        found[result.key] = Spread.of(
            result.energy_mj, statistics.std(_prices(result)),
            statistics.runs, statistics.images)
    return found


def _prices(result: EnergyResult) -> dict[str, float]:
    """Name of an amount -> mJ of each of it, with its memory accesses."""
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
    """How much firing rates differ between images.

    Args:
        trace (OpTrace): Ops of the model, with statistics over runs.

    Returns:
        dict[str, Spread]: Module path of each spiking synapse -> spread of
        its rate (spikes per input element and image); ``network`` -> spread
        of the spikes per neuron and image of all neurons. The second synapse
        of a module is ``module#2``. Empty if the trace holds no neuron.
    """
    statistics = trace.statistics
    runs, images = statistics.runs, statistics.images
    if not images or not trace.neurons:
        return {}
    found = {}
    neurons = trace.neurons / trace.images
    fired = trace.total('emitted') / trace.images
    deviation = statistics.std(dict(spikes=1 / neurons))
    found['network'] = Spread.of(fired / neurons, deviation, runs, images)
    for r in trace:
        if is_spiking_synapse(r) and r.in_elements:
            name, number = r.module, 1
            while name in found:
                number += 1
                name = f'{r.module}#{number}'
            inputs = r.in_elements / r.timesteps / images
            std = r.std('in_spikes', runs, images) / inputs if runs > 1 \
                else None
            found[name] = Spread.of(r.rate, std, runs, images)
    return found
