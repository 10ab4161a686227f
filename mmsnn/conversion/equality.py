"""Proof that nothing changed: spike counts of both forms, neuron by neuron."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf, isfinite

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import nn

from mmsnn.conversion.spikes.spike_tensor import decode
from mmsnn.conversion.upstream.double import in_its_precision, precision

from .watching import Firing, neuron_layers, watch_neurons


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
    """

    module: str
    neurons: int = 0
    differences: int = 0
    max_difference: int = 0
    training_spikes: int = 0
    spike_train_spikes: int = 0


@dataclass
class EqualityReport:
    """Comparison of all neurons of a model in both forms.

    Attributes:
        dtype (str): Floating-point type of both runs.
        images (int): Images compared.
        rows (list[NeuronEquality]): One per neuron layer.
        output_error (float): Largest difference between what both forms
            returned, relative to the largest value: no neuron stands behind
            the last layers. Infinite if a shape, a label or a mask differs.
        never_ran (list[str]): Neuron layers that no batch has reached.

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

    @property
    def total_neurons(self) -> int:
        """Neurons compared, over all layers."""
        return sum(row.neurons for row in self.rows)

    @property
    def total_differences(self) -> int:
        """Neurons whose spike count differs, over all layers."""
        return sum(row.differences for row in self.rows)

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
        """Whether something was compared and nothing differed.

        In float64 results have to agree, too. In shorter types the order of
        sums changes them, so that only spike counts decide.
        """
        return (self.total_neurons > 0 and self.total_differences == 0
                and (self.outputs_agree or self.dtype != 'float64'))

    @property
    def outputs_agree(self) -> bool:
        """Whether both forms returned the same, but for rounding."""
        return self.output_error <= 1e-9

    def __str__(self) -> str:
        worst = max(self.rows, key=lambda r: r.differences, default=None)
        text = (f'{self.total_differences} of {self.total_neurons} spike '
                f'counts differ in {self.dtype} ({len(self.rows)} neuron '
                f'layers, {self.images} images)')
        if worst is not None and worst.differences:
            text += (f'; most at {worst.module}: {worst.differences} of '
                     f'{worst.neurons}')
        if self.dtype == 'float64' and not self.outputs_agree:
            text += f'; results differ by up to {self.output_error:.1e}'
        for what, layers in (('never ran', self.never_ran),
                             ('never fired', self.silent)):
            if layers:
                text += f'; {len(layers)} {what}: {", ".join(layers[:3])}'
                text += ', ...' if len(layers) > 3 else ''
        return text


class EqualityCheck:
    """Compares both forms of a model over any number of batches.

    Args:
        training (nn.Module): The model in training form, in eval mode.
        spiking (SpikeTrainModel): The same model, converted.

    Attributes:
        report (EqualityReport): The comparison so far.

    Raises:
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
        self.training = training
        self.spiking = spiking
        dtype, other = precision(training), precision(spiking)
        if dtype != other:
            raise ValueError(f'the training form is {dtype} but the '
                             f'spike-train form {other}: compare equal types')
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

        Counts of the training form are kept until the spike-train form has
        fired, in a byte each where D allows.

        Args:
            run_training (Callable): Calls the training form.
            run_spiking (Callable): Calls the spike-train form.

        Returns:
            tuple: What both have returned.
        """
        expected: dict[str, deque[torch.Tensor]] = OrderedDict()

        def keep(firing: Firing) -> None:
            small = firing.neuron.max_spikes < 256
            self._row(firing.path)  # in the order of the training form
            expected.setdefault(firing.path, deque()).append(
                firing.counts.to(torch.uint8 if small else torch.int32))

        def compare(firing: Firing) -> None:
            calls = expected.get(firing.path)
            self._add(firing.path, calls.popleft() if calls else None,
                      firing.counts)

        with torch.no_grad(), in_its_precision(self.training), watch_neurons(
                self.training, keep):
            first = run_training()
        with watch_neurons(self.spiking.module, compare):
            second = run_spiking()
        for name, calls in expected.items():
            for counts in calls:
                self._add(name, counts, None)
        self.report.images += self.spiking.session.images
        self.report.never_ran = [
            path for path, _ in neuron_layers(self.training)
            if path not in self._rows
        ]
        self.report.output_error = max(
            self.report.output_error,
            _difference(list(_results(first)), list(_results(second))))
        return first, second

    def _row(self, name: str) -> NeuronEquality:
        row = self._rows.get(name)
        if row is None:
            row = self._rows[name] = NeuronEquality(name)
            self.report.rows.append(row)
        return row

    def _add(self, name: str, expected: torch.Tensor | None,
             actual: torch.Tensor | None) -> None:
        """Compare the counts of one firing, None where it did not happen."""
        row = self._row(name)
        found = [x for x in (expected, actual) if x is not None]
        if expected is not None:
            row.training_spikes += int(expected.sum())
        if actual is not None:
            row.spike_train_spikes += int(actual.sum(dtype=torch.float64))
        number = max(x.numel() for x in found)
        row.neurons += number
        if len(found) < 2 or expected.shape != actual.shape:
            row.differences += number  # it is missing or ran on another shape
        elif number:
            difference = (actual - expected).abs()
            row.differences += int(difference.count_nonzero())
            row.max_difference = max(row.max_difference,
                                     int(difference.max()))


def _results(x) -> Iterator[torch.Tensor]:
    """All tensors and arrays in what a model returned."""
    if isinstance(x, BaseDataElement):
        x = dict(sorted(x.items()))  # its names are a set
    x = getattr(x, 'tensor', x)  # mmdet's boxes
    if isinstance(x, torch.Tensor):
        yield decode(x)
    elif isinstance(x, np.ndarray):
        yield torch.from_numpy(x)
    elif isinstance(x, dict):
        for value in x.values():
            yield from _results(value)
    elif isinstance(x, (list, tuple)):
        for value in x:
            yield from _results(value)


def _difference(first: list[torch.Tensor],
                second: list[torch.Tensor]) -> float:
    """See :attr:`EqualityReport.output_error`."""
    if [x.shape for x in first] != [x.shape for x in second]:
        return inf
    error = 0.
    for a, b in zip(first, second):
        unequal = (a != b) & ~(a.isnan() & b.isnan())
        if not unequal.any():
            continue
        if not a.is_floating_point():
            return inf
        gap = (a - b)[unequal].abs().max().item()
        largest = a[a.isfinite()].abs().max().item() if isfinite(gap) else 1.
        error = max(error, gap / (largest or 1.)) if isfinite(gap) else inf
    return error
