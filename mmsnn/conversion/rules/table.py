"""The table: a rule for each aten op, or the reason why there is none."""

from functools import cache

from . import (
    elementwise,
    moves,
    products,
    reductions,
    torchvision_ops,
    windows,
)
from .refused import REFUSED
from .rule import Effect, Rule, UnclassifiedOpError

#: Rules by aten name, with an overload (``view.dtype``) where that differs.
#: What is said of ``add`` also holds for ``add_``.
RULES: dict[str, Rule] = {
    **moves.RULES,
    **elementwise.RULES,
    **reductions.RULES,
    **windows.RULES,
    **products.RULES
}

#: Ops of which no value of a tensor among their arguments reaches the result.
FACTORIES = {
    name for name, rule in RULES.items() if rule.effect is Effect.MADE
}


@cache
def find_rule(func) -> Rule | None:
    """What is said of an op.

    Args:
        func (OpOverload): The op.

    Returns:
        Rule | None: None if there is no rule.

    Example:
        >>> import torch
        >>> find_rule(torch.ops.aten.relu_.default).effect
        <Effect.UNCHANGED: 'unchanged'>
    """
    space, name = func._schema.name.split('::')
    if space == 'torchvision':
        return torchvision_ops.RULES.get(name)
    if space != 'aten':
        return RULES.get(f'{space}::{name}')
    overload = func._overloadname
    for key in (name, name[:-1] if name.endswith('_') else name):
        found = RULES.get(f'{key}.{overload}') or RULES.get(key)
        if found:
            return found
    return None


def rule_of(func) -> Rule:
    """What is said of an op, for one that is counted.

    Args:
        func (OpOverload): The op.

    Returns:
        Rule: The rule.

    Raises:
        UnclassifiedOpError: If there is none, with the reason if it is
            refused on purpose.
    """
    rule = find_rule(func)
    if rule is not None:
        return rule
    space, name = func._schema.name.split('::')
    if space != 'aten':
        raise UnclassifiedOpError(
            f'no rule says what {func} costs: say it with '
            f'mmsnn.conversion.add_rule({space + "::" + name!r}, Rule(...)), '
            'see docs/energy.md')
    reason = REFUSED.get(name) or REFUSED.get(name.rstrip('_'))
    if reason:
        raise UnclassifiedOpError(
            f'no rule says what {func} costs, on purpose: {reason}')
    raise UnclassifiedOpError(
        f'no rule says what {func} costs: say it with '
        f'mmsnn.conversion.add_rule({name!r}, Rule(...)), see docs/energy.md')


def add_rule(op: str, rule: Rule) -> None:
    """Say what an op does to spikes and what it costs: an op of one's own, or
    one of a PyTorch that is newer than the table.

    It holds for the process. Call it where the op is defined.

    Args:
        op (str): ``'mylib::name'``, or the name alone of an aten op.
        rule (Rule): What it does and costs.

    Raises:
        ValueError: If there is a rule for that op already.
        TypeError: If ``rule`` is no :class:`Rule`.

    Example:
        >>> from mmsnn.conversion.rules.rule import amounts
        >>> add_rule('mylib::swish', Rule(
        ...     cost=lambda call: amounts('real', other=2 * call.outputs)))
    """
    if not isinstance(rule, Rule):
        raise TypeError('rule must be a mmsnn.conversion.Rule, but is a '
                        f'{type(rule).__name__}')
    if op in RULES:
        raise ValueError(f'{op!r} has a rule already')
    RULES[op] = rule
    find_rule.cache_clear()
