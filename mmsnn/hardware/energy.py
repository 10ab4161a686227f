"""Energy of a network and of its twins, from its op trace."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from .chip import Chip, load_chip
from .counts import (
    CAUSES,
    SYNAPSE_ACS,
    SYNAPSE_MACS,
    Counts,
    formula_counts,
    is_spiking_synapse,
    spiking_counts,
    twin_counts,
)
from .explain import activation_bits, assumptions, differences, not_charged
from .figures import MissingFigureError
from .pricing import Pricing
from .results import Comparison, EnergyResult, Estimate, LayerEnergy

if TYPE_CHECKING:
    from mmsnn.conversion.trace import OpRecord, OpTrace


@dataclass(frozen=True)
class _Form:
    """A way of counting at one precision of the weights."""
    title: str
    precision: str
    count: Callable[['OpRecord'], Counts]
    source: str
    fidelity: str


FORMS: dict[str, _Form] = {
    'spiking_fp32':
    _Form('spiking form, FP32 weights', 'fp32', spiking_counts,
          'op trace, counted in spike-train form',
          'exact spike counts x true fan-out'),
    'formula_fp32':
    _Form('formula FL x r, FP32 weights', 'fp32', formula_counts,
          'op trace, formula of the paper (supplement S1)',
          'mean rates x dense operations, synapses only'),
    'float_twin_fp32':
    _Form('float twin, FP32 weights', 'fp32', twin_counts,
          'op trace, dense operations of the same shapes',
          'exact dense counts, no skipping of zeros'),
    'spiking_int8':
    _Form('spiking form, INT8 weights', 'int8', spiking_counts,
          'op trace, counted in spike-train form',
          'exact spike counts x true fan-out'),
    'quantised_twin_int8':
    _Form('quantised twin, INT8 weights', 'int8', twin_counts,
          'op trace, dense operations of the same shapes',
          'exact dense counts, no skipping of zeros; the cost of a '
          'multiply-accumulate is an upper bound'),
}

#: Spiking result and its twin with weights of equal precision.
PAIRS = (('spiking_fp32', 'float_twin_fp32'), ('spiking_int8',
                                               'quantised_twin_int8'))


def estimate(trace: 'OpTrace',
             chip: str | Path | Chip = 'cmos45') -> Estimate:
    """Energy per image in spike-train form, by the formula, and of the twins.

    With FP32 weights: the exact count (``spiking_fp32``), the formula
    ``E_MAC * FL_1 + E_AC * sum(FL_n * r_n)`` of the paper's supplement S1
    (``formula_fp32``) and the float twin (``float_twin_fp32``). With INT8
    weights, where the spec has figures for them: ``spiking_int8`` and
    ``quantised_twin_int8``. Ratios are taken at equal precision only.

    Args:
        trace (OpTrace): Ops of the model, totals over ``trace.images``.
        chip (str | Path | Chip): Name or path of a chip spec, or the spec.

    Raises:
        ValueError: If the trace has no image, no spiking synapse, or a
            spiking synapse without input or dense operations.
        MissingFigureError: If a figure that is needed is absent or null.

    Example:
        >>> from mmsnn.conversion.trace import OpRecord, OpTrace
        >>> fc = OpRecord('fc', 'linear', 'linear', spiking=True,
        ...               dense_ops=10**9, sops=2 * 10**8, in_spikes=20,
        ...               in_elements=100, max_spikes=4)
        >>> result = estimate(OpTrace([fc], images=1))
        >>> round(result['spiking_fp32'].energy_mj, 6)
        0.18
        >>> round(result['float_twin_fp32'].energy_mj, 6)
        4.6
        >>> [c.verdict for c in result.comparisons]
        ['wins', 'wins']
    """
    records, synapses = _checked(trace)
    if not isinstance(chip, Chip):
        chip = load_chip(chip)
    pricing = Pricing(chip)
    max_spikes = max(record.max_spikes for record in synapses)
    missing = _missing(pricing, max_spikes)
    keys = [key for key in FORMS if key not in missing]
    if not keys:
        raise MissingFigureError('; '.join(sorted(set(missing.values()))))
    results = {
        key: _result(key, records, trace.images, pricing)
        for key in keys
    }
    layers = [_layer(r, keys, trace.images, pricing) for r in records]
    return Estimate(
        chip=chip.name,
        title=chip.title,
        images=trace.images,
        activation_bits=activation_bits(max_spikes),
        max_spikes=max_spikes,
        results=tuple(results.values()),
        layers=tuple(x for x in layers if any(x.energy_mj.values())),
        comparisons=tuple(
            _compare(results[a], results[b], synapses, pricing)
            for a, b in PAIRS if a in results and b in results),
        differences=tuple(differences(records, trace.images, pricing))
        if 'formula_fp32' in results else (),
        assumptions=tuple(assumptions(results, max_spikes, pricing)),
        not_charged=tuple(not_charged(records, trace.images, pricing)),
        missing=missing,
        constants=tuple(pricing.constants))


def _checked(
        trace: 'OpTrace') -> tuple[list['OpRecord'], list['OpRecord']]:
    """All records and the spiking synapses of a trace that can be priced."""
    if trace.images < 1:
        raise ValueError('the op trace holds no image: run the model on at '
                         'least one image before estimating its energy')
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
    return records, synapses


def _missing(pricing: Pricing, max_spikes: int) -> dict[str, str]:
    missing = {}
    for key, form in FORMS.items():
        if not pricing.has_precision(form.precision):
            missing[key] = (f'chip spec {pricing.chip.path} has no section '
                            f'{form.precision}')
        elif key == 'quantised_twin_int8' and activation_bits(max_spikes) > 8:
            missing[key] = (
                f'{max_spikes} spikes need {activation_bits(max_spikes)}-bit '
                'activations, for which int8.mac is no upper bound')
    return missing


def _result(key: str, records: list['OpRecord'], images: int,
            pricing: Pricing) -> EnergyResult:
    form, chip = FORMS[key], pricing.chip
    totals = dict.fromkeys(CAUSES, 0)
    for record in records:
        for cause, count in form.count(record).items():
            totals[cause] += count
    energies = pricing.energies(totals, images, form.precision,
                                f'the energy of the {form.title}')
    return EnergyResult(
        key=key,
        title=form.title,
        precision=form.precision,
        energy_mj=math.fsum(energies.values()),
        causes=energies,
        counts={
            cause: float(Fraction(count, images))
            for cause, count in totals.items() if count
        },
        source=f'{form.source}; costs: {chip.title} ({chip.name})',
        fidelity=form.fidelity,
        scope=f'Included: {"; ".join(energies)}. Not included: '
        f'{"; ".join(chip.excludes)}')


def _layer(record: 'OpRecord', keys: list[str], images: int,
           pricing: Pricing) -> LayerEnergy:
    energies = {}
    for key in keys:
        form = FORMS[key]
        energies[key] = math.fsum(
            pricing.energies(
                form.count(record), images, form.precision,
                f'the {form.title} of {record.module}').values())
    names = ('dense_ops', 'sops', 'macs', 'adds', 'comparisons', 'other')
    return LayerEnergy(
        module=record.module,
        kind=record.kind,
        op=record.op,
        spiking=record.spiking,
        rate=record.rate,
        energy_mj=energies,
        note=record.note,
        **{name: getattr(record, name) / images
           for name in names})


def _compare(spiking: EnergyResult, twin: EnergyResult,
             synapses: list['OpRecord'], pricing: Pricing) -> Comparison:
    ratio = spiking.energy_mj / twin.energy_mj
    verdict = 'wins' if ratio < 1 else 'loses' if ratio > 1 else 'equal'
    needed_by = 'the break-even rate'
    mac, ac = (
        pricing.price(cause, spiking.precision, needed_by)
        for cause in (SYNAPSE_MACS, SYNAPSE_ACS))
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
        f'{"equals it" if verdict == "equal" else verdict}. A synapse '
        f'breaks even at {mac / ac:.2f} spikes per input; here spikes cause '
        f'{mean:.3g} additions per dense operation.')
    caveat = ''
    if mac / ac > most:
        caveat = (
            f'An input brings at most {most} spikes per operation of the '
            'twin, fewer than break even: in this cost model no spiking '
            'synapse can lose, whatever the network does, so the ratio '
            'measures sparsity and not a chip.')
    return Comparison(spiking.key, twin.key, spiking.precision, ratio,
                      verdict, mac / ac, mean, sentence, caveat)
