"""Energy by operation of a network and of its twins, from its op trace."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from mmsnn.hardware.amounts import added, as_range
from mmsnn.hardware.chips.figures import MissingFigureError
from mmsnn.hardware.chips.spec import Chip, load_chip
from mmsnn.trace import OpRecord, OpTrace, is_spiking_synapse

from .comparison import compare
from .counts import (
    CAUSES,
    MEMORY_CAUSES,
    Counts,
    formula_counts,
    spiking_counts,
    twin_counts,
)
from .explain import activation_bits, assumptions, differences, not_charged
from .memory import charged_memory
from .pricing import Pricing
from .results import COUNTS, EnergyResult, LayerEnergy, OperationsEstimate


@dataclass(frozen=True)
class _Counting:
    """A way of counting operations at one precision of the weights."""

    title: str
    precision: str
    count: Callable[[OpRecord], Counts]
    source: str
    fidelity: str


_EXACT = ('op trace, counted in spike-train form',
          'exact spike counts x true fan-out')
_DENSE = ('op trace, dense operations of the same shapes',
          'exact dense counts, no skipping of zeros')

#: Key of a result -> how its operations are counted.
COUNTINGS: dict[str, _Counting] = {
    'spiking_fp32': _Counting(
        'spiking form, FP32 weights', 'fp32', spiking_counts, *_EXACT),
    'formula_fp32': _Counting(
        'formula FL x r, FP32 weights', 'fp32', formula_counts,
        'op trace, formula of the paper (supplement S1)',
        'mean rates x dense operations, synapses only'),
    'float_twin_fp32': _Counting(
        'float twin, FP32 weights', 'fp32', twin_counts, *_DENSE),
    'spiking_int8': _Counting(
        'spiking form, INT8 weights', 'int8', spiking_counts, *_EXACT),
    'quantised_twin_int8': _Counting(
        'quantised twin, INT8 weights', 'int8', twin_counts, _DENSE[0],
        f'{_DENSE[1]}; the cost of a multiply-accumulate is an upper bound'),
}

#: Spiking result and its twin with weights of equal precision.
PAIRS = (('spiking_fp32', 'float_twin_fp32'), ('spiking_int8',
                                               'quantised_twin_int8'))


def estimate_operations(trace: OpTrace,
                        chip: str | Path | Chip = 'cmos45',
                        memory: str | None = None) -> OperationsEstimate:
    """Estimate the energy per image in spike-train form, by the formula, and
    of the twins.

    With FP32 weights there are three results: the exact count
    (``spiking_fp32``), the formula ``E_MAC * FL_1 + E_AC * sum(FL_n * r_n)``
    of the paper's supplement S1 (``formula_fp32``) and the float twin
    (``float_twin_fp32``). Where the spec has figures for INT8 weights there
    are two more, ``spiking_int8`` and ``quantised_twin_int8``. Ratios are
    taken at equal precision only.

    Where the spec knows what an access to memory costs (``cmos45_memory``),
    accesses are causes of energy like arithmetic; the formula has no term for
    them.

    Args:
        trace (OpTrace): Ops of the model, totals over ``trace.images``.
        chip (str | Path | Chip): Name or path of a chip spec that prices
            operations, or the spec.
        memory (str, optional): The memory that holds weights and membranes,
            so that accesses are charged its price: ``sram_8kb``,
            ``sram_32kb``, ``sram_1mb`` or ``flat``. Defaults to None, see
            :func:`mmsnn.hardware.operations.memory.charged_memory`.

    Returns:
        OperationsEstimate: Energies in mJ per image, by form, op and cause.

    Raises:
        ValueError: If the trace has no image, no spiking synapse, or a
            spiking synapse without input or dense operations; if ``memory``
            is unknown.
        MissingFigureError: If a figure that is needed is absent or null.

    Example:
        >>> from mmsnn.trace import OpRecord, OpTrace
        >>> fc = OpRecord('fc', 'linear', 'linear', spiking=True,
        ...               dense_ops=10**9, sops=2 * 10**8, in_spikes=20,
        ...               in_elements=100, max_spikes=4)
        >>> result = estimate_operations(OpTrace([fc], images=1))
        >>> round(result['spiking_fp32'].energy_mj, 6)
        0.18
        >>> round(result['float_twin_fp32'].energy_mj, 6)
        4.6
        >>> [c.verdict for c in result.comparisons]
        ['wins', 'wins']
        >>> result = estimate_operations(OpTrace([fc], images=1),
        ...                              'cmos45_memory')
        >>> print(result['spiking_fp32'].energy_mj, 'mJ')
        3.18 to 6.18 mJ
    """
    records, synapses = _checked(trace)
    chip = load_chip(chip)
    pricing = Pricing(
        chip, {
            p: held
            for p in ('fp32', 'int8')
            if (held := charged_memory(chip, records, p, memory))
        })
    max_spikes = max(record.max_spikes for record in synapses)
    missing = _missing(pricing, max_spikes)
    keys = [key for key in COUNTINGS if key not in missing]
    if not keys:
        raise MissingFigureError('; '.join(sorted(set(missing.values()))))
    results = {
        key: _result(key, records, trace.images, pricing)
        for key in keys
    }
    layers = [_layer(r, keys, trace.images, pricing) for r in records]
    return OperationsEstimate(
        chip=chip.name,
        title=chip.title,
        images=trace.images,
        activation_bits=activation_bits(max_spikes),
        max_spikes=max_spikes,
        results=tuple(results.values()),
        layers=tuple(x for x in layers
                     if any(as_range(e).high for e in x.energy_mj.values())),
        comparisons=tuple(
            compare(results[a], results[b], synapses, pricing)
            for a, b in PAIRS if a in results and b in results),
        differences=tuple(differences(records, trace.images, pricing))
        if 'formula_fp32' in results else (),
        assumptions=tuple(assumptions(results, max_spikes, pricing)),
        not_charged=tuple(not_charged(records, trace.images, pricing)),
        missing=missing,
        constants=tuple(pricing.constants))


def _checked(
        trace: OpTrace) -> tuple[list[OpRecord], list[OpRecord]]:
    """All records of a trace, and those of spiking synapses, once checked."""
    trace.require_images()
    records = [
        r for r in trace
        # A head may have had nothing to do in any image.
        if not (is_spiking_synapse(r) and r.in_elements == r.dense_ops == 0)
    ]
    synapses = [r for r in records if is_spiking_synapse(r)]
    if not synapses:
        raise ValueError(
            'the op trace holds no spiking synapse (a convolution, linear '
            'layer or matmul that received spikes): record a model with '
            'spiking neurons, converted to spike-train form')
    for record in synapses:
        for name in ('dense_ops', 'in_elements', 'max_spikes'):
            if getattr(record, name) < 1:
                raise ValueError(
                    f'{record.op} of {record.module!r} is a spiking synapse '
                    f'with {name}={getattr(record, name)} in the op trace; '
                    'it must be at least 1')
    # Neurons do not know whether all their time steps see one image.
    repeats = max(r.repeats for r in synapses)
    return [
        replace(r, repeats=min(repeats, r.timesteps))
        if r.kind == 'neuron' else r for r in records
    ], synapses


def _missing(pricing: Pricing, max_spikes: int) -> dict[str, str]:
    missing = {}
    for key, counting in COUNTINGS.items():
        if not pricing.has_precision(counting.precision):
            missing[key] = (f'chip spec {pricing.chip.path} has no section '
                            f'{counting.precision}')
        elif key == 'quantised_twin_int8' and activation_bits(max_spikes) > 8:
            missing[key] = (
                f'{max_spikes} spikes need {activation_bits(max_spikes)}-bit '
                'activations, for which int8.mac is no upper bound')
    return missing


def _result(key: str, records: list[OpRecord], images: int,
            pricing: Pricing) -> EnergyResult:
    counting, chip = COUNTINGS[key], pricing.chip
    totals = dict.fromkeys(CAUSES, 0)
    for record in records:
        for cause, count in counting.count(record).items():
            totals[cause] += count
    energies = pricing.energies(totals, images, counting.precision,
                                f'the energy of the {counting.title}')
    return EnergyResult(
        key=key,
        title=counting.title,
        precision=counting.precision,
        energy_mj=added(energies.values()),
        causes=energies,
        counts={
            cause: float(Fraction(count, images))
            for cause, count in totals.items()
            if count and (cause not in MEMORY_CAUSES or cause in energies)
        },
        source=f'{counting.source}; costs: {chip.title} ({chip.name})',
        fidelity=counting.fidelity,
        scope=f'Included: {"; ".join(energies)}. Not included: '
        f'{"; ".join(chip.excludes)}')


def _layer(record: OpRecord, keys: list[str], images: int,
           pricing: Pricing) -> LayerEnergy:
    energies = {}
    for key in keys:
        counting = COUNTINGS[key]
        energies[key] = added(
            pricing.energies(
                counting.count(record), images, counting.precision,
                f'the {counting.title} of {record.module}').values())
    return LayerEnergy(
        module=record.module,
        kind=record.kind,
        op=record.op,
        spiking=record.spiking,
        rate=record.rate,
        energy_mj=energies,
        note=record.note,
        **{name: getattr(record, name) / images
           for name in COUNTS})
