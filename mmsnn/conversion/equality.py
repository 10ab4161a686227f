"""Proof that nothing changed: spike counts of both forms, neuron by neuron."""

from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Dict, List

import torch
from torch import nn

from mmsnn.neurons import is_spiking

from .neurons import SpikingForm
from .spike_tensor import SpikeTensor


@dataclass
class NeuronEquality:
    """Comparison of one neuron layer.

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
    """

    dtype: str
    images: int = 0
    rows: List[NeuronEquality] = field(default_factory=list)

    @property
    def total_neurons(self) -> int:
        return sum(row.neurons for row in self.rows)

    @property
    def total_differences(self) -> int:
        return sum(row.differences for row in self.rows)

    @property
    def equal(self) -> bool:
        """Whether something was compared and nothing differed."""
        return self.total_neurons > 0 and self.total_differences == 0

    def __str__(self) -> str:
        worst = max(self.rows, key=lambda r: r.differences, default=None)
        text = (f'{self.total_differences} of {self.total_neurons} spike '
                f'counts differ in {self.dtype} ({len(self.rows)} neuron '
                f'layers, {self.images} images)')
        if worst is not None and worst.differences:
            text += (f'; most at {worst.module}: {worst.differences} of '
                     f'{worst.neurons}')
        return text


class EqualityCheck:
    """Collects the comparison over any number of batches.

    Args:
        training (nn.Module): The model in training form, in eval mode.
        spiking (SpikeTrainModel): The same model, converted.

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
        dtype, other = (
            next(model.parameters(), torch.empty(0)).dtype
            for model in (training, spiking))
        if dtype != other:
            raise ValueError(f'the training form is {dtype} but the '
                             f'spike-train form {other}: compare equal types')
        self.report = EqualityReport(str(dtype).split('.')[-1])
        self._rows: Dict[str, NeuronEquality] = OrderedDict()

    def compare(self, *args, **kwargs):
        """Call both forms and compare all counts.

        Returns:
            tuple: What the training form and the spike-train form returned.
        """
        return self.compare_calls(
            lambda: self.training(*args, **kwargs),
            lambda: self.spiking(*args, **kwargs))

    def compare_calls(self, run_training, run_spiking):
        """As :meth:`compare`, for calls other than ``forward``."""
        with torch.no_grad(), _counts(self.training) as expected:
            first = run_training()
        with _counts(self.spiking.module) as actual:
            second = run_spiking()
        for name in [*expected, *(n for n in actual if n not in expected)]:
            self._add(name, expected.get(name, []), actual.get(name, []))
        self.report.images += self.spiking.session.batch_size
        return first, second

    def _add(self, name, expected, actual) -> None:
        row = self._rows.get(name)
        if row is None:
            row = self._rows[name] = NeuronEquality(name)
            self.report.rows.append(row)
        row.training_spikes += sum(int(x.sum()) for x in expected)
        row.spike_train_spikes += sum(int(x.sum()) for x in actual)
        if [x.shape for x in expected] != [x.shape for x in actual]:
            # A neuron that is missing or ran on something else.
            number = max(
                sum(x.numel() for x in expected),
                sum(x.numel() for x in actual))
            row.neurons += number
            row.differences += number
            return
        for a, b in zip(expected, actual):
            difference = (a - b).abs()
            row.neurons += a.numel()
            row.differences += int(difference.count_nonzero())
            if a.numel():
                row.max_difference = max(row.max_difference,
                                         int(difference.max()))


@contextmanager
def _counts(model: nn.Module):
    """Spike counts of every neuron of a model while it runs, by path."""
    counts: Dict[str, List[torch.Tensor]] = OrderedDict()

    def hook(name):

        def keep(module, args, output):
            if isinstance(output, SpikeTensor):
                with module.session.unrecorded():
                    found = output.counts().to(torch.int32)
            else:
                found = (output / module.scale).round().to(torch.int32)
            counts.setdefault(name, []).append(found)

        return keep

    handles = []
    for name, module in model.named_modules(remove_duplicate=True):
        parent, _, leaf = name.rpartition('.')
        inside = leaf == 'neuron' and isinstance(
            model.get_submodule(parent), SpikingForm)
        if isinstance(module,
                      SpikingForm) or (is_spiking(module) and not inside):
            handles.append(module.register_forward_hook(hook(name)))
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()
