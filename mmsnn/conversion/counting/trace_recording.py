"""Recording the op trace of a converted model over many calls."""

import copy
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mmsnn.trace import OpTrace

from .plan import CountingPlan, signature
from .recorder import ModulePath, OpRecorder
from .replay import PlanMismatch, Replay
from .tensor_sources import Literals, TensorSources

#: Kinds of calls (shapes, metainfo) of which plans are kept at a time.
MOST_PLANS = 8


@dataclass(eq=False)
class Session:
    """What a converted model's neurons need to know of the running call.

    Attributes:
        recorder (OpRecorder | None): Set while every op is watched.
        replay (Replay | None): Set while a call is counted by a plan.
        images (int): N, the images of the call.
        batch_size (int): Rows of the call: N, or N * D in free running.
        substeps (int): D, the most of all neurons.
        repeats (int): In how many time steps the same images are shown.
        image_shape (tuple[int]): Shape of an image as the model got it.
    """

    recorder: OpRecorder | None = None
    replay: Replay | None = None
    images: int = 1
    batch_size: int = 1
    substeps: int = 1
    repeats: int = 1
    image_shape: tuple[int, ...] = ()

    def unrecorded(self):
        """Context in which ops are not recorded."""
        return self.recorder.paused() if self.recorder else nullcontext()


class TraceRecording:
    """The op trace of a converted model, and how its calls get into it.

    The first call of a kind is recorded op by op. If the model does the same
    in each call of that kind, further ones are counted by a plan.

    Args:
        module (nn.Module): The model, its neurons in spiking form.
        session (Session): What its neurons know of the running call.
        by_plan (bool): Whether its neurons can count by a plan.

    Attributes:
        active (bool): Whether calls are recorded.
    """

    def __init__(self, module: nn.Module, session: Session,
                 by_plan: bool) -> None:
        self.active = False
        self._module = module
        self._session = session
        self._by_plan = by_plan
        self._path = ModulePath(module)
        self._trace = OpTrace()
        self._has_substeps = False  # costly, so once per trace
        self._plans: dict[tuple, CountingPlan] = {}
        self._pending: CountingPlan | None = None  # not in the trace yet

    @property
    def trace(self) -> OpTrace:
        """What was recorded since the last start."""
        self._flush()
        return self._trace

    def _flush(self) -> None:
        """Move what was counted by the latest plan into the trace."""
        if self._pending is not None:
            self._pending.flush(self._trace)

    def start(self) -> None:
        """Record a new trace from now on."""
        self._flush()  # into the trace before
        self._trace = OpTrace()
        self.active, self._has_substeps = True, False

    def stop(self) -> None:
        """Record no more calls."""
        self.active = False
        self._flush()  # a trace that was handed out is whole by now

    def run(self, args: tuple, kwargs: dict,
            images: list[torch.Tensor]) -> Any:
        """Run the model and record the call.

        Args:
            args (tuple): Arguments of the model.
            kwargs (dict): Its keyword arguments.
            images (list[Tensor]): Those of them that hold real values, the
                batch of images first.

        Returns:
            What the model returns.
        """
        key = signature((args, kwargs))
        plan = self._plans.get(key) if self._has_substeps else None
        if plan is not self._pending:
            self._flush()  # in the order of the calls
            self._pending = plan
        if plan is not None:
            # Data samples are written to: a second try needs its own.
            again = {
                k: v if isinstance(v, torch.Tensor) else copy.deepcopy(v)
                for k, v in kwargs.items()
            }
            try:
                return self._replay(plan, args, kwargs)
            except PlanMismatch:
                kwargs = again
        out, plan = self._record(args, kwargs, images)
        if self._by_plan and plan.static and key is not None:
            while len(self._plans) >= MOST_PLANS:
                del self._plans[next(iter(self._plans))]  # the oldest
            self._plans[key] = plan
        return out

    def _record(self, args, kwargs, images) -> tuple[Any, CountingPlan]:
        """Run with every op watched. Nothing reaches the trace before the
        call has ended."""
        session = self._session
        plan = CountingPlan(session.image_shape)
        trace = OpTrace(images=session.batch_size)
        sources = TensorSources(self._module, images)
        session.recorder = OpRecorder(
            self._path, trace, plan, session.repeats, sources,
            substeps=not self._has_substeps)
        try:
            with self._path.watched(), session.recorder, Literals(sources):
                out = self._module(*args, **kwargs)
        finally:
            session.recorder = None
        trace.end_run(session.image_shape)
        self._trace.include(trace)
        self._has_substeps = True
        return out, plan

    def _replay(self, plan: CountingPlan, args, kwargs) -> Any:
        """Run with only the neurons watched."""
        session = self._session
        session.replay = Replay(plan, session.batch_size)
        try:
            out = self._module(*args, **kwargs)
            session.replay.finish()
        finally:
            session.replay = None
        return out
