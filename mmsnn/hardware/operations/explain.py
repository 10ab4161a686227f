"""What an estimate by operation says of itself: why formula and exact count
differ, what was assumed, and what is not charged."""

from mmsnn.hardware.amounts import PJ_PER_MJ, added, divided, scaled
from mmsnn.trace import SYNAPSES, OpRecord, is_spiking_synapse, own_neurons

from .counts import (
    ADDS,
    CAUSES,
    COMPARISONS,
    MEMORY_CAUSES,
    OTHER,
    SYNAPSE_ACS,
    SYNAPSE_MACS,
    UPDATES,
    formula_counts,
    spiking_counts,
)
from .memory import memory_assumptions
from .pricing import Pricing
from .results import Difference, EnergyResult


def activation_bits(max_spikes: int) -> int:
    """Bits of an integer activation in 0..D, ``ceil(log2(D + 1))``.

    Args:
        max_spikes (int): D, the largest activation.

    Returns:
        int: Bits, without sign.

    Example:
        >>> [activation_bits(max_spikes) for max_spikes in (1, 3, 4, 7, 8)]
        [1, 2, 3, 3, 4]
    """
    return max_spikes.bit_length()


#: Where formula and exact count can differ: (cause, why).
_CAUSES_OF_DIFFERENCE = {
    'conv': (
        'spiking convolutions',
        ('the formula gives every spike the mean fan-out; the exact count '
         'gives a spike near a border fewer targets (the formula counts '
         'targets in the padding), and under a stride a fan-out that depends '
         'on its position'),
    ),
    'linear': (
        'spiking linear layers',
        'every spike has the same fan-out, so both counts agree',
    ),
    'matmul': (
        'attention products',
        ('the formula lets a spike add all elements that face it; the exact '
         'count adds only those that are not zero'),
    ),
    'real': (
        'synapses on real input',
        'the formula counts dense operations, the exact count what was done',
    ),
    'left out': (
        'operations that the formula leaves out',
        ('additions of residuals and biases, comparisons, interpolation, '
         'norms and other real operations have no term in the formula'),
    ),
    'memory': (
        'accesses to memory',
        'the formula has no term for them',
    ),
}


def differences(records: list[OpRecord], images: int,
                pricing: Pricing) -> list[Difference]:
    """Explain by how much formula and exact count differ with FP32 weights.

    Args:
        records (list[OpRecord]): All ops.
        images (int): Images that the records are totals over.
        pricing (Pricing): Prices of the chip.

    Returns:
        list[Difference]: Formula minus exact count in mJ per image, one for
        each cause that occurs.
    """
    surplus = {name: {} for name in _CAUSES_OF_DIFFERENCE}
    for record in records:
        exact, formula = spiking_counts(record), formula_counts(record)
        synapse = (
            record.kind if is_spiking_synapse(record) else
            'real' if record.kind in SYNAPSES else 'left out')
        main = SYNAPSE_ACS if is_spiking_synapse(record) else SYNAPSE_MACS
        for cause in CAUSES:
            name = (
                synapse if cause == main else
                'memory' if cause in MEMORY_CAUSES else 'left out')
            counts = surplus[name]
            counts[cause] = (
                counts.get(cause, 0) + formula[cause] - exact[cause])
    found = []
    for name, (cause, explanation) in _CAUSES_OF_DIFFERENCE.items():
        energies = pricing.energies(surplus[name], images, 'fp32',
                                    'the difference to the formula')
        if energies:
            found.append(
                Difference(cause, added(energies.values()), explanation))
    return found


def assumptions(results: dict[str, EnergyResult], max_spikes: int,
                pricing: Pricing) -> list[str]:
    """What was assumed, above all where the chip lacks a figure of its own.

    Args:
        results (dict[str, EnergyResult]): Energies by key.
        max_spikes (int): The largest D of a spiking synapse.
        pricing (Pricing): Prices of the chip.

    Returns:
        list[str]: A sentence, or several, for each assumption.
    """
    texts = [
        ('A twin has the same shapes, does every dense operation, skips no '
         'zeros, and its activation functions are not charged.')
    ]
    for cause, name in ((COMPARISONS, 'addition'),
                        (OTHER, 'multiply-accumulate')):
        used = sorted({
            pricing.figure_name(cause, r.precision)
            for r in results.values() if cause in r.causes
        })
        assumed = [n for n in used if n.endswith(('.add', '.mac'))]
        if assumed:
            texts.append(
                f'{cause.capitalize()} have no figure of their own: each is '
                f'charged as one {name} ({", ".join(assumed)}).')
    if 'spiking_int8' in results:
        texts.append(
            'With INT8 weights, the real input of a synapse has 8 bits, and '
            'membranes are 32-bit integers: what is done on membranes is '
            'charged at INT32, in the spiking form and in the twin alike. '
            'An accumulation at a synapse and the addition in a '
            'multiply-accumulate are both charged as 8-bit additions.')
    if 'quantised_twin_int8' in results:
        texts.append(
            f'The quantised twin has {activation_bits(max_spikes)}-bit '
            f'activations (ceil(log2({max_spikes} + 1))). For want of a '
            'figure its multiply-accumulates are charged as INT8 x INT8, an '
            'upper bound: the true twin costs less, so the ratio flatters '
            'the spiking form.')
    return texts + memory_assumptions(pricing.memories)


def not_charged(records: list[OpRecord], images: int,
                pricing: Pricing) -> list[str]:
    """What the energies leave out; for neuron updates also how many there
    are, and what they would add at two additions each.

    Args:
        records (list[OpRecord]): All ops.
        images (int): Images that the records are totals over.
        pricing (Pricing): Prices of the chip.

    Returns:
        list[str]: What the chip spec excludes; neuron updates last, where
        the spec has no figure for them.
    """
    texts = list(pricing.chip.excludes)
    texts += [text.rstrip('.') for text in own_neurons(records)]
    updates = sum(spiking_counts(record)[UPDATES] for record in records)
    without, would_add = [], []
    for precision in ('fp32', 'int8'):
        if not (updates and pricing.has_precision(precision)) \
                or pricing.charges(UPDATES, precision):
            continue
        without.append(pricing.figure_name(UPDATES, precision))
        add = pricing.chip.figures.get(pricing.figure_name(ADDS, precision))
        if add is not None and add.value is not None:
            energy = divided(
                scaled(add.value, 2 * updates / images), PJ_PER_MJ)
            would_add.append(f'{energy:.3g} mJ ({add.name})')
    if without:
        text = (f'{updates / images:,.0f} neuron updates per image (one per '
                f'neuron and sub-step): {pricing.chip.name} has no figure '
                f'{" or ".join(without)}')
        if would_add:
            text += ('; at two additions each (compare, subtract) they would '
                     f'add {" or ".join(would_add)}')
        texts.append(text)
    return texts
