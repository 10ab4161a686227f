"""Does the input have time steps of its own, or is an image shown T times?

The arguments of a call do not say that: (N, T, F) can be T time steps of a
sample or one sample of T positions. What the model does with them says it.
Before it reaches a neuron with T time steps, a still image is multiplied,
since the neuron wants N * T rows; data with time is only rearranged.
"""

from collections.abc import Iterable
from math import prod
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakIdKeyDictionary

from mmsnn.conversion.rules.rule import Call, Effect
from mmsnn.conversion.rules.table import find_rule
from mmsnn.conversion.spikes.spike_tensor import SpikeTensor
from mmsnn.conversion.upstream.nested import tensors

#: Arbitrary odd numbers below 2^63, for :func:`_mixed`.
_FACTORS = 0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9, 0x14D049BB133111EB


class TimeAxis(TorchDispatchMode):
    """Follows the input up to the first neuron over time.

    Each element of a tensor that comes from the input has a number. Elements
    of the input have different ones. An op that moves elements moves the
    numbers along. The result of any other op gets numbers which are equal
    only where the op read equal ones; what it reads besides, such as weights
    or random numbers, makes no difference. So rows with equal numbers show
    the same image.

    Args:
        session (Session): What the converted model is doing. Its recorder's
            ``repeats`` is kept.
        inputs (Iterable[Tensor]): What the model is given.
    """

    #: Neurons may run as kernels: none of their operations matter here.
    allows_kernels = True

    def __init__(self, session, inputs: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self._session = session
        self._numbers = WeakIdKeyDictionary()
        self._decided: int | None = None
        if session.input_over_time is not None:
            self._decide(1 if session.input_over_time else session.timesteps)
        else:
            first = 0
            for x in inputs:
                size = x.numel()
                self._numbers[x] = _mixed(
                    torch.arange(first, first + size,
                                 device=x.device)).view(x.shape)
                first += size

    def _decide(self, repeats: int) -> None:
        self._decided = self._session.recorder.repeats = repeats
        self._numbers.clear()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        session = self._session
        if session.unwatched or self._decided is not None:
            return func(*args, **kwargs)
        with session.unrecorded():
            session.recorder.repeats = self._repeats_of(args)
        out = func(*args, **kwargs)
        with session.unrecorded():
            self._follow(func, args, kwargs, out)
        return out

    def run_mmcv_op(self, name, call, args, kwargs):
        """Run a compiled op of mmcv; called by :class:`MmcvOp`.

        Args:
            name (str): Its name in ``mmcv._ext``.
            call (Callable): Runs it.
            args (tuple): Its arguments.
            kwargs (dict): Its keyword arguments.

        Returns:
            What it returns.
        """
        out = call(*args, **kwargs)
        if not self._session.unwatched and self._decided is None:
            with self._session.unrecorded():
                read = self._of((args, kwargs))
                for x in tensors((args, kwargs, out)):
                    if read and x not in self._numbers:
                        self._numbers[x] = _computed(read, x.shape)
        return out

    def reached(self, path: str, membrane: torch.Tensor,
                spikes: SpikeTensor) -> None:
        """A neuron has fired.

        Args:
            path (str): Its path in the model.
            membrane (Tensor): Its membranes, (N * T, ...).
            spikes (SpikeTensor): What it fired.

        Raises:
            ValueError: If its rows do not say whether the input has time.
        """
        timesteps = spikes.timesteps
        if self._decided is None and timesteps == 1:
            if membrane in self._numbers:
                self._numbers[spikes] = self._numbers[membrane]
        elif self._decided is None:
            self._decide(self._told_by(path, membrane, timesteps))

    def _told_by(self, path: str, membrane: torch.Tensor,
                 timesteps: int) -> int:
        """How often each image is shown to a neuron over time."""
        with self._session.unrecorded():
            distinct = set()
            if self._follows_input(membrane) and membrane.dim():
                rows = _sums(self._numbers[membrane], 1)
                if rows.numel() % timesteps == 0:
                    distinct = {
                        len(set(row))
                        for row in rows.view(-1, timesteps).tolist()
                    }
            if distinct not in ({1}, {timesteps}):
                raise ValueError(
                    f'{path}: what reaches its {timesteps} time steps does '
                    'not tell whether the input of the model has time steps '
                    'of its own. Write to_spike_train(model, '
                    'input_over_time=True) if it has, or '
                    'input_over_time=False if the same image is shown '
                    f'{timesteps} times')
        return timesteps if distinct == {1} else 1

    @property
    def follows(self) -> bool:
        """Whether no neuron over time was reached so far."""
        return self._decided is None

    def _repeats_of(self, args) -> int:
        """How often what an op is about to read shows an image: T where it
        is (N * T, ...) or (N, T, ...) with copies in the place of T."""
        timesteps, images = self._session.timesteps, self._session.images
        repeated = False
        for x in tensors(args):
            if x not in self._numbers or not x.numel():
                continue
            if x.shape[:1] == (images * timesteps, ):
                steps = _sums(self._numbers[x], 1).view(-1, timesteps)
            elif x.shape[:2] == (images, timesteps):
                steps = _sums(self._numbers[x], 2)
            else:
                continue
            if bool((steps != steps[:, :1]).any()):
                return 1  # whatever else it reads
            repeated = True
        return timesteps if repeated else 1

    def _follows_input(self, x: torch.Tensor) -> bool:
        return x in self._numbers and bool(self._numbers[x].any())

    def _of(self, tree: Any) -> list[torch.Tensor]:
        return [self._numbers[x] for x in tensors(tree) if x in self._numbers]

    def _follow(self, func, args, kwargs, out) -> None:
        """Number the results of an op."""
        rule = find_rule(func)
        effect = Effect.REAL if rule is None else rule.effect
        if effect is Effect.MADE or rule and not rule.data:
            for x in tensors(out):  # something may be written into it
                self._write(x, x.new_zeros(x.shape, dtype=torch.int64))
            return
        if effect is Effect.MOVED and self._move(func, args, kwargs, out,
                                                 rule):
            return
        read = self._of((args, kwargs))
        for x in tensors(out) if read else ():
            self._write(x, _computed(read, x.shape))

    def _write(self, x: torch.Tensor, numbers: torch.Tensor) -> None:
        if x in self._numbers:  # others may be views of these
            self._numbers[x].copy_(numbers)
        else:
            self._numbers[x] = numbers

    def _move(self, func, args, kwargs, out, rule) -> bool:
        """Move the numbers as an op has moved the elements.

        Returns:
            bool: False if that can't be done.
        """
        call = Call(func, args, kwargs, out)
        data = [x for name in rule.data for x in tensors(call.get(name))]
        written = func._schema.is_mutable
        if written:
            data.append(args[0])
        if not any(x in self._numbers for x in data):
            return False
        if func.overloadpacket is torch.ops.aten._to_copy:
            self._numbers[out] = self._numbers[args[0]].clone()
            return True

        def number(x):
            if isinstance(x, float):
                return 0  # what fills
            if not any(x is y for y in data):
                return x
            if x not in self._numbers:
                zeros = torch.zeros(x.shape, dtype=torch.int64,
                                    device=x.device)
                if not written or x is not args[0]:
                    return zeros
                self._numbers[x] = zeros
            return self._numbers[x]

        given = tree_map(number, (tuple(args), kwargs))
        try:
            moved = func(*given[0], **given[1])
        except (RuntimeError, TypeError):
            return False
        # Conditions and indices say where elements come from.
        says = [self._numbers[x] for x in tensors((args, kwargs))
                if self._follows_input(x) and not any(x is y for y in data)]
        for x, numbers in zip(tensors(out), tensors(moved)):
            if says:
                numbers += _computed(says, numbers.shape)
            if not written:
                self._numbers[x] = numbers
        return True


def _mixed(x: torch.Tensor) -> torch.Tensor:
    """Arbitrary 64-bit integers, equal only where ``x`` is."""
    first, second, third = _FACTORS
    x = (x + 1) * first
    x = (x ^ (x >> 30)) * second
    x = (x ^ (x >> 27)) * third
    return x ^ (x >> 31)


def _sums(numbers: torch.Tensor, leading: int) -> torch.Tensor:
    """One number for all that stands behind the leading dimensions."""
    rest = prod(numbers.shape[leading:])
    weights = _mixed(torch.arange(rest, device=numbers.device))
    return (numbers.reshape(*numbers.shape[:leading], rest) *
            (2 * weights + 1)).sum(-1)


def _computed(read: list[torch.Tensor], shape: torch.Size) -> torch.Tensor:
    """Numbers of a result of this shape.

    An op is taken to work element by element where shapes allow that, else
    on what stands behind the first dimensions, up to one that differs.
    """
    total = 0
    for i, numbers in enumerate(read):
        total = total * 5 + _aligned(numbers, shape) * (2 * i + 1)
    return total


def _aligned(numbers: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    try:
        if torch.broadcast_shapes(numbers.shape, shape) == shape:
            return numbers.expand(shape).clone()
    except RuntimeError:
        pass
    leading = 0
    while leading < min(numbers.dim(), len(shape)) and (
            numbers.shape[leading] == shape[leading]):
        leading += 1
    rest = prod(shape[leading:])
    positions = torch.arange(rest, device=numbers.device)
    sums = _sums(numbers, leading).unsqueeze(-1)
    return _mixed(sums + positions * 2).reshape(shape)
