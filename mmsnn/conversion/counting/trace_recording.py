"""Recording the op trace of a converted model over many calls."""

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from logging import WARNING
from typing import Any

import torch
from mmengine.logging import print_log
from torch import nn
from torch.utils._pytree import tree_leaves

from mmsnn.conversion.upstream.copying import detached_copy
from mmsnn.conversion.upstream.random_numbers import RandomNumbers
from mmsnn.conversion.upstream.unbatched import Unbatched
from mmsnn.trace import OpTrace

from .module_path import ModulePath
from .placement import PlacementWatch
from .plan import CountingPlan, signature
from .recorder import OpRecorder
from .replay import PlanMismatch, Replay
from .saved_state import SavedState
from .session import Session
from .tensor_sources import Literals, TensorSources
from .time_axis import TimeAxis
from .value_reads import ValueReads

#: Kinds of calls (shapes, metainfo) of which plans are kept at a time.
MOST_PLANS = 8


class TraceRecording:
    """The op trace of a converted model, and how its calls get into it.

    The first call of a kind is recorded op by op. Further ones are counted by
    a plan where Python can only take the same way through the model: where it
    has seen no values of tensors, has drawn no random numbers, and finds its
    own state as it was. A call that takes another way nevertheless is run
    once more, op by op.

    Args:
        module (nn.Module): The model, its neurons in spiking form.
        session (Session): What its neurons know of the running call.
        by_plan (bool): Whether its neurons can count by a plan.
        around (Callable): Makes the context of each run of the model. It
            gives a function that is told what the model returns. Either may
            raise: then nothing of the run is recorded.
        save (Callable): Saves the state that the model has, before a run.
        warned (set[str]): What was logged of this model as misplaced so far.

    Attributes:
        active (bool): Whether calls are recorded.
        misplaced (list[str]): What the first call of each trace has shown of
            activations without a neuron, and of weights that code reads past
            their neuron, see :class:`PlacementWatch`.
    """

    def __init__(self, module: nn.Module, session: Session,
                 by_plan: bool, around: Callable, save: Callable,
                 warned: set[str]) -> None:
        self.active = False
        self.misplaced: list[str] = []
        self._warned = warned
        self._around = around
        self._save = save
        self._module = module
        self._session = session
        self._by_plan = by_plan
        self._path = ModulePath(module)
        self._trace = OpTrace()
        self._has_substeps = False  # costly, so once per trace
        self._plans: dict[tuple, tuple[CountingPlan, SavedState]] = {}
        self._pending: CountingPlan | None = None  # not in the trace yet
        self._reads_values = False  # the latest call that was recorded
        # What calls have left behind that follows their input: tensors, and
        # which values were read that may have been kept as numbers.
        self._kept: set = set()
        self._earlier = ''
        self._unsteady: set[tuple] = set()  # calls that no plan holds for

    @property
    def trace(self) -> OpTrace:
        """What was recorded since the last start."""
        self._flush()
        return self._trace

    def _flush(self) -> None:
        """Move what was counted by the latest plan into the trace."""
        if self._pending is not None:
            self._pending.flush(self._trace)

    def start(self, sample: bool = True) -> None:
        """Record a new trace from now on.

        Args:
            sample (bool): Whether the first call counts each sub-step of its
                first image. Defaults to True.
        """
        self._flush()  # into the trace before
        self._trace = OpTrace()
        self.active, self._has_substeps = True, not sample

    def stop(self) -> None:
        """Record no more calls."""
        self.active = False
        self._flush()  # a trace that was handed out is whole by now

    def forget_plans(self) -> None:
        """Record what comes next op by op: the model has changed."""
        self._flush()
        self._pending = None
        self._plans.clear()

    def run(self, args: tuple, kwargs: dict,
            inputs: list[torch.Tensor]) -> Any:
        """Run the model and record the call.

        Args:
            args (tuple): Arguments of the model.
            kwargs (dict): Its keyword arguments.
            inputs (list[Tensor]): Those of them that are tensors.

        Returns:
            What the model returns.
        """
        key = signature((args, kwargs))
        plan = self._find_plan(key)
        if plan is not self._pending:
            self._flush()  # in the order of the calls
            self._pending = plan
        if plan is not None:
            session, again = self._session, copies(args, kwargs)
            session.saved = self._plans[key][1]
            session.saved.save(same=True)
            versions = [x._version for x in inputs]
            try:
                return self._replay(plan, args, kwargs)
            except PlanMismatch:
                session.give_up(inputs, versions)
                args, kwargs = again
                del self._plans[key]
                self._unsteady.add(key)
        self._save()
        return self._record(key, args, kwargs, inputs)

    def _find_plan(self, key: tuple | None) -> CountingPlan | None:
        if key not in self._plans or not self._has_substeps:
            return None
        plan, state = self._plans[key]
        if state.is_same():
            return plan
        del self._plans[key]
        return None

    def _record(self, key, args, kwargs, inputs) -> Any:
        """Run with every op watched. Nothing reaches the trace before the
        call has ended."""
        session = self._session
        plan, kept = CountingPlan(session.image_shape), self._kept
        trace = OpTrace(images=session.images)
        sources = TensorSources(self._module, inputs, self._kept)
        reads = ValueReads(session)
        may_plan = (self._by_plan and key is not None and
                    key not in self._unsteady)
        before = None
        if may_plan and not self._reads_values:
            before = self._python_state(), RandomNumbers().of_python
        session.recorder = OpRecorder(
            self._path, trace, plan, 1, sources,
            substeps=not self._has_substeps, earlier=self._earlier)
        recorded = session.recorder.reads
        placement = None
        if not self._has_substeps:
            placement = PlacementWatch(self._path, sources)
            session.recorder.placement = placement
        try:
            with ExitStack() as watching:
                if placement is not None:
                    watching.enter_context(placement.watched())
                for context in (self._path.watched(), session.recorder,
                                self._time_axis(inputs), Literals(sources),
                                self._unbatched(), reads):
                    watching.enter_context(context)
                with self._around() as returned:
                    out = self._module(*args, **kwargs)
                    with session.unrecorded():
                        returned(out)
        finally:
            session.recorder = None
        if placement is not None:
            placement.returned(out)
            self.misplaced = placement.faults()
            self._warn()
        self._keep(sources, recorded.first)
        plan.visits = tuple(self._path.visits)
        trace.end_run(session.image_shape)
        self._trace.include(trace)
        self._has_substeps = True
        self._reads_values = reads.found or not plan.static
        if not self._reads_values and before is not None and kept == (
                self._kept):
            state, drawn = before
            if state.is_same() and drawn == RandomNumbers().of_python:
                while len(self._plans) >= MOST_PLANS:
                    del self._plans[next(iter(self._plans))]  # the oldest
                self._plans[key] = plan, state
        return out

    def _keep(self, sources: TensorSources, read: str) -> None:
        """Note what a call has left behind that may follow its input."""
        kept = sources.kept(self._module)
        if kept != self._kept:  # what is static in a plan may be so no more
            self._plans.clear()
            self._kept = kept
        if read and not self._earlier and self._session.saved.take_changes():
            self._earlier = f'{read}, in an earlier call'

    def _warn(self) -> None:
        """Say once what is misplaced."""
        for fault in self.misplaced:
            if fault not in self._warned:
                self._warned.add(fault)
                print_log(f'{type(self._module).__name__}: {fault}',
                          logger='current', level=WARNING)

    def _time_axis(self, inputs):
        """Context in which the recorder gets to know of repeated images."""
        if self._session.timesteps == 1:
            return nullcontext()
        time_axis = TimeAxis(self._session, inputs)
        self._session.recorder.time_axis = time_axis
        return time_axis

    def _unbatched(self):
        """Context in which an image without a batch axis is refused, where
        nothing has said how many images there are."""
        if self._session.images_told:
            return nullcontext()
        return Unbatched(lambda: self._path.name,
                         len(self._session.image_shape) + 1)

    def _python_state(self) -> SavedState:
        return SavedState(self._module, (ModulePath, Session))

    def _replay(self, plan: CountingPlan, args, kwargs) -> Any:
        """Run with only the neurons watched, and the order of modules."""
        session = self._session
        session.replay = Replay(plan, session.images)
        try:
            with self._path.visited(), self._around() as returned:
                out = self._module(*args, **kwargs)
                returned(out)
            session.replay.finish(self._path.visits)
        finally:
            session.replay = None
        return out


def copies(args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """Arguments for another run: data samples are written to.

    Args:
        args (tuple): Arguments of a model.
        kwargs (dict): Its keyword arguments.

    Returns:
        tuple[tuple, dict]: The same, copied where they are no tensors.

    Example:
        >>> names = ['a']
        >>> (x, y), _ = copies((names, names), {})
        >>> x is y, x is names
        (True, False)
    """
    return detached_copy((args, kwargs), {
        id(x): x for x in tree_leaves((args, kwargs))
        if isinstance(x, torch.Tensor)})
