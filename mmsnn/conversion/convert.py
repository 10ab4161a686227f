"""Turning a trained model into its spike-train form."""

from threading import RLock
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_map

from mmsnn.conversion.counting.module_path import ModulePath
from mmsnn.conversion.counting.saved_state import SavedState
from mmsnn.conversion.counting.session import Session
from mmsnn.conversion.counting.trace_recording import TraceRecording, copies
from mmsnn.conversion.spikes.forms import (
    CountNeuron,
    SpikeTrainNeuron,
    SpikingForm,
    refuse_transforms,
)
from mmsnn.conversion.spikes.free_running_form import (
    FreeRunningNeuron,
    SoFar,
    run_substeps,
)
from mmsnn.conversion.spikes.results import decode_results
from mmsnn.conversion.upstream.copying import detached_copy
from mmsnn.conversion.upstream.double import in_its_precision
from mmsnn.conversion.upstream.mmcv_dispatch import expose_mmcv_ops
from mmsnn.conversion.upstream.time_of_parts import check_time_of_parts
from mmsnn.layers import deploy
from mmsnn.neurons import is_finite, is_spiking
from mmsnn.trace import OpTrace

from .batch import Batch, check_told
from .call_state import RunsOfOneCall
from .fold_proof import Folding, OtherWay

#: What becomes of the neurons in each form of a model.
NEURON_FORMS = dict(
    spikes=SpikeTrainNeuron,
    counts=CountNeuron,
    free_running=FreeRunningNeuron)

#: What was logged of trained models, which are converted at each evaluation.
_WARNED: WeakKeyDictionary[nn.Module, set[str]] = WeakKeyDictionary()


def to_spike_train(model: nn.Module,
                   form: str = 'spikes',
                   dtype: torch.dtype | None = None,
                   batch: str | int | None = None,
                   input_over_time: bool | None = None) -> 'SpikeTrainModel':
    """Convert a model to spike-driven inference.

    The result is a copy; the model itself is left as it is. Neurons become IF
    neurons that fire binary spikes over D sub-steps, synapses see only {0, 1}
    and add, biases enter once, re-parameterised layers are switched to deploy
    and batch norms folded.

    Args:
        model (nn.Module): A trained model; any model with spiking neurons,
            whole detectors and segmentors included.
        form (str): ``'spikes'`` runs sub-step by sub-step; ``'counts'`` runs
            spike counts at the cost of plain evaluation and counts the same.
            Both are lossless. ``'free_running'`` fires while input still
            arrives, which gives other results: compare it with
            :class:`EqualityCheck`; it records no trace. Defaults to
            ``'spikes'``.
        dtype (torch.dtype, optional): Convert parameters and inputs to it,
            e.g. ``torch.float64`` for the proof of equality.
        batch (str | int, optional): Name of the argument of the model that
            holds the images, or their number in each call, where arguments
            leave that open, see :class:`~mmsnn.conversion.batch.Batch`.
            Defaults to None.
        input_over_time (bool, optional): Whether the input of a model with
            T > 1 has time steps of its own (True), or is a still image that
            the model shows T times (False). Defaults to None: the recorded
            call tells.

    Returns:
        SpikeTrainModel: Called like the model. As a context manager it
        records the op trace.

    Raises:
        ValueError: If ``form`` is unknown, the model has no spiking neuron
            or is converted already, or a weight is NaN or infinite, or
            ``batch`` is a number below 1, or a neck or head has another T
            than what it is given.
        TypeError: If ``dtype`` is no ``torch.dtype``, or ``batch`` or
            ``input_over_time`` is of another kind.

    Example:
        >>> from mmsnn.layers import SpikeConv2d
        >>> conv = SpikeConv2d(1, 2, 3, neuron=dict(type='mmsnn.SFANeuron'))
        >>> with to_spike_train(conv) as spiking:
        ...     out = spiking(torch.ones(1, 1, 3, 3))
        >>> spiking.trace.total('sops')  # 9 inputs of 1.0 reach 2 outputs
        18
    """
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise TypeError(f'dtype must be a type such as torch.float64, but is '
                        f'{dtype!r}')
    check_told(batch, input_over_time)
    if form not in NEURON_FORMS:
        raise ValueError(f'form must be one of {", ".join(NEURON_FORMS)}, '
                         f'but is {form!r}')
    if any(isinstance(m, SpikingForm) for m in model.modules()):
        raise ValueError(f'{type(model).__name__} is in spike-train form '
                         'already: convert the trained model itself')
    if not any(is_spiking(m) for m in model.modules()):
        others = [
            f'; {path} is a {type(m).__name__}, which is no SpikingNeuron'
            for path, m in model.named_modules()
            if path.rpartition('.')[2] == 'neuron'
        ]
        raise ValueError(
            f'{type(model).__name__} has no spiking neuron: give its config '
            "a neuron such as dict(type='mmsnn.SFANeuron', max_spikes=4), or "
            'convert before tracing or compiling it' + ''.join(others[:1]))
    return SpikeTrainModel(model, form, dtype, batch, input_over_time)


