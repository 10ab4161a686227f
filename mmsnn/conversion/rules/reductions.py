"""Ops that join many elements in one: sums, norms, sorts, writes that add."""

from math import ceil, log2, prod

import torch

from .rule import (
    Call,
    Effect,
    UnclassifiedOpError,
    amounts,
    numbers,
    numbers_together,
    rules,
)


def _sum(call: Call) -> dict:
    """One addition per input element."""
    return amounts('add', adds=call.inputs)


def _mean(call: Call) -> dict:
    return amounts('add', adds=call.inputs, other=call.outputs)


def _product(call: Call) -> dict:
    return amounts('real', macs=call.inputs)


def _comparisons(call: Call) -> dict:
    """One comparison per input element."""
    return amounts('real', comparisons=call.inputs)


def _two_comparisons(call: Call) -> dict:
    """As the smallest and the largest, each on its own."""
    return amounts('real', comparisons=2 * call.inputs)


def _count(call: Call) -> dict:
    return amounts('real', comparisons=call.inputs, adds=call.inputs)


def _running_sum(call: Call) -> dict:
    return amounts('add', adds=call.outputs)


def _running_product(call: Call) -> dict:
    return amounts('real', macs=call.outputs)


def _running_logsumexp(call: Call) -> dict:
    """An exponential, an addition and a logarithm per element."""
    return amounts('real', adds=call.outputs, other=2 * call.outputs)


def _variance(call: Call) -> dict:
    """A mean, deviations from it, their squares, and the mean of those."""
    root = 1 if 'std' in call.func._schema.name else 0
    return amounts(
        'real',
        adds=2 * call.inputs,
        macs=call.inputs,
        other=(2 + root) * call.outputs)


def _vector_norm(call: Call) -> dict:
    order = call.get('ord', call.get('p'))
    order = 2 if order is None else float(order)
    return _power_sum(order, call.inputs, call.outputs)


def _power_sum(order: float, terms: int, results: int) -> dict:
    """``(sum |x|^p)^(1 / p)`` of ``terms`` numbers in all."""
    if order == 2:
        return amounts('real', macs=terms, other=results)
    if order == 1:
        return amounts('real', comparisons=terms, adds=terms)
    if order == 0:
        return amounts('real', comparisons=terms, adds=terms)
    if abs(order) == float('inf'):
        return amounts('real', comparisons=2 * terms)
    return amounts(
        'real', comparisons=terms, adds=terms, other=terms + results)


def _distances(call: Call) -> dict:
    """Differences, and the norm of each."""
    terms = call.outputs * call['x1'].shape[-1]
    order = 2. if call.get('p') is None else call['p']
    return _with_differences(_power_sum(order, terms, call.outputs), terms)


def _own_distances(call: Call) -> dict:
    terms = call.outputs * call['self'].shape[-1]
    return _with_differences(
        _power_sum(call['p'], terms, call.outputs), terms)


def _distance(call: Call) -> dict:
    terms = numbers_together(call['self'], call['other'])
    return _with_differences(_power_sum(float(call['p']), terms, 1), terms)


def _with_differences(cost: dict, terms: int) -> dict:
    return dict(cost, adds=cost.get('adds', 0) + terms)


def _softmax(call: Call) -> dict:
    """Exponentials, their sum, and a division each."""
    return amounts('real', adds=call.inputs, other=2 * call.inputs)


def _log_softmax(call: Call) -> dict:
    """Exponentials, their sum, a logarithm a row, and a difference each."""
    rows = call.inputs // max(_length(call), 1)
    return amounts('real', adds=2 * call.inputs, other=call.inputs + rows)


def _logsumexp(call: Call) -> dict:
    """Exponentials, their sum, and its logarithm."""
    return amounts(
        'real', adds=call.inputs, other=call.inputs + call.outputs)


def _statistics_norm(call: Call) -> dict:
    """Mean and deviation of each element, and its factor and offset."""
    return _norm(call, 3)


def _batch_norm(call: Call) -> dict:
    """Factor and offset of each element; statistics where they are not
    given."""
    training = call.get('training', 'with_update' in call.func._schema.name)
    given = call.get('running_mean') is not None and not training
    return _norm(call, 1 if given else 3)


def _norm(call: Call, macs: int) -> dict:
    return dict(
        amounts('norm', macs=macs * call.inputs),
        note='a norm that could not be folded into a synapse')


