"""Evaluation of a model in spike-train form, batch by batch.

This is the work behind ``SpikeInferenceHook``, which a test or a script can
do without a Runner.
"""

import copy
from collections.abc import Sequence
from logging import WARNING
from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from torch import nn
from torch.utils._pytree import tree_map

from mmsnn.conversion import EqualityCheck, EqualityReport, to_spike_train
from mmsnn.conversion.upstream.copying import detached_copy
from mmsnn.conversion.upstream.double import in_its_precision, precision
from mmsnn.engine.own_files import evaluator_with_own_files
from mmsnn.hardware import Chip, OperationsEstimate
from mmsnn.hardware.amounts import Amount, as_range
from mmsnn.hardware.operations.estimate import estimate_operations
from mmsnn.trace import OpTrace


class SpikeEvaluation:
    """Collects what the report of an evaluation in spike-train form needs.

    Whoever evaluates calls :meth:`compare` with each batch, runs it through
    :attr:`spiking`, and in the end calls :meth:`training_metrics` and
    :meth:`finish`. An op trace is recorded from the start until then. Several
    processes find what one does if each has a stretch of its batches, see
    :func:`mmsnn.engine.whole_batches.with_whole_batches`.

    Metrics of the training form get files of their own. Those that keep a
    path under a name that does not say so share it: in this order, what the
    spike-train form writes is written last.

    Args:
        model (BaseModel): The trained model, not wrapped.
        form (str): ``'spikes'`` or ``'counts'``, see
            :func:`mmsnn.conversion.to_spike_train`.
        proof_batches (int): Batches on which every neuron's spike count is
            compared between both forms. The proof always runs real spike
            trains, whatever ``form`` is. Defaults to 1.
        proof_dtypes (Sequence[str]): Floating-point types of the proof.
        evaluator (Evaluator, optional): Computes metrics of the training
            form. Defaults to None: the training form is not run.
        dtype (str, optional): Floating-point type of both forms where
            metrics are computed. Defaults to None: that of the model.
        first_batch (int): Number of the first batch of this process. Defaults
            to 0.

    Attributes:
        training (BaseModel): The training form.
        spiking (SpikeTrainModel): The converted model.
        moved (dict[str, str]): Paths that metrics write to in spike-train
            form -> in training form.
        equality (list[EqualityReport]): One report per floating-point type of
            the proof; after :meth:`finish`, of all processes.
        unfolded (list[str]): Batch norms that are not folded, as ``'path:
            reason'``; known after :meth:`finish`, of all processes.

    Raises:
        ValueError: If ``dtype`` or ``proof_dtypes`` names no floating-point
            type.
    """

    def __init__(self,
                 model: nn.Module,
                 form: str = 'spikes',
                 proof_batches: int = 1,
                 proof_dtypes: Sequence[str] = ('float64', 'float32'),
                 evaluator: Evaluator | None = None,
                 dtype: str | None = None,
                 first_batch: int = 0) -> None:
        self.training = model
        self.first_batch = first_batch
        kind = None if dtype is None else floating_type(dtype, 'dtype')
        if kind is not None:
            self.training = detached_copy(model).to(kind)
        self.spiking = to_spike_train(model, form, kind)
        self.evaluator, self.moved = None, {}
        if evaluator is not None:
            self.evaluator, self.moved = evaluator_with_own_files(
                evaluator, '_training_form')
        self.proof_batches = proof_batches
        self._proofs = [
            _Proof(model, dtype) for dtype in proof_dtypes
        ] if proof_batches else []
        self.equality = [proof.check.report for proof in self._proofs]
        self.unfolded: list[str] = []
        self._merged: OpTrace | None = None
        # Of one process, the first batch is sampled.
        self.spiking.start_recording(sample=not first_batch)

    @property
    def trace(self) -> OpTrace:
        """The op trace so far; after :meth:`finish`, of all processes."""
        return self._merged or self.spiking.trace

    @torch.no_grad()
    def compare(self, index: int, data_batch) -> Sequence | None:
        """Prove equality and run the training form on a batch.

        Args:
            index (int): Number of the batch in this process, from 0.
            data_batch (dict): What the data loader gave.

        Returns:
            Sequence[BaseDataElement] | None: Predictions in training form;
            None if it is not run.
        """
        if self.first_batch + index < self.proof_batches:
            for proof in self._proofs:
                proof.run(copy.deepcopy(data_batch))
        if self.evaluator is None:
            return None
        was_training = self.training.training
        data_batch = copy.deepcopy(data_batch)
        with in_its_precision(self.training):
            outputs = self.training.eval()(
                **_inputs(self.training, data_batch), mode='predict')
        self.training.train(was_training)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        return outputs

    def training_metrics(self, size: int) -> dict[str, Any]:
        """Compute the metrics of the training form.

        Args:
            size (int): Number of images that were evaluated.

        Returns:
            dict[str, Any]: By name, of whatever kind they are; empty without
            an evaluator.
        """
        return self.evaluator.evaluate(size) if self.evaluator else {}

    def finish(self, chip: str | Chip = 'cmos45') -> OperationsEstimate:
        """Stop recording, merge what all processes have found, and estimate
        the energy. All processes must call it at the same time.

        Args:
            chip (str | Chip): A chip spec that prices operations. Defaults to
                ``'cmos45'``.

        Returns:
            OperationsEstimate: Energy per image.
        """
        self.spiking.stop_recording()
        found = all_gather_object(
            (self.trace, self.equality, self.spiking.unfolded))
        traces, reports, unfolded = zip(*found)
        self._merged = OpTrace()
        for trace in traces:
            self._merged.include(trace)
        self.equality = [EqualityReport.merged(x) for x in zip(*reports)]
        ran = [x for trace, x in zip(traces, unfolded) if trace.images]
        self.unfolded = list(dict.fromkeys(r for x in ran for r in x))
        if any(set(x) != set(self.unfolded) for x in ran):
            print_log(
                'a norm was found not to fold only after some batches, in one '
                'process and not in another, so that counts may differ from '
                f'those of one process: {"; ".join(self.unfolded)}',
                logger='current', level=WARNING)
        return estimate_operations(self.trace, chip)

    def scalars(self, energy: OperationsEstimate) -> dict[str, float]:
        """Numbers that are logged like metrics.

        Args:
            energy (OperationsEstimate): What :meth:`finish` gave.

        Returns:
            dict[str, float]: Energies of the spiking form and its float twin
            in mJ per image (both ends of a range); SOPs and MACs per image,
            in units of 10^9; mean spikes per neuron and image; how many spike
            counts differ, and how many were compared, in each type of the
            proof.
        """
        spikes = self.trace.total('emitted')
        found = {
            **_numbers('energy', energy['spiking_fp32'].energy_mj),
            **_numbers('float_twin', energy['float_twin_fp32'].energy_mj),
            'gsops': self.trace.per_image('sops') / 1e9,
            'gmacs': self.trace.per_image('macs') / 1e9,
            'spikes_per_neuron': spikes / self.trace.neurons,
        }
        for report in self.equality:
            if report.images:
                found[f'differences_{report.dtype}'] = float(
                    report.total_differences)
                found[f'compared_{report.dtype}'] = float(
                    report.total_neurons)
        return found


