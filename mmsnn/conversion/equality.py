"""Proof that nothing changed: spike counts of both forms, neuron by neuron."""

from collections.abc import Callable
from itertools import zip_longest
from math import inf
from typing import NamedTuple

import torch
from torch import nn

from mmsnn.conversion.upstream.autocast import AutocastWatch, autocast_type
from mmsnn.conversion.upstream.double import in_its_precision, precision
from mmsnn.conversion.upstream.random_numbers import RandomNumbers
from mmsnn.neurons import SpikingNeuron

from .comparison import Comparison, compare_leaves
from .equality_report import (
    SHORT_TIE,
    TIE,
    EqualityReport,
    NeuronEquality,
    agree,
)
from .leaves import Leaf, leaves
from .rounding import MEASURABLE, NotRepeatableError, measure_rounding
from .watching import Firing, neuron_layers, watch_neurons


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
        self.report = EqualityReport(_name(dtype))
        self._rows: dict[str, NeuronEquality] = {}

    def compare(self, *args, **kwargs) -> tuple:
        """Call both forms and compare all counts, and what they return.

        The training form may run several times, see :meth:`compare_calls`.

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

        Both draw the same random numbers.

        Counts are kept until both forms have fired, in a byte each where D
        allows.

        Args:
            run_training (Callable): Calls the training form. Where counts
                agree, but results differ, it is called up to nine times
                more, to measure what rounding changes.
            run_spiking (Callable): Calls the spike-train form.

        Returns:
            tuple: What both have returned.

        Raises:
            ValueError: Under ``torch.autocast``, unless the model is float64.
        """
        rounded = autocast_type(self.training)
        if rounded is not None:
            raise ValueError(
                f'EqualityCheck was called under torch.autocast, which rounds '
                f'the training form to {_name(rounded)} and is off in '
                'spike-train form: call it outside of autocast, or compare '
                f'model.to(torch.{_name(rounded)}) or model.double()')
        near = self._near_thresholds
        drawn = RandomNumbers()  # noise is the same in both forms
        autocast = AutocastWatch(self.training)
        with torch.no_grad(), autocast, in_its_precision(
                self.training), watch_neurons(
                    self.training, _fired, near) as expected:
            first = run_training()
        if autocast.found is not None:
            self.report.rounded_to = _name(autocast.found)
        # Now, since the other form may write into the same objects.
        found = leaves(first)
        drawn.restore()
        with watch_neurons(self.spiking.module, _fired, near) as actual:
            second = run_spiking()
        expected, actual = _by_path(expected), _by_path(actual)

        def again():
            drawn.restore()
            return run_training()

        for name in (*expected, *(k for k in actual if k not in expected)):
            for fired in zip_longest(
                    expected.get(name, ()), actual.get(name, ())):
                self._add(name, *fired)
        self._compare_results(first, found, leaves(second), again, expected)
        self.report.images += self.spiking.session.images
        self.report.never_ran = [
            path for path, _ in neuron_layers(self.training)
            if path not in self._rows
        ]
        return first, second

    def _compare_results(self, results, first: list[Leaf], second: list[Leaf],
                         run_training: Callable,
                         fired: dict[str, list['_Fired']]) -> None:
        report = self.report
        dtype = self._dtype
        if report.rounded_to:
            dtype = getattr(torch, report.rounded_to)
        found = compare_leaves(first, second, dtype)
        if (not self._agree(found) and found.error < inf
                and dtype in MEASURABLE and not report.total_differences
                and _untouched(results, first)):
            counts = {path: [x.counts for x in calls]
                      for path, calls in fired.items()}
            try:
                for rounding in measure_rounding(run_training, self.training,
                                                 dtype, first, counts):
                    found = compare_leaves(first, second, dtype, rounding)
                    if self._agree(found):
                        break
            except NotRepeatableError as error:
                found.not_compared.append(str(error))
        if found.error > report.output_error:
            report.output_error = found.error
            report.output_path = found.path
        report.output_share = max(report.output_share, found.share)
        report.not_compared += [
            name for name in found.not_compared
            if name not in report.not_compared
        ]

    def _agree(self, found: Comparison) -> bool:
        return agree(found.error, found.share,
                     self.report.rounded_to or self.report.dtype)

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

    path: str
    counts: torch.Tensor
    near: torch.Tensor | None


def _fired(firing: Firing) -> _Fired:
    small = firing.neuron.max_spikes < 256
    kind = torch.uint8 if small else torch.int32
    return _Fired(firing.path, firing.counts.to(kind), firing.before)


def _by_path(found: list[_Fired]) -> dict[str, list[_Fired]]:
    """What all neurons have fired, in the order in which they fire first."""
    calls: dict[str, list[_Fired]] = {}
    for fired in found:
        calls.setdefault(fired.path, []).append(fired)
    return calls


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix('torch.')


def _untouched(results, first: list[Leaf]) -> bool:
    """Whether results are what they were when their leaves were taken: the
    other form has not written into the same objects, nor would another run
    of this form change what the other has returned."""
    written = any(x.version not in (None, x.tensor._version) for x in first
                  if x.tensor is not None)
    return not written and not compare_leaves(first, leaves(results)).error
