"""Turning a trained model into its spike-train form."""

import copy
from contextlib import nullcontext

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_map

from mmsnn.conversion.counting.plan import (
    CountingPlan,
    PlanMismatch,
    Replay,
    signature,
)
from mmsnn.conversion.counting.recorder import ModulePath, OpRecorder
from mmsnn.conversion.counting.tensor_sources import Literals, Provenance
from mmsnn.conversion.spikes.forms import CountNeuron, SpikingForm, TrainNeuron
from mmsnn.conversion.spikes.free_running_form import (
    FreeRunningNeuron,
    last_substep,
    repeat,
)
from mmsnn.conversion.upstream.double import in_its_precision
from mmsnn.conversion.upstream.mmcv_dispatch import expose_extensions
from mmsnn.layers import deploy
from mmsnn.neurons import is_spiking
from mmsnn.trace import OpTrace

from .fold import fold_norms

#: Names of the forms in configs.
FORMS = dict(
    spikes=TrainNeuron, counts=CountNeuron, free_running=FreeRunningNeuron)

#: Kinds of calls (shapes, metainfo) that counting is prepared for at a time.
MOST_PLANS = 8


def to_spike_train(model: nn.Module,
                   form: str = 'spikes',
                   dtype: torch.dtype | None = None) -> 'SpikeTrainModel':
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

    Returns:
        SpikeTrainModel: Called like the model. As a context manager it
        records the op trace.

    Raises:
        ValueError: If ``form`` is unknown, the model has no spiking neuron
            or is converted already, or a weight is NaN or infinite.

    Example:
        >>> from mmsnn.layers import SpikeConv2d
        >>> conv = SpikeConv2d(1, 2, 3, neuron=dict(type='mmsnn.SFANeuron'))
        >>> with to_spike_train(conv) as spiking:
        ...     out = spiking(torch.ones(1, 1, 3, 3))
        >>> spiking.trace.total('sops')  # 9 inputs of 1.0 reach 2 outputs
        18
    """
    if form not in FORMS:
        raise ValueError(f'form must be one of {", ".join(FORMS)}, '
                         f'but is {form!r}')
    if any(isinstance(m, SpikingForm) for m in model.modules()):
        raise ValueError(f'{type(model).__name__} is in spike-train form '
                         'already: convert the trained model itself')
    if not any(is_spiking(m) for m in model.modules()):
        raise ValueError(
            f'{type(model).__name__} has no spiking neuron: give its config '
            "a neuron such as dict(type='mmsnn.SFANeuron', max_spikes=4)")
    return SpikeTrainModel(model, form, dtype)


class SpikeTrainModel(nn.Module):
    """A model in spike-train form; made by :func:`to_spike_train`.

    Attributes:
        module (nn.Module): The converted copy.
        folded_norms (int): Number of batch norms folded into synapses.
    """

    def __init__(self, model: nn.Module, form: str,
                 dtype: torch.dtype | None) -> None:
        super().__init__()
        expose_extensions()
        self.form = form
        self.dtype = dtype
        self.module = copy.deepcopy(model).eval()
        if dtype is not None:
            self.module.to(dtype)
        deploy(self.module)
        for parameter in self.module.parameters():
            parameter.requires_grad = False
        self.folded_norms = fold_norms(self.module)
        for name, parameter in self.module.named_parameters():
            if not torch.isfinite(parameter).all():
                raise ValueError(f'{name} of the model holds NaN or infinite '
                                 'values: it can not be converted')
        self.session = Session()
        if is_spiking(self.module):
            self.module = FORMS[form](self.module, '(model)', self.session)
        else:
            self._replace_neurons(FORMS[form])
        neurons = [m.neuron for m in self.module.modules()
                   if isinstance(m, SpikingForm)]
        self._timesteps = max(n.timesteps for n in neurons)
        self.session.substeps = max(n.max_spikes for n in neurons)
        self.path = ModulePath(self.module)
        self._trace = OpTrace()
        self._recording = False
        self._sampled = False  # the costly part, once per trace
        self._plans: dict[tuple, CountingPlan] = {}
        self._pending: CountingPlan | None = None  # not in the trace yet

    @property
    def trace(self) -> OpTrace:
        """What was recorded since the context was entered last."""
        if self._pending is not None:
            self._pending.flush(self._trace)
        return self._trace

    def _replace_neurons(self, kind) -> None:
        made = {}
        for path, parent in list(self.module.named_modules()):
            for name, child in list(parent._modules.items()):
                if child is not None and is_spiking(child):
                    where = f'{path}.{name}' if path else name
                    if child not in made:  # a shared neuron stays shared
                        made[child] = kind(child, where, self.session)
                    setattr(parent, name, made[child])

    def __enter__(self) -> 'SpikeTrainModel':
        if self.form == 'free_running':
            raise ValueError("form='free_running' records no op trace: record "
                             "one with form='counts'")
        _ = self.trace  # what belongs to the one before
        self._trace = OpTrace()
        self._recording, self._sampled = True, False
        return self

    def __exit__(self, *exc) -> None:
        self._recording = False
        _ = self.trace  # a trace that was handed out is whole by now

    def __deepcopy__(self, memo):
        raise TypeError('a converted model can not be copied: convert the '
                        'trained model once more')

    def train(self, mode: bool = True):
        """Stay in eval mode: a converted model is not trained."""
        return super().train(False)

    def forward(self, *args, **kwargs):
        """Run the model, with its own arguments and results.

        Raises:
            ValueError: If an input is NaN or infinite.
            UnclassifiedOpError: If an op can't be classified; the message
                names its module.
        """
        return self._run(self.module, *args, **kwargs)

    def test_step(self, data):
        """As the model's ``test_step``: preprocess, predict."""
        data = self.module.data_preprocessor(data, False)
        if isinstance(data, dict):
            return self._run(self.module, **data, mode='predict')
        return self._run(self.module, *data, mode='predict')

    val_step = test_step

    @torch.inference_mode(False)  # there, ops can't be told apart
    def _run(self, function, *args, **kwargs):
        args, kwargs = tree_map(self._take, (args, kwargs))
        images = [
            x for x in tree_flatten((args, kwargs))[0]
            if isinstance(x, torch.Tensor) and x.is_floating_point()
        ]
        for x in images:
            if not torch.isfinite(x).all():
                raise ValueError('the input of the converted model holds NaN '
                                 'or infinite values')
        self.session.images = self.session.batch_size = next(
            (x.shape[0] for x in images if x.dim()), 1)
        # (N, T, C, H, W) is data with time, anything else is repeated.
        still = all(x.dim() != 5 for x in images)
        self.session.repeats = self._timesteps if still else 1

        def call():
            return function(*args, **kwargs)

        if self.form == 'free_running':
            call = self._every_substep(function, args, kwargs)

        device = images[0].device.type if images else 'cpu'
        with torch.no_grad(), torch.autocast(
                device, enabled=False), in_its_precision(self.module):
            if not self._recording:
                return call()
            key = signature((args, kwargs))
            plan = self._plans.get(key) if self._sampled else None
            if plan is not self._pending:
                _ = self.trace  # in the order of the calls
                self._pending = plan
            if plan is not None:
                # Data samples are written to: a second try needs its own.
                again = {
                    k: v if isinstance(v, torch.Tensor) else copy.deepcopy(v)
                    for k, v in kwargs.items()
                }
                try:
                    return self._replay(call, plan)
                except PlanMismatch:
                    kwargs = again
            out, plan = self._record(call, images)
        if self.form == 'counts' and plan.static and key is not None:
            while len(self._plans) >= MOST_PLANS:
                del self._plans[next(iter(self._plans))]  # the oldest
            self._plans[key] = plan
        return out

    def _every_substep(self, function, args, kwargs):
        """Runs all sub-steps side by side; gives results after the last."""
        images, substeps = self.session.images, self.session.substeps
        args = [repeat(x, images, substeps) for x in args]
        kwargs = repeat(kwargs, images, substeps)
        self.session.batch_size = images * substeps
        return lambda: last_substep(
            function(*args, **kwargs), images, substeps)

    def _record(self, call, images):
        """Run with every op watched. Nothing reaches the trace before the
        call has ended."""
        size = tuple(images[0].shape[1:]) if images else ()
        plan = CountingPlan(size)
        trace = OpTrace(images=self.session.batch_size)
        provenance = Provenance(self.module, images)
        recorder = OpRecorder(
            self.path, trace, plan, self.session.repeats, provenance,
            sample=not self._sampled)
        self.session.recorder = recorder
        try:
            with self.path.watched(), recorder, Literals(provenance):
                out = call()
        finally:
            self.session.recorder = None
        trace.end_run(size)
        self._trace.include(trace)
        self._sampled = True
        return out, plan

    def _replay(self, call, plan: CountingPlan):
        """Run with only the neurons watched."""
        self.session.replay = plan.replay(self.session.batch_size)
        try:
            out = call()
            self.session.replay.finish()
        finally:
            self.session.replay = None
        return out

    def _take(self, x):
        if isinstance(x, torch.Tensor):
            x = x.clone() if x.is_inference() else x
            if self.dtype is not None and x.is_floating_point():
                x = x.to(self.dtype)
        return x


class Session:
    """What a converted model's neurons need to know of the running call."""

    def __init__(self) -> None:
        self.recorder: OpRecorder | None = None
        self.replay: Replay | None = None
        self.images = 1
        self.batch_size = 1  # rows: images, times sub-steps if free running
        self.substeps = 1
        self.repeats = 1

    def unrecorded(self):
        """Context in which ops are not recorded."""
        return self.recorder.paused() if self.recorder else nullcontext()