def _rms_norm(call: Call) -> dict:
    """A square and a factor each, and a weight where there is one."""
    rows = call.inputs // max(prod(call['normalized_shape']), 1)
    weighted = 1 if call.get('weight') is not None else 0
    return amounts(
        'norm', macs=(2 + weighted) * call.inputs, adds=rows, other=2 * rows)


def steps(number: int) -> int:
    """Comparisons by which an element finds its place among others.

    Args:
        number (int): How many they are.

    Example:
        >>> steps(4), steps(1)
        (3, 1)
    """
    return max(1, ceil(log2(number + 1)))


def _length(call: Call) -> int:
    """Elements along the axis that an op works on; all where it has none."""
    axis = call.get('dim', 'all')
    if axis == 'all':  # the median of a whole tensor
        return call.inputs
    shape = call.first.shape
    return shape[-1 if axis is None else axis] if shape else 1


def _sort(call: Call) -> dict:
    """n log2 n comparisons for each row of n elements; where slices along an
    axis are sorted, each is compared element by element."""
    return amounts('real', comparisons=call.inputs * steps(_length(call)))


def _sort_all(call: Call) -> dict:
    return amounts('real', comparisons=call.inputs * steps(call.inputs))


def _membership(call: Call) -> dict:
    number = sum(
        max(numbers(call.get(name)), 1)
        for name in ('elements', 'element', 'test_elements', 'test_element')
        if call.get(name) is not None)
    return amounts('real', comparisons=number * steps(number))


def _search(call: Call) -> dict:
    """Each value is searched for in a row that is sorted."""
    row = call.get('sorted_sequence', call.get('boundaries'))
    return amounts(
        'real', comparisons=call.outputs * steps(row.shape[-1]))


def _histogram(call: Call) -> dict:
    """The range (two comparisons), the bin (a difference and a product), and
    its count."""
    number = call.inputs
    return amounts(
        'real', comparisons=2 * number, adds=2 * number, macs=number)


def _close(call: Call) -> dict:
    """``|a - b| <= atol + rtol |b|``."""
    number = call.inputs
    return amounts(
        'real', adds=2 * number, macs=number, comparisons=3 * number)


def _indexed(call: Call) -> int:
    """Elements that indices select."""
    x, axis, free, shapes = call['self'], 0, 1, []
    for index in call['indices']:
        if index is None:
            free *= x.shape[axis]
        elif index.dtype in (torch.bool, torch.uint8):
            raise UnclassifiedOpError(
                f'{call.func} adds where a mask is set, so its cost differs '
                'from image to image: write mask.nonzero() as index, or '
                'torch.where')
        else:
            shapes.append(index.shape)
        axis += 1
    return free * prod(torch.broadcast_shapes(*shapes)) * prod(x.shape[axis:])


def _written(call: Call) -> int:
    """Elements that an op writes at indices."""
    if call.get('indices') is not None:
        return _indexed(call)
    if call.get('dim') is not None and call.get('source') is not None:
        return numbers(call['source'])  # slices, one for each index
    return numbers(call['index'])


def _adding(call: Call) -> dict:
    """One addition per element that is added, and a product where a factor
    is not 1."""
    number = _written(call)
    return amounts(
        'add', adds=number, macs=number if call.get('alpha', 1) != 1 else 0)


def _writing(call: Call) -> dict | None:
    """Free where it replaces; else an addition, product or comparison per
    element."""
    how = call.get('reduce')
    if not accumulates(call):
        return None
    number = _written(call)
    if how in ('multiply', 'prod'):
        return amounts('real', macs=number)
    if how in ('amax', 'amin'):
        return amounts('real', comparisons=number)
    divisions = call.outputs if how == 'mean' else 0
    return amounts('add', adds=number, other=divisions)


def _segments(call: Call) -> dict:
    how, number = call['reduce'], numbers(call['data'])
    if how == 'prod':
        return amounts('real', macs=number)
    if how in ('max', 'min'):
        return amounts('real', comparisons=number)
    return amounts(
        'add', adds=number, other=call.outputs if how == 'mean' else 0)


def _bags(call: Call) -> dict:
    """Rows of a table, added up by bag; with a factor each where there are
    any."""
    number = numbers(call['indices']) * call['weight'].shape[-1]
    mode = call.get('mode', 0)
    if mode == 2:
        return amounts('real', comparisons=number)
    if call.get('per_sample_weights') is not None:
        return amounts('real', macs=number)
    return amounts(
        'add', adds=number, other=call.outputs if mode == 1 else 0)