def _refuse_copies(*_) -> NoReturn:
    raise TypeError('a converted model can be neither copied nor saved: copy '
                    'or save the trained model, and convert that')


class SpikeTrainModel(nn.Module):
    """A model in spike-train form; made by :func:`to_spike_train`.

    Args:
        model (nn.Module): The trained model.
        form (str): ``'spikes'``, ``'counts'`` or ``'free_running'``.
        dtype (torch.dtype, optional): Type of parameters and inputs; None
            leaves them as they are.
        batch (str | int, optional): Name of the argument that holds the
            images, or their number in each call.
        input_over_time (bool, optional): Whether the input has time steps of
            its own; None where a recorded call has to tell.

    Attributes:
        module (nn.Module): The converted copy.

    Raises:
        ValueError: If a weight is NaN or infinite.
    """

    def __init__(self,
                 model: nn.Module,
                 form: str = 'spikes',
                 dtype: torch.dtype | None = None,
                 batch: str | int | None = None,
                 input_over_time: bool | None = None) -> None:
        super().__init__()
        expose_mmcv_ops()
        self.form = form
        self.dtype = dtype
        self._batch = batch
        self._not_averaged = check_time_of_parts(model)
        self.module = detached_copy(model).eval()
        if dtype is not None:
            self.module.to(dtype)
        deploy(self.module)
        for parameter in self.module.parameters():
            parameter.requires_grad = False
        self._folding = Folding(self.module)
        for name, parameter in self.module.named_parameters():
            if not torch.isfinite(parameter).all():
                raise ValueError(f'{name} of the model holds NaN or infinite '
                                 'values: it can not be converted')
        self.session = Session()
        self._state: SavedState | None = None  # what a call may go back to
        self._one_call = RLock()  # the session is of one call at a time
        kind = NEURON_FORMS[form]
        if is_spiking(self.module):
            self.module = kind(self.module, '(model)', self.session)
        else:
            self._replace_neurons(kind)
        neurons = [m.neuron for m in self.module.modules()
                   if isinstance(m, SpikingForm)]
        self.session.timesteps = max(n.timesteps for n in neurons)
        self.session.substeps = max(n.max_spikes for n in neurons)
        self.session.input_over_time = input_over_time
        self.module.__reduce_ex__ = _refuse_copies
        self._recording = TraceRecording(
            self.module,
            self.session,
            by_plan=form == 'counts',
            around=self._folding.followed,
            save=self._save_state,
            warned=_WARNED.setdefault(model, set()))

    @property
    def trace(self) -> OpTrace:
        """What was recorded since recording was started last."""
        return self._recording.trace

    @property
    def folded_norms(self) -> int:
        """Number of batch norms folded into synapses: before the first call
        all that can be, then those of which it has proven that nothing
        changes."""
        return self._folding.folded_norms

    @property
    def unfolded(self) -> list[str]:
        """Batch norms that are not folded, as ``'path: reason'``."""
        return self._folding.unfolded

    @property
    def misplaced(self) -> list[str]:
        """Sentences on activations that were taken out though no neuron does
        their work, and on weights that code reads past their neuron, with the
        key to write: what the first call of each trace has shown. They are
        logged as warnings, too."""
        return self._recording.misplaced

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of an image of the latest call, such as (C, H, W)."""
        return self.session.image_shape

    def _replace_neurons(self, kind) -> None:
        made = {}
        for path, parent in list(self.module.named_modules()):
            for name, child in list(parent._modules.items()):
                if child is not None and is_spiking(child):
                    where = f'{path}.{name}' if path else name
                    if child not in made:  # a shared neuron stays shared
                        made[child] = kind(child, where, self.session)
                    setattr(parent, name, made[child])

    def start_recording(self, sample: bool = True) -> None:
        """Record a new op trace, until :meth:`stop_recording`.

        ``with`` does both.

        Args:
            sample (bool): Whether the first call counts each sub-step of its
                first image, too, and looks for misplaced activations. False
                for a trace that others are merged into. Defaults to True.

        Raises:
            ValueError: If the form is ``'free_running'``.

        Example:
            >>> from mmsnn.neurons import SFANeuron
            >>> spiking = to_spike_train(SFANeuron())
            >>> spiking.start_recording()
            >>> _ = spiking(torch.tensor([3.]))
            >>> spiking.stop_recording()
            >>> spiking.trace.total('emitted')
            3
        """
        if self.form == 'free_running':
            raise ValueError("form='free_running' records no op trace: record "
                             "one with form='counts'")
        self._recording.start(sample)

    def stop_recording(self) -> None:
        """Record no more calls; :attr:`trace` stays."""
        self._recording.stop()

    def __enter__(self) -> 'SpikeTrainModel':
        self.start_recording()
        return self

    def __exit__(self, *exc) -> None:
        self.stop_recording()

    __reduce_ex__ = _refuse_copies

    def train(self, mode: bool = True):
        """Stay in eval mode: a converted model is not trained.

        Args:
            mode (bool): Without effect.
        """
        return super().train(False)

    @torch.inference_mode(False)  # there, ops can't be told apart
    def forward(self, *args, **kwargs):
        """Run the model.

        Args:
            *args: Those of the model itself.
            **kwargs: Those of the model itself.

        Returns:
            What the model itself returns.

        Raises:
            ValueError: If an input is NaN or infinite, the arguments do not
                tell how many images there are, or predictions would be made
                of single time steps.
            RuntimeError: While a tracer or a transform follows operations.
            UnclassifiedOpError: If an op can't be classified; the message
                names its module.
        """
        refuse_transforms(type(self.module).__name__)
        if self._not_averaged and any(
                isinstance(x, str) and x == 'predict'
                for x in (*args, *kwargs.values())):
            raise ValueError(self._not_averaged)
        args, kwargs = tree_map(self._take, (args, kwargs))
        inputs = [
            x for x in tree_flatten((args, kwargs))[0]
            if isinstance(x, torch.Tensor)
        ]
        for x in inputs:
            if x.is_floating_point() and not is_finite(x):
                raise ValueError('the input of the converted model holds NaN '
                                 'or infinite values')
        device = inputs[0].device.type if inputs else 'cpu'
        with self._one_call, torch.no_grad(), torch.autocast(
                device, enabled=False), in_its_precision(self.module):
            found = Batch(self.module, args, kwargs, self._batch)
            self.session.images = found.images
            self.session.images_told = found.told
            self.session.image_shape = found.image_shape
            out = self._run(args, kwargs, inputs)
            # A neuron's own result is its spikes.
            alone = isinstance(self.module, SpikingForm)
            return out if alone else decode_results(out)

    def test_step(self, data):
        """Preprocess a batch and predict, like the model's ``test_step``.

        Args:
            data: What the data loader gave.

        Returns:
            What the model itself predicts.
        """
        with in_its_precision(self.module):
            data = self.module.data_preprocessor(data, False)
        if isinstance(data, dict):
            return self(**data, mode='predict')
        return self(*data, mode='predict')

    val_step = test_step

    def _run(self, args, kwargs, inputs):
        """Run the model; once more where a fold turns out to be wrong."""
        self.session.start_call()
        while True:
            if self._folding.prove(args, kwargs):
                self._forget_state()
            again = args, kwargs
            if self._folding.folded_norms:
                again = copies(args, kwargs)
            versions = [x._version for x in inputs]
            try:
                if self._recording.active:
                    return self._recording.run(args, kwargs, inputs)
                self._save_state()
                with self._folding.followed() as returned:
                    if self.form == 'free_running':
                        return self._run_substeps(args, kwargs)
                    out = self.module(*args, **kwargs)
                    returned(out)
                return out
            except OtherWay:
                self._forget_state()
                self.session.give_up(inputs, versions)
                args, kwargs = again

    def _save_state(self) -> None:
        """Save the state that the model has, where a fold may turn out to be
        wrong, or a trace asks what the call keeps. Free running saves it
        itself."""
        if self.form == 'free_running' or not (
                self._folding.folded_norms or self._recording.active):
            return
        if self._state is None:
            self._state = SavedState(self.module, (ModulePath, Session))
        self._state.save()
        self.session.saved = self._state

    def _forget_state(self) -> None:
        """Look at the model anew, since folds have changed it."""
        self._state = None
        self._recording.forget_plans()

    def _run_substeps(self, args, kwargs):
        """Run sub-step by sub-step; returns results of the last."""
        neurons = [m for m in self.module.modules()
                   if isinstance(m, FreeRunningNeuron)]
        runs = RunsOfOneCall(self.module, (ModulePath, Session, SoFar))
        self.session.saved = runs.state

        def run(last: bool) -> Any:
            # Arguments may be written to: only the last may keep that.
            given = (args, kwargs) if last else detached_copy((args, kwargs))
            return runs.run(lambda: self.module(*given[0], **given[1]))

        return run_substeps(self.session, neurons, run)

    def _take(self, x):
        if isinstance(x, torch.Tensor):
            x = x.clone() if x.is_inference() else x
            if self.dtype is not None and x.is_floating_point():
                x = x.to(self.dtype)
        return x
