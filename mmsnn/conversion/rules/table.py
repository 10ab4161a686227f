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
        return None
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
            f'no rule says what {func} costs: the tables of '
            'mmsnn/conversion/rules have rules for aten ops, and for some of '
            'torchvision')
    reason = REFUSED.get(name) or REFUSED.get(name.rstrip('_'))
    if reason:
        raise UnclassifiedOpError(
            f'no rule says what {func} costs, on purpose: {reason}')
    raise UnclassifiedOpError(
        f'no rule says what {func} costs; add one to a table of '
        'mmsnn/conversion/rules')