def accumulates(call: Call) -> bool:
    """Whether an op that writes at indices adds to what is there.

    Args:
        call (Call): The call.

    Returns:
        bool: False where it replaces it.
    """
    return bool(call.get('accumulate') or call.get('reduce'))


def _replaces(call: Call, largest: float) -> bool:
    return not accumulates(call)


def _takes_extremes(call: Call, largest: float) -> bool:
    return call['reduce'] in ('amax', 'amin')


def _in_order(call: Call, largest: float) -> bool:
    """Trains that are left in any order would be so in another one each."""
    return call['sorted']


_NORMS = """
    native_batch_norm _native_batch_norm_legit _batch_norm_with_update
    _batch_norm_no_update _native_batch_norm_legit_functional
    _batch_norm_with_update_functional cudnn_batch_norm miopen_batch_norm
    _batch_norm_impl_index _native_batch_norm_legit_no_training
"""

RULES = {
    # Sums, means, products
    **rules('sum nansum trace', cost=_sum),
    **rules('mean', cost=_mean),
    **rules('prod', cost=_product),
    **rules('cumsum', cost=_running_sum),
    **rules('cumprod', cost=_running_product),
    **rules('_logcumsumexp logcumsumexp', cost=_running_logsumexp),
    **rules('var std var_mean std_mean', cost=_variance),
    **rules('linalg_vector_norm norm native_norm', cost=_vector_norm),
    **rules('_cdist_forward _euclidean_dist', cost=_distances),
    **rules('_pdist_forward', cost=_own_distances),
    **rules('dist', cost=_distance),
    **rules('_softmax _safe_softmax _masked_softmax', cost=_softmax),
    **rules('_log_softmax', cost=_log_softmax),
    **rules('logsumexp', cost=_logsumexp),
    # Norms
    **rules(_NORMS, cost=_batch_norm),
    **rules('native_layer_norm native_group_norm', cost=_statistics_norm),
    **rules('_fused_rms_norm', cost=_rms_norm),
    # Extremes, counts, sorts, searches
    **rules('max min amax amin', effect=Effect.EXTREME, cost=_comparisons),
    **rules('cummax cummin', effect=Effect.EXTREME, cost=_comparisons),
    **rules('aminmax _aminmax', cost=_two_comparisons),
    **rules('argmax argmin any all equal nonzero '
            '_is_all_true _is_any_true unique_consecutive',
            cost=_comparisons),
    **rules('sort', effect=Effect.EXTREME, permutes=True, cost=_sort),
    **rules('kthvalue median nanmedian', effect=Effect.EXTREME, cost=_sort),
    **rules('topk', effect=Effect.EXTREME, when=_in_order, cost=_sort),
    **rules('count_nonzero', cost=_count),
    **rules('argsort mode unique_dim', cost=_sort),
    **rules('_unique2 _unique', cost=_sort_all),
    **rules('unique_dim_consecutive', cost=_comparisons),
    **rules('isin', cost=_membership),
    **rules('searchsorted bucketize', cost=_search),
    **rules('histc', cost=_histogram),
    **rules('bincount', cost=_sum),
    **rules('allclose isclose', cost=_close),
    # Writes that add to what is there
    **rules('scatter_add index_add', cost=_adding),
    **rules('scatter_reduce', cost=_writing, effect=Effect.EXTREME,
            data=('self', 'src'), when=_takes_extremes),
    **rules('index_reduce', cost=_writing, effect=Effect.EXTREME,
            data=('self', 'source'), when=_takes_extremes),
    **rules('scatter.reduce scatter.value_reduce', cost=_writing),
    **rules('index_put _unsafe_index_put _index_put_impl', cost=_writing,
            effect=Effect.MOVED, data=('self', 'values'), when=_replaces),
    **rules('put', cost=_writing, effect=Effect.MOVED,
            data=('self', 'source'), when=_replaces),
    **rules('_unsafe_masked_index_put_accumulate',
            cost=lambda call: amounts('add', adds=_written(call))),
    **rules('segment_reduce', cost=_segments),
    **rules('_embedding_bag _embedding_bag_forward_only', cost=_bags),
    **rules('embedding_renorm renorm',
            cost=lambda call: amounts('norm', macs=2 * call.inputs)),
}
