"""What a rule says of an op, and what its formulas are given."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch


class UnclassifiedOpError(RuntimeError):
    """An op without a rule that says what it costs.

    It is no TypeError: PyTorch's operators would take that for an operand
    that they can't handle, and Python would raise its own.
    """


class Effect(Enum):
    """What becomes of spikes that an op is given."""

    #: The result holds their elements, or zeros: it is spikes.
    MOVED = 'moved'
    #: The result holds some by their order, such as the largest or smallest:
    #: it is spikes. Trains are unary (s[d] = 1 where c >= d), so that this is
    #: an OR, an AND or a number to reach in each sub-step.
    EXTREME = 'extreme'
    #: The op changes no value that spikes can have: it is the same spikes.
    UNCHANGED = 'unchanged'
    #: Spikes are added up, weighted: the result is membrane potentials.
    SYNAPSE = 'synapse'
    #: The op works on their values, and so does what follows.
    REAL = 'real'
    #: No value of an argument reaches the result.
    MADE = 'made'


class Call:
    """One call of an op: its arguments by their names, and its result.

    Args:
        func (OpOverload): The op.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.
        out: What it returned, if it has run.

    Example:
        >>> x = torch.ones(2, 3)
        >>> call = Call(torch.ops.aten.add.Tensor, (x, x), {}, x + x)
        >>> call['alpha'], call.outputs, call.inputs
        (1, 6, 6)
    """

    def __init__(self, func, args: tuple, kwargs: dict, out: Any = None):
        self.func = func
        self.args = args
        self.kwargs = kwargs
        self.out = out

    def __getitem__(self, name: str) -> Any:
        return self.get(name, _REQUIRED)

    def get(self, name: str, default: Any = None) -> Any:
        """An argument, or what the op takes for it.

        Args:
            name (str): Its name in the schema.
            default: For ops (overloads) that have no such argument.
        """
        for i, argument in enumerate(self.func._schema.arguments):
            if argument.name == name:
                if i < len(self.args):
                    return self.args[i]
                return self.kwargs.get(name, argument.default_value)
        if default is _REQUIRED:
            raise KeyError(f'{self.func} has no argument {name}')
        return default

    @property
    def first(self) -> torch.Tensor | None:
        """The first tensor among the arguments."""
        for x in (*self.args, *self.kwargs.values()):
            for y in x if isinstance(x, (list, tuple)) else (x, ):
                if isinstance(y, torch.Tensor):
                    return y
        return None

    @property
    def result(self) -> Any:
        """The first result."""
        several = isinstance(self.out, (list, tuple))
        return self.out[0] if several else self.out

    @property
    def outputs(self) -> int:
        """Numbers of the first result."""
        return numbers(self.result)

    @property
    def inputs(self) -> int:
        """Numbers of the first tensor among the arguments."""
        return numbers(self.first)


_REQUIRED = object()

#: Amounts of a call, ``None`` if it is free.
Cost = Callable[[Call], dict | None]


@dataclass(frozen=True)
class Rule:
    """What an op does to spikes, and what it costs on real values.

    Attributes:
        effect (Effect): What it does to spikes.
        cost (Callable, optional): Of a :class:`Call`, gives ``kind`` and the
            amounts of an :class:`~mmsnn.trace.OpRecord`. None: it is free.
        data (tuple[str]): Arguments whose elements the result may hold. The
            effect asks that each is spikes, or zero.
        when (Callable, optional): Of a call and the largest value of the
            spikes, says whether the effect holds; else it is ``REAL``.
        permutes (bool): Whether no element is there twice, if none is left
            out.
        lows (tuple[str]): Those of ``data`` that nothing in the result falls
            below. They may also be constants of a whole number of spikes;
            where no spikes are below, the effect is ``UNCHANGED``.
        highs (tuple[str]): The same for what nothing exceeds.
    """

    effect: Effect = Effect.REAL
    cost: Cost | None = None
    data: tuple[str, ...] = ('self', )
    when: Callable[[Call, float], bool] | None = None
    permutes: bool = False
    lows: tuple[str, ...] = ()
    highs: tuple[str, ...] = ()


def rules(names: str, **fields) -> dict[str, Rule]:
    """The same rule for several ops.

    Args:
        names (str): Their aten names, separated by spaces.
        **fields: Those of :class:`Rule`.

    Returns:
        dict[str, Rule]: By name.
    """
    rule = Rule(**fields)
    return {name: rule for name in names.split()}


def amounts(kind: str, **numbers: int) -> dict:
    """What a formula returns.

    Args:
        kind (str): One of :data:`mmsnn.trace.KINDS`.
        **numbers: ``macs``, ``adds``, ``comparisons``, ``other``.

    Returns:
        dict: Without zeros; ``dense_ops`` are the MACs.

    Example:
        >>> amounts('pool', adds=4, other=0)
        {'kind': 'pool', 'adds': 4}
    """
    found = dict(kind=kind, **{k: v for k, v in numbers.items() if v})
    if 'macs' in found:
        found['dense_ops'] = found['macs']
    return found


def numbers(x: Any) -> int:
    """How many real numbers there are: two for a complex one.

    Args:
        x: A tensor, tensors in a list, or anything else, which is none.

    Example:
        >>> numbers(torch.ones(2, 3, dtype=torch.complex64))
        12
    """
    if isinstance(x, torch.Tensor):
        return x.numel() * (2 if x.is_complex() else 1)
    if isinstance(x, (list, tuple)):
        return sum(map(numbers, x))
    return 0


def numbers_together(first: torch.Tensor, second: torch.Tensor) -> int:
    """How many real numbers two tensors have, broadcast to one shape.

    Args:
        first (Tensor): One of them.
        second (Tensor): The other one.

    Example:
        >>> numbers_together(torch.ones(3, 1), torch.ones(4))
        12
    """
    number = torch.broadcast_shapes(first.shape, second.shape).numel()
    return number * (2 if first.is_complex() or second.is_complex() else 1)
