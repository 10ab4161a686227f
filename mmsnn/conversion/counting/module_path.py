"""Which module of a model is running."""

from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from functools import wraps
from inspect import ismethod

from torch import nn

from mmsnn.conversion.spikes.forms import SpikingForm
from mmsnn.conversion.spikes.threads import check_thread, recording_thread

#: Methods by which detectors and segmentors of upstream use their heads,
#: beside ``forward``: what is done with a head's results happens in there.
METHODS = ('predict', 'predict_by_feat')

#: Packages whose classes mean that by these names.
UPSTREAM = frozenset("""
    mmaction mmagic mmcls mmdet mmdet3d mmengine mmocr mmpose mmpretrain
    mmrotate mmseg mmselfsup mmtrack mmyolo
""".split())


class ModulePath:
    """Knows which module of a model is running, while it is watched.

    The ``forward`` of each module is wrapped, to keep a stack of the modules
    that are running: many heads are run by a method of their own that calls
    ``forward``, so that hooks would not see them. The :data:`METHODS` of
    classes of upstream are wrapped, too. All state is kept here, for one
    converted model.

    Args:
        model (nn.Module): The model. Its modules are changed for good, and
            run as before.

    Attributes:
        model (nn.Module): The model.
        visits (list[str]): Paths of the modules that the latest call ran, in
            their order.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._stack: list[list] = []
        self._calls: Counter = Counter()
        self._watching = False
        self._thread = 0  # in which the call runs that is watched
        self._visiting = False
        self.visits: list[str] = []
        # What a neuron is made of runs or not, by how it is counted.
        hidden = {
            part for form in model.modules() if isinstance(form, SpikingForm)
            for part in form.neuron.modules()
        }
        for name, module in model.named_modules():
            visits = [] if module in hidden else [name]
            module.forward = self._watched(name, module.forward, 0, visits)
            for method in METHODS:
                if is_postprocessing(module, method):
                    # What is done there depends on images: not numbered.
                    setattr(
                        module, method,
                        self._watched(name, getattr(module, method), None,
                                      visits))

    def _watched(self, name: str, function: Callable, number: int | None,
                 visits: list[str]) -> Callable:

        @wraps(function)
        def run(*args, **kwargs):
            if self._visiting:
                self.visits += visits
            if not self._watching:
                return function(*args, **kwargs)
            check_thread(f'{name or "(model)"}: it runs', self._thread)
            if number is not None:
                self._calls[name] += 1
            self._stack.append([name, number, self._calls[name]])
            try:
                return function(*args, **kwargs)
            finally:
                self._stack.pop()

        return run

    @contextmanager
    def watched(self):
        """Context in which :attr:`name`, :meth:`count` and :attr:`visits`
        are kept.

        Raises:
            RuntimeError: If a module runs in another thread: dispatch modes
                see the ops of one.
        """
        self._watching = True
        self._calls.clear()
        try:
            with recording_thread() as self._thread, self.visited():
                yield
        finally:
            self._watching = False

    @contextmanager
    def visited(self):
        """Context in which only :attr:`visits` are kept."""
        self._visiting, self.visits = True, []
        try:
            yield
        finally:
            self._visiting = False

    @property
    def name(self) -> str:
        """Path of the innermost module that is running."""
        return (self._stack[-1][0] if self._stack else '') or '(model)'

    @property
    def postprocess(self) -> bool:
        """Whether one of :data:`METHODS` is running."""
        return bool(self._stack) and self._stack[-1][1] is None

    def count(self) -> tuple[int, int]:
        """Count an op of the innermost module.

        Returns:
            tuple[int, int]: Number of the module's call, and of this op
            within it. 1 and 0 in :data:`METHODS`, where the same ops of all
            calls make one record.
        """
        if not self._stack or self.postprocess:
            return 1, 0
        self._stack[-1][1] += 1
        return self._stack[-1][2], self._stack[-1][1]


def is_postprocessing(module: nn.Module, method: str) -> bool:
    """Whether a method does what upstream's of that name does: make boxes,
    scores and masks of results.

    Args:
        module (nn.Module): The module.
        method (str): One of :data:`METHODS`.

    Returns:
        bool: False where no class of upstream that the module inherits from
        has such a method: what a model of one's own calls ``predict`` may be
        any part of a network.
    """
    return ismethod(getattr(module, method, None)) and any(
        method in vars(kind) and kind.__module__.split('.')[0] in UPSTREAM
        for kind in type(module).__mro__)
