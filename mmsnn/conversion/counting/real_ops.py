"""What ops on real values cost, by the table of rules."""

from torch.utils._pytree import tree_leaves

from mmsnn.conversion.rules.rule import Call, Effect, UnclassifiedOpError
from mmsnn.conversion.rules.table import FACTORIES, rule_of
from mmsnn.conversion.spikes.on_spikes import effect_on
from mmsnn.conversion.spikes.spike_tensor import SpikeTensor

__all__ = ['FACTORIES', 'UnclassifiedOpError', 'real_cost']


def real_cost(func, args, kwargs, out) -> dict | None:
    """Cost of an op that is no synapse.

    An op that leaves spikes as they are, or only moves them, is free on
    spikes. Where it takes the largest of some, bits are compared in each of D
    sub-steps; together they are charged as one comparison of counts, which is
    what a twin does.

    Args:
        func (OpOverload): The aten op.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.
        out: What it returned.

    Returns:
        dict | None: ``kind`` and the amounts of an
        :class:`~mmsnn.trace.OpRecord`; None if the op is free.

    Raises:
        UnclassifiedOpError: If nothing says what the op costs.

    Example:
        >>> import torch
        >>> x = torch.ones(2, 3)
        >>> real_cost(torch.ops.aten.add.Tensor, (x, x), {}, x + x)
        {'kind': 'add', 'adds': 6}
    """
    rule = rule_of(func)
    spikes = any(isinstance(x, SpikeTensor) for x in tree_leaves(out))
    if rule.cost is None or (spikes and effect_on(
            SpikeTensor, rule, func, args, kwargs) is not Effect.EXTREME):
        return None
    return rule.cost(Call(func, args, kwargs, out))