def _numbers(name: str, energy: Amount) -> dict[str, float]:
    """An energy as one number, or as two if it is a range."""
    ends = as_range(energy)
    if ends.exact:
        return {f'{name}_mj': ends.low}
    return {f'{name}_low_mj': ends.low, f'{name}_high_mj': ends.high}


def floating_type(name: str, key: str) -> torch.dtype:
    """A floating-point type by its name.

    Args:
        name (str): Such as ``float64``.
        key (str): The argument that names it, for the error.

    Returns:
        torch.dtype: The type.

    Raises:
        ValueError: If there is no such type.
    """
    dtype = getattr(torch, str(name), None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f'{key} names {name!r}, which is no floating-point '
                         'type; valid: float64, float32')
    return dtype


def _inputs(model: nn.Module, data_batch) -> dict:
    """What a model predicts from, in its own floating-point type."""
    data = model.data_preprocessor(data_batch, False)
    data = data if isinstance(data, dict) else dict(
        zip(('inputs', 'data_samples'), data))
    dtype = precision(model)

    def cast(x):
        if isinstance(x, torch.Tensor) and x.is_floating_point():
            return x.to(dtype)
        return x

    return tree_map(cast, data)


class _Proof:
    """Both forms of a model in one floating-point type."""

    def __init__(self, model: nn.Module, dtype: str) -> None:
        self.model = detached_copy(model).to(
            floating_type(dtype, 'proof_dtypes')).eval()
        self.check = EqualityCheck(self.model, to_spike_train(self.model))

    def run(self, data_batch) -> None:
        data = _inputs(self.model, data_batch)
        again = copy.deepcopy(data)
        self.check.compare_calls(
            lambda: self.model(**data, mode='predict'),
            lambda: self.check.spiking(**again, mode='predict'))
