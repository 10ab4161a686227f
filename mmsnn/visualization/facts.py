"""The first page of a report: questions that readers of energy figures ask,
and answers in words, which rest on the measurements only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmsnn.hardware.amounts import (
    PJ_PER_MJ,
    added,
    as_range,
    divided,
    scaled,
)
from mmsnn.hardware.operations.results import EnergyResult, OperationsEstimate
from mmsnn.trace import OpTrace

NOT_MEASURED = 'not measured: '
NO_ESTIMATE = NOT_MEASURED + 'no energy estimate was made.'
NO_TRACE = NOT_MEASURED + 'no op trace was recorded.'


@dataclass(frozen=True)
class Answer:
    """A question, and what the measurements answer.

    Attributes:
        question (str): The question in a reader's words.
        lines (list[str]): The answer, one text per paragraph.
        state (str): How the report marks it: ``good``, ``bad``, ``missing``
            (not measured) or ``plain``.
    """

    question: str
    lines: list[str]
    state: str = 'plain'


def count(value: float) -> str:
    """A count as readers see it, with a suffix for thousands and more.

    Args:
        value (float): The count.

    Returns:
        str: Four significant digits.

    Example:
        >>> [count(x) for x in (0, 12.5, 1500, 7225344, 2.5e9)]
        ['0', '12.5', '1.5 k', '7.225 M', '2.5 G']
    """
    for size, suffix in ((1e12, ' T'), (1e9, ' G'), (1e6, ' M'), (1e3, ' k')):
        if abs(value) >= size:
            return f'{value / size:.4g}{suffix}'
    return f'{value:.4g}'


def arithmetic(result: EnergyResult) -> str:
    """Write an energy as the sum of counts times costs that it is.

    Args:
        result (EnergyResult): The energy.

    Returns:
        str: A term for each cause, with its cost in pJ.

    Example:
        >>> result = EnergyResult('k', 't', 'fp32', 2e-3, {'additions': 2e-3},
        ...                       {'additions': 2e6}, 's', 'f', 'w')
        >>> arithmetic(result)
        '2 M additions x 1 pJ'
    """
    terms = [
        f'{count(result.counts[cause])} {cause} x '
        f'{scaled(energy, PJ_PER_MJ / result.counts[cause]):.4g} pJ'
        for cause, energy in result.causes.items()
    ]
    return ' + '.join(terms) or 'nothing'


def equality_sentence(report: Any) -> str:
    """Say what a comparison of both forms found.

    Args:
        report (EqualityReport): The comparison, of one floating-point type.

    Returns:
        str: How many spike counts differ, and what was not tested.
    """
    if not report.total_neurons:
        return f'{report.dtype}: {NOT_MEASURED}no neuron was compared.'
    differences = report.total_differences
    text = (f'In {report.dtype}, {differences or "none"} of '
            f'{report.total_neurons:,} spike counts '
            f'{"differs" if differences in (0, 1) else "differ"} between '
            'training form and spike-train form '
            f'(neurons times images; {report.images} images).')
    if report.total_ties:
        text += (f' {report.total_ties:,} of them are ties: the potential '
                 'lies on a threshold, but for rounding.')
    if report.not_compared:
        text += (f' Not compared: {", ".join(report.not_compared[:3])}'
                 f'{", ..." if len(report.not_compared) > 3 else ""}.')
    for what, layers in (('reached by no image', report.never_ran),
                         ('silent in both forms', report.silent)):
        if layers:
            text += (f' Not tested, since {what}: {len(layers)} neuron '
                     f'layers ({", ".join(layers[:3])}'
                     f'{", ..." if len(layers) > 3 else ""}).')
    return text


def answers(estimate: OperationsEstimate | None, trace: OpTrace | None,
            equality: Sequence[Any]) -> list[Answer]:
    """Answer the questions of the report's first page.

    Args:
        estimate (OperationsEstimate | None): Energies; None if not measured.
        trace (OpTrace | None): What every op did; None if not measured.
        equality (Sequence[EqualityReport]): Comparisons of both forms.

    Returns:
        list[Answer]: The answers, in the order that they are shown in.
    """
    return [
        _same(equality),
        _cost(estimate),
        _total(estimate),
        _which_rate(trace),
        _integer_or_binary(trace),
        _charged_as_real(estimate, trace),
        _attention(trace),
        _hidden(trace),
        _left_out(estimate),
    ]


def _same(equality: Sequence[Any]) -> Answer:
    question = 'Does the spike train compute what the trained model computes?'
    if not equality:
        return Answer(question, [NOT_MEASURED + 'no equality report.'],
                      'missing')
    lines = [equality_sentence(report) for report in equality]
    exact = [r for r in equality if r.dtype == 'float64' and r.total_neurons]
    if not exact:
        lines.append(NOT_MEASURED + 'no comparison in float64, where counts '
                     'agree up to ties. Differences in a shorter type can '
                     'come from the order of summation alone.')
        return Answer(question, lines, 'missing')
    if any(report.total_differences for report in exact):
        lines.append(_cause(exact))
        return Answer(question, lines, 'bad')
    if not all(report.outputs_agree for report in exact):
        worst = max(report.output_error for report in exact)
        lines.append('All counts agree, but what the model returns does not '
                     f'(relative difference {worst:.1e}): a layer behind the '
                     'last neuron is converted wrongly.')
        return Answer(question, lines, 'bad')
    if any(report.not_compared for report in exact):
        lines.append('All that was compared agrees, but a part of what the '
                     'model returns could not be compared.')
        return Answer(question, lines, 'missing')
    lines.append('A bias added in every sub-step, a neuron left out or a '
                 'shifted threshold would show as differences in float64; a '
                 'fault behind the last neuron, in what the model returns, '
                 'which was compared too.')
    return Answer(question, lines, 'good')


def _cause(reports: Sequence[Any]) -> str:
    """Why spike counts differ in float64."""
    firsts = [
        next(row for row in report.rows if row.differences)
        for report in reports if report.total_differences
    ]
    if all(row.ties == row.differences for row in firsts):
        return (f'The first differences, at {firsts[0].module}, are ties: '
                'sums that are not exact in float64 fall on either side of a '
                'threshold, and other counts follow from that.')
    return ('In float64 counts agree up to ties, and these are none: the '
            'conversion of this model is wrong.')


def _cost(estimate: OperationsEstimate | None) -> Answer:
    question = 'Does the spiking form cost more than the same network without '
    question += 'spikes?'
    if estimate is None:
        return Answer(question, [NO_ESTIMATE], 'missing')
    lines = estimate.verdicts
    lines += [
        f'{key}: {NOT_MEASURED}{reason}.'
        for key, reason in estimate.missing.items()
    ]
    verdicts = {comparison.verdict for comparison in estimate.comparisons}
    state = ('missing' if not verdicts else
             'bad' if 'loses' in verdicts else
             'plain' if 'open' in verdicts else 'good')
    return Answer(question, lines, state)


def _total(estimate: OperationsEstimate | None) -> Answer:
    question = 'How does the total come about?'
    if estimate is None:
        return Answer(question, [NO_ESTIMATE], 'missing')
    first = estimate.results[0]
    return Answer(question, [
        (f'{first.title[0].upper()}{first.title[1:]}: {arithmetic(first)} = '
         f'{first.energy_mj:.4g} mJ per image. The other forms are worked out '
         'in the section on energy.'),
        ('The counts are sums over the table of all ops that were charged, '
         'the costs are the constants listed below.')
    ])


def _which_rate(trace: OpTrace | None) -> Answer:
    question = 'Which rate goes with which operation?'
    if trace is None:
        return Answer(question, [NO_TRACE], 'missing')
    return Answer(question, [
        ('The rate of an op is that of its own input: spikes that arrive, per '
         'input element and image, summed over time steps and sub-steps. It '
         'stands in the row of that op, and not in the row of the neuron that '
         'emits.'),
        ('The exact count does not use it: every spike is counted at every '
         'output that it reaches. Only the formula multiplies the dense '
         'operations of an op by its rate.')
    ])


def _integer_or_binary(trace: OpTrace | None) -> Answer:
    question = 'Are these rates of integers or of 0/1 spikes?'
    if trace is None:
        return Answer(question, [NO_TRACE], 'missing')
    lines = [
        ('Of 0/1 spikes, summed over the D sub-steps of all T time steps: '
         'with T = 1 the mean integer that a neuron has in training form, so '
         'it can exceed 1. A '
         'rate per sub-step is shown in the figure of firing rates, and is '
         'not used for energy.')
    ]
    driven = [r for r in trace if r.in_elements]
    if driven:
        top = max(driven, key=lambda r: r.rate)
        lines.append(f'The highest rate here is {top.rate:.4g}, at '
                     f'{top.module} (D = {top.max_spikes}).')
    return Answer(question, lines)


def _charged_as_real(estimate: OperationsEstimate | None,
                     trace: OpTrace | None) -> Answer:
    question = 'What is charged although no spike drives it?'
    if trace is None:
        return Answer(question, [NO_TRACE], 'missing')
    audit = trace.audit()
    if not audit:
        return Answer(question, ['Nothing: spikes drive every op.'], 'good')
    lines = [f'Ops: {len(audit)}, each named in the audit below.']
    if estimate is not None:
        first = estimate.results[0]
        real = added(x.energy_mj[first.key] for x in estimate.layers
                     if not x.spiking and x.kind != 'neuron')
        share = divided(real, first.energy_mj) if as_range(
            first.energy_mj).high else 0.0
        lines[0] += (f' They make {real:.4g} mJ, {share:.1%} of the energy '
                     f'of the {first.title}.')
    return Answer(question, lines)


def _attention(trace: OpTrace | None) -> Answer:
    question = 'Are the products of attention binary?'
    if trace is None:
        return Answer(question, [NO_TRACE], 'missing')
    products = [r for r in trace if r.kind == 'matmul']
    if not products:
        return Answer(question, [
            'The network has no product of two activations.'])
    spiking = [r for r in products if r.spiking]
    lines = []
    if spiking:
        largest = max(r.accumulator_max for r in spiking)
        lines.append(
            f'Products driven by spikes: {len(spiking)}. They are additions '
            'only, but not between binary operands: spikes (0 or 1) of one '
            'operand select rows of the other, whose elements are integers. '
            f'The largest sum that can occur is {largest:,}: accumulators '
            f'need {largest.bit_length() + 1} bits with sign.')
        lines.append(
            'No static weights are involved: a chip whose synapses hold '
            'fixed weights (such as Loihi 1 or Speck) can not run them.')
    if len(spiking) < len(products):
        lines.append(
            'Products with real values on both sides, charged as '
            f'multiply-accumulates: {len(products) - len(spiking)}.')
    return Answer(question, lines)


def _hidden(trace: OpTrace | None) -> Answer:
    question = 'Can folding or re-parameterisation hide multiplications?'
    if trace is None:
        return Answer(question, [NO_TRACE], 'missing')
    norms = sum(r.kind == 'norm' for r in trace)
    return Answer(question, [
        ('No: the trace records the ops that ran. What is not folded into a '
         'synapse has a row of its own, as real operations. '
         f'Norms left unfolded here: {norms}.')
    ])


def _left_out(estimate: OperationsEstimate | None) -> Answer:
    question = 'What do these energies leave out?'
    if estimate is None:
        return Answer(question, [NO_ESTIMATE], 'missing')
    return Answer(question, [f'{text[0].upper()}{text[1:]}.'
                             for text in estimate.not_charged])
