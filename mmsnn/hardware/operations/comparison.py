"""The spiking form against its twin: which costs less, and from which firing
rate on the other would."""

from fractions import Fraction

from mmsnn.hardware.amounts import Amount, added, as_range, divided
from mmsnn.trace import OpRecord

from .counts import (
    ACTIVATION_READS,
    STATE_READS,
    STATE_WRITES,
    SYNAPSE_ACS,
    SYNAPSE_MACS,
    WEIGHT_READS,
)
from .pricing import Pricing
from .results import EnergyResult, TwinComparison

#: Verdicts that are not already the verb of a sentence, in words.
_WORDS = {
    'equal': 'equals it',
    'open': 'wins at one end of the range and loses at the other'
}


def compare(spiking: EnergyResult, twin: EnergyResult,
            synapses: list[OpRecord], pricing: Pricing) -> TwinComparison:
    """Compare the spiking form with a twin whose weights have the same
    precision.

    Args:
        spiking (EnergyResult): Energy of the spiking form.
        twin (EnergyResult): Energy of its twin.
        synapses (list[OpRecord]): Synapses that spikes drive.
        pricing (Pricing): Prices of the chip, for the break-even rate.

    Returns:
        TwinComparison: Ratio, verdict and break-even rate, also in words.
    """
    ratio = divided(spiking.energy_mj, twin.energy_mj)
    verdict = _verdict(ratio)
    break_even = _break_even(pricing, spiking.precision)
    mean = float(
        sum(r.sops for r in synapses) /
        sum(Fraction(r.dense_ops, r.repeats) for r in synapses))
    # An operation of a twin stands for all time steps of a repeated image.
    most = max(r.max_spikes * r.repeats for r in synapses)
    name = twin.title.split(',')[0]
    sentence = (
        f'With {spiking.precision.upper()} weights the spiking form costs '
        f'{ratio:.3g} x the {name} ({spiking.energy_mj:.4g} against '
        f'{twin.energy_mj:.4g} mJ per image): it '
        f'{_WORDS.get(verdict, verdict)}. A synapse '
        f'breaks even at {break_even:.2f} spikes per input; here spikes cause '
        f'{mean:.3g} additions per dense operation.')
    caveat = ''
    if not mean:
        verdict = 'open'
        sentence = (
            f'With {spiking.precision.upper()} weights: no spike reached a '
            'synapse, so what the network would cost beside the '
            f'{name} can not be said.')
    elif as_range(break_even).low > most:
        caveat = (
            f'An input brings at most {most} spikes per operation of the '
            'twin, fewer than break even: in this cost model no spiking '
            'synapse can lose, whatever the network does, so the ratio '
            'measures sparsity and not a chip.')
    return TwinComparison(spiking.key, twin.key, spiking.precision, ratio,
                      verdict, break_even, mean, sentence, caveat)


def _verdict(ratio: Amount) -> str:
    low, high = as_range(ratio).ends
    if low == high == 1:
        return 'equal'
    return 'wins' if high < 1 else 'loses' if low > 1 else 'open'


def _break_even(pricing: Pricing, precision: str) -> Amount:
    """Cost of a multiply-accumulate of the twin, over the cost of an addition
    that a spike causes."""
    costs = []
    for operation, *accesses in (
        (SYNAPSE_MACS, WEIGHT_READS, ACTIVATION_READS),
        (SYNAPSE_ACS, WEIGHT_READS, STATE_READS, STATE_WRITES)):
        costs.append(added(
            pricing.price(cause, precision, 'the break-even rate')
            for cause in (operation, *accesses)
            if pricing.charges(cause, precision)))
    return divided(*costs)
