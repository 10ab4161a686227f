"""Proof that nothing changed: spike counts of both forms, neuron by neuron."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple

import torch
from torch import nn

from mmsnn.conversion.upstream.double import in_its_precision, precision
from mmsnn.neurons import SpikingNeuron

from .comparison import compare_leaves, leaves
from .watching import Firing, neuron_layers, watch_neurons

#: Results of both forms agree up to this: in float64 relative to the scale of
#: each element; in shorter types, where sums that cancel leave only rounding,
#: to the largest value.
AGREE = 1e-9
SHORT_AGREE = dict(float32=1e-3, float16=0.05, bfloat16=0.05)
#: A potential over the threshold lies on a threshold up to this, relative to
#: itself (to 1 where it is smaller); in float64, and in shorter types.
TIE, SHORT_TIE = 1e-9, 1e-5


@dataclass
class NeuronEquality:
    """How often one neuron layer fired in both forms.

    Attributes:
        module (str): Path in the model in training form.
        neurons (int): Neurons compared, over all images and calls.
        differences (int): Neurons whose spike count differs.
        max_difference (int): Largest difference of a count.
        training_spikes (int): Sum of counts in training form.
        spike_train_spikes (int): Sum of spikes in spike-train form.
        ties (int): Differences that are ties: in both forms the potential
            lies within rounding of the same threshold, on either side of it.
    """

    module: str
    neurons: int = 0
    differences: int = 0
    max_difference: int = 0
    training_spikes: int = 0
    spike_train_spikes: int = 0
    ties: int = 0


@dataclass
class EqualityReport:
    """Comparison of all neurons of a model in both forms.

    Attributes:
        dtype (str): Floating-point type of both runs.
        images (int): Images compared.
        rows (list[NeuronEquality]): One per neuron layer.
        output_error (float): Largest difference between what both forms
            returned, relative to the scale of each element (see
            :func:`~mmsnn.conversion.tensor_error.relative_error`): no neuron
            stands behind the last layers. Infinite if a type, a key, a
            shape, a label or a mask differs.
        never_ran (list[str]): Neuron layers that no batch has reached.
        output_path (str): Where results differ most; empty if nowhere.
        not_compared (list[str]): Paths and types of what both forms returned
            and nobody can compare, such as an iterator. Where there is any,
            the forms are not called equal.
        output_share (float): Largest difference between results, relative to
            the largest value: how wrong they are on the whole.

    Example:
        >>> report = EqualityReport('float64', 1, [
        ...     NeuronEquality('0.neuron', 9, 1, 2, 5, 7)])
        >>> report.equal, str(report)
        (False, '1 of 9 spike counts differ in float64 (1 neuron layers, \
1 images); most at 0.neuron: 1 of 9')
    """

    dtype: str
    images: int = 0
    rows: list[NeuronEquality] = field(default_factory=list)
    output_error: float = 0.
    never_ran: list[str] = field(default_factory=list)
    output_path: str = ''
    not_compared: list[str] = field(default_factory=list)
    output_share: float = 0.

    @property
    def total_neurons(self) -> int:
        """Neurons compared, over all layers."""
        return sum(row.neurons for row in self.rows)

    @property
    def total_differences(self) -> int:
        """Neurons whose spike count differs, over all layers."""
        return sum(row.differences for row in self.rows)

    @property
    def total_ties(self) -> int:
        """Differences that are ties, over all layers. A spike more or less
        makes true differences behind it."""
        return sum(row.ties for row in self.rows)

    @property
    def silent(self) -> list[str]:
        """Neuron layers that fired in neither form: that their counts are
        equal says nothing."""
        return [
            row.module for row in self.rows
            if not row.training_spikes and not row.spike_train_spikes
        ]

    @property
    def equal(self) -> bool:
        """Whether everything was compared and nothing differed: no spike
        count, and no result by more than rounding. In shorter types than
        float64, rounding alone can change a label or a box."""
        return (self.total_neurons > 0 and self.total_differences == 0
                and not self.not_compared and self.outputs_agree)

    @property
    def outputs_agree(self) -> bool:
        """Whether both forms returned the same, but for rounding: up to
        1e-9 of the scale of each element in float64; of the largest value,
        1e-3 in float32 and 0.05 in 16 bits."""
        if self.dtype in SHORT_AGREE:
            return self.output_share <= SHORT_AGREE[self.dtype]
        return self.output_error <= AGREE

    def __str__(self) -> str:
        worst = max(self.rows, key=lambda r: r.differences, default=None)
        text = (f'{self.total_differences} of {self.total_neurons} spike '
                f'counts differ in {self.dtype} ({len(self.rows)} neuron '
                f'layers, {self.images} images)')
        if worst is not None and worst.differences:
            text += (f'; most at {worst.module}: {worst.differences} of '
                     f'{worst.neurons}')
        tied = [row for row in self.rows if row.ties]
        if tied:
            bound = TIE if self.dtype == 'float64' else SHORT_TIE
            text += (f'; {self.total_ties} of them are ties (within '
                     f'{bound:.0e} of a threshold), the first at '
                     f'{tied[0].module}')
        if not self.outputs_agree:
            text += f'; results differ by up to {self.output_error:.1e}'
            if self.output_path:
                text += f' at {self.output_path}'
        for what, names in (('results not compared', self.not_compared),
                            ('never ran', self.never_ran),
                            ('never fired', self.silent)):
            if names:
                text += f'; {len(names)} {what}: {", ".join(names[:3])}'
                text += ', ...' if len(names) > 3 else ''
        return text


class EqualityCheck:
    """Compares both forms of a model over any number of batches.

    Args:
        training (nn.Module): The model in training form, in eval mode.
        spiking (SpikeTrainModel): The same model, converted.

    Attributes:
        report (EqualityReport): The comparison so far.

    Raises:
        TypeError: If they are not a trained model and a converted one.
        ValueError: If the forms have different floating-point types.

    Example:
        >>> from mmsnn.conversion import to_spike_train
        >>> from mmsnn.layers import SpikeConv2d
        >>> conv = SpikeConv2d(1, 2, 3, neuron=dict(type='mmsnn.SFANeuron'))
        >>> check = EqualityCheck(conv.eval(), to_spike_train(conv))
        >>> _ = check.compare(torch.rand(1, 1, 3, 3))
        >>> print(check.report)
        0 of 9 spike counts differ in float32 (1 neuron layers, 1 images)
    """

    def __init__(self, training: nn.Module, spiking: nn.Module) -> None:
        if not hasattr(spiking, 'session') or hasattr(training, 'session'):
            raise TypeError(
                'EqualityCheck compares a trained model and, second, its '
                'converted form to_spike_train(model), but got '
                f'{type(training).__name__} and {type(spiking).__name__}')
        self.training = training
        self.spiking = spiking
        dtype, other = precision(training), precision(spiking)
        if dtype != other:
            raise ValueError(f'the training form is {dtype} but the '
                             f'spike-train form {other}: compare equal types')
        self._dtype = dtype
        self.report = EqualityReport(str(dtype).split('.')[-1])
        self._rows: dict[str, NeuronEquality] = OrderedDict()

    def compare(self, *args, **kwargs) -> tuple:
        """Call both forms and compare all counts, and what they return.

        Args:
            *args: Those of the model.
            **kwargs: Those of the model.

        Returns:
            tuple: What the training form and the spike-train form returned.
        """
        return self.compare_calls(
            lambda: self.training(*args, **kwargs),
            lambda: self.spiking(*args, **kwargs))

    def compare_calls(self, run_training: Callable,
                      run_spiking: Callable) -> tuple:
        """Compare as :meth:`compare` does, for calls other than ``forward``.

        Counts are kept until both forms have fired, in a byte each where D
        allows.

        Args:
            run_training (Callable): Calls the training form.
            run_spiking (Callable): Calls the spike-train form.

        Returns:
            tuple: What both have returned.
        """
        expected, actual = _Calls(), _Calls()
        near = self._near_thresholds

        def keep(firing: Firing) -> None:
            self._row(firing.path)  # in the order of the training form
            expected.add(firing)

        with torch.no_grad(), in_its_precision(self.training), watch_neurons(
                self.training, keep, near):
            first = run_training()
        # Now, since the other form may write into the same objects.
        found = leaves(first)
        session = self.spiking.session
        with watch_neurons(
                self.spiking.module, lambda firing: actual.add(
                    firing, (session.call, session.attempt)), near):
            second = run_spiking()
        actual.keep_last_attempts()
        for name in (*expected, *(k for k in actual if k not in expected)):
            for fired in zip_longest(
                    expected.get(name, ()), actual.get(name, ())):
                self._add(name, *fired)
        self._compare_results(found, leaves(second))
        self.report.images += self.spiking.session.images
        self.report.never_ran = [
            path for path, _ in neuron_layers(self.training)
            if path not in self._rows
        ]
        return first, second

    def _compare_results(self, first, second) -> None:
        report = self.report
        found = compare_leaves(first, second, self._dtype)
        if found.error > report.output_error:
            report.output_error = found.error
            report.output_path = found.path
        report.output_share = max(report.output_share, found.share)
        report.not_compared += [
            name for name in found.not_compared
            if name not in report.not_compared
        ]

    def _near_thresholds(self, neuron: SpikingNeuron,
                         membrane: torch.Tensor) -> torch.Tensor | None:
        """Which of its thresholds each potential lies on, but for rounding.

        Args:
            neuron (SpikingNeuron): The neuron, before it fires.
            membrane (Tensor): What it is given.

        Returns:
            Tensor | None: Of all time steps: d where the d-th spike is fired
            or just not, 0 elsewhere; None if that is so everywhere.
        """
        if self.spiking.form == 'free_running':
            return None  # it fires before all of its input is there
        potential = neuron.potentials(membrane) + neuron.offset
        threshold = potential.round().clamp(1, neuron.max_spikes)
        bound = TIE if self._dtype == torch.float64 else SHORT_TIE
        near = (potential - threshold).abs() <= (
            potential.abs().clamp(min=1) * bound)
        if not near.any():
            return None
        return torch.where(near, threshold, 0).to(torch.int32)

    def _row(self, name: str) -> NeuronEquality:
        row = self._rows.get(name)
        if row is None:
            row = self._rows[name] = NeuronEquality(name)
            self.report.rows.append(row)
        return row

    def _add(self, name: str, expected: '_Fired | None',
             actual: '_Fired | None') -> None:
        """Compare the counts of one firing, None where it did not happen."""
        row = self._row(name)
        found = [x.counts for x in (expected, actual) if x is not None]
        if expected is not None:
            row.training_spikes += int(expected.counts.sum())
        if actual is not None:
            row.spike_train_spikes += int(actual.counts.sum())
        number = max(x.numel() for x in found)
        row.neurons += number
        if len(found) < 2 or found[0].shape != found[1].shape:
            row.differences += number  # it is missing or ran on another shape
        elif number:
            difference = (found[1].int() - found[0].int()).abs()
            row.differences += int(difference.count_nonzero())
            row.max_difference = max(row.max_difference,
                                     int(difference.max()))
            if expected.near is not None and actual.near is not None:
                tied = (expected.near == actual.near) & (actual.near > 0)
                row.ties += int((tied & (difference > 0)).sum())


class _Fired(NamedTuple):
    """What a neuron has fired in one call, and where that was close."""

    counts: torch.Tensor
    near: torch.Tensor | None
    run: tuple[int, int] = (0, 0)  # numbers of the call and of the attempt


class _Calls(OrderedDict[str, list[_Fired]]):
    """What all neurons have fired, by their paths."""

    def add(self, firing: Firing, run: tuple[int, int] = (0, 0)) -> None:
        """Add a firing."""
        small = firing.neuron.max_spikes < 256
        kind = torch.uint8 if small else torch.int32
        self.setdefault(firing.path, []).append(
            _Fired(firing.counts.to(kind), firing.before, run))

    def keep_last_attempts(self) -> None:
        """Drop what was fired in runs that were given up."""
        last = dict(sorted(x.run for fired in self.values() for x in fired))
        for name, fired in list(self.items()):
            self[name] = [x for x in fired if x.run[1] == last[x.run[0]]]
            if not self[name]:
                del self[name]
