"""Labels of elements, which say what of the input they depend on."""

from math import prod
from typing import Any

import torch
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakIdKeyDictionary

from mmsnn.conversion.rules.rule import Call, Effect, Rule
from mmsnn.conversion.rules.table import find_rule
from mmsnn.conversion.upstream.nested import tensors

from .kept_axes import ELEMENTWISE, follows_index, same_positions

#: Arbitrary odd numbers below 2^63, for :func:`mixed`.
_FACTORS = 0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9, 0x14D049BB133111EB


class Labels:
    """A label for each element of each tensor that comes from the input.

    Elements of the input have different ones. An op that moves elements moves
    the labels along. Results of other ops get labels by what is known of the
    op (:func:`.kept_axes.kept_axes`): which elements it has read for which
    element of the result. Where that is not known, a label says less, never
    more. Weights and random numbers have the label 0.

    Args:
        unequal (bool): What labels are sure of. True: elements of equal
            labels are made of the same elements of the input, in the same
            way. False: elements of different labels are made of different
            elements of the input.
    """

    def __init__(self, unequal: bool) -> None:
        self._unequal = unequal
        self._labels = WeakIdKeyDictionary()

    def __contains__(self, x: torch.Tensor) -> bool:
        return x in self._labels

    def __getitem__(self, x: torch.Tensor) -> torch.Tensor:
        return self._labels[x]

    def clear(self) -> None:
        """Follow nothing any more."""
        self._labels.clear()

    def start(self, x: torch.Tensor, first: int) -> None:
        """Label a tensor of the input.

        Args:
            x (Tensor): The tensor.
            first (int): A number for its first element; the others have the
                next ones.
        """
        numbers = torch.arange(first, first + x.numel(), device=x.device)
        self._labels[x] = mixed(numbers).view(x.shape)

    def same(self, x: torch.Tensor, as_of: torch.Tensor) -> None:
        """Give a tensor the labels of another one, if that has any.

        Args:
            x (Tensor): The tensor.
            as_of (Tensor): The other one.
        """
        if as_of in self._labels:
            self._labels[x] = self._labels[as_of]

    def follows_input(self, x: torch.Tensor) -> bool:
        """Whether anything in a tensor comes from the input.

        Args:
            x (Tensor): The tensor.
        """
        return x in self._labels and bool(self._labels[x].any())

    def rows(self, x: torch.Tensor, axes: int) -> torch.Tensor:
        """One label for all that stands behind the leading axes.

        Args:
            x (Tensor): A tensor with labels.
            axes (int): How many axes are leading.

        Returns:
            Tensor: Integers, of the shape of these axes.
        """
        return _sums(self._labels[x], axes)

    def unknown(self, read: Any, written: Any) -> None:
        """Label what an op of which nothing is known has written.

        Args:
            read: Nested tensors that it got.
            written: Nested tensors that it may have made.
        """
        labels = [self._labels[x] for x in tensors(read)
                  if x in self._labels]
        for x in tensors(written) if labels else ():
            if x not in self._labels:
                self._labels[x] = sum(
                    self._behind(y, 0, x.shape) for y in labels)

    def follow(self, func, args: tuple, kwargs: dict, out: Any) -> None:
        """Label the results of an op.

        Args:
            func (OpOverload): The op, which has run.
            args (tuple): Its arguments.
            kwargs (dict): Its keyword arguments.
            out: What it has returned.
        """
        rule = find_rule(func)
        effect = Effect.REAL if rule is None else rule.effect
        if effect is Effect.MADE or rule and not rule.data:
            for x in tensors(out):  # something may be written into it
                self._write(x, torch.zeros(
                    x.shape, dtype=torch.int64, device=x.device))
            return
        call = Call(func, args, kwargs, out)
        if effect is Effect.MOVED and self._move(call, rule):
            return
        if any(x in self._labels for x in tensors((args, kwargs))):
            for x in tensors(out):
                self._write(x, self._computed(call, x))

    def _write(self, x: torch.Tensor, labels: torch.Tensor) -> None:
        if x in self._labels:  # others may be views of these
            self._labels[x].copy_(labels)
        else:
            self._labels[x] = labels

    def _move(self, call: Call, rule: Rule) -> bool:
        """Move labels as an op has moved the elements.

        Returns:
            bool: False if that can't be done.
        """
        func, args, kwargs, out = call.func, call.args, call.kwargs, call.out
        data = [x for name in rule.data for x in tensors(call.get(name))]
        # Conditions and indices say where elements come from.
        says = [x for x in tensors((args, kwargs))
                if self.follows_input(x) and not any(x is y for y in data)]
        if says and not self._unequal:
            return False
        written = func._schema.is_mutable
        if written:
            data.append(args[0])
        if not any(x in self._labels for x in data):
            return False
        if func.overloadpacket is torch.ops.aten._to_copy:
            self._labels[out] = self._labels[args[0]].clone()
            return True

        def label(x):
            if isinstance(x, float):
                return 0  # what fills
            if not any(x is y for y in data):
                return x
            if x not in self._labels:
                zeros = torch.zeros(x.shape, dtype=torch.int64,
                                    device=x.device)
                if not written or x is not args[0]:
                    return zeros
                self._labels[x] = zeros
            return self._labels[x]

        given = tree_map(label, (tuple(args), kwargs))
        try:
            moved = func(*given[0], **given[1])
        except (RuntimeError, TypeError):
            return False
        for x, labels in zip(tensors(out), tensors(moved)):
            if says:
                labels += sum(self._aligned(call, y, x) for y in says)
            if not written:
                self._labels[x] = labels
        return True

    def _computed(self, call: Call, out: torch.Tensor) -> torch.Tensor:
        """Labels of one of the results of an op."""
        total = torch.zeros(out.shape, dtype=torch.int64, device=out.device)
        for i, x in enumerate(tensors((call.args, call.kwargs))):
            if x in self._labels:
                total = total * 5 + self._aligned(call, x, out) * (2 * i + 1)
        return total

    def _aligned(self, call: Call, x: torch.Tensor,
                 out: torch.Tensor) -> torch.Tensor:
        """What one of the arguments of an op adds to the labels of a
        result."""
        labels, axes = self._labels[x], follows_index(call, x, out)
        if axes == ELEMENTWISE:
            return labels.expand(out.shape)
        found = self._behind(labels, axes, out.shape)
        if axes and not self._unequal and same_positions(call, x, out):
            found = found + labels.sum(1, keepdim=True).expand(out.shape)
        return found

    def _behind(self, labels: torch.Tensor, axes: int,
                shape: torch.Size) -> torch.Tensor:
        """Labels of a result of which each element may come from all that
        stands behind the leading axes in what was read."""
        sums = _sums(labels, axes).unsqueeze(-1)
        made = (labels != 0).flatten(axes) if labels.dim() > axes else (
            labels != 0).unsqueeze(-1)
        made = made.any(-1, True)  # of weights alone nothing of it is made
        rest = prod(shape[axes:])
        if self._unequal:
            sums = sums + 2 * torch.arange(rest, device=labels.device)
        return (mixed(sums) * made).expand(*shape[:axes], rest).reshape(shape)


def mixed(x: torch.Tensor) -> torch.Tensor:
    """Arbitrary 64-bit integers, equal only where ``x`` is.

    Args:
        x (Tensor): Integers.

    Returns:
        Tensor: Same shape.
    """
    first, second, third = _FACTORS
    x = (x + 1) * first
    x = (x ^ (x >> 30)) * second
    x = (x ^ (x >> 27)) * third
    return x ^ (x >> 31)


def _sums(labels: torch.Tensor, axes: int) -> torch.Tensor:
    """One number for all that stands behind the leading axes."""
    rest = prod(labels.shape[axes:])
    weights = mixed(torch.arange(rest, device=labels.device))
    return (labels.reshape(*labels.shape[:axes], rest) *
            (2 * weights + 1)).sum(-1)
