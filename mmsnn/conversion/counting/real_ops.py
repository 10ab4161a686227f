"""What each op costs: the classification behind the op trace.

Synapses are counted in :mod:`.synapses`. Here are the ops that work on real
values, by their aten names. An op that stands in no table, is no view and not
pointwise, raises: nothing is silently free.
"""

from math import ceil, log2, prod

import torch


class UnclassifiedOpError(RuntimeError):
    """An op without a rule that says what it costs.

    It is no TypeError: PyTorch's operators would take that for an operand
    that they can't handle, and Python would raise its own.
    """


#: Ops that move, make or look up data. No arithmetic is charged for them.
FREE = set("""
    _local_scalar_dense _reshape_alias _to_copy _unsafe_view arange as_strided
    bernoulli_ cat clone constant_pad_nd copy copy_ detach detach_ empty
    empty_like empty_permuted empty_strided eye fill fill_ flip full
    full_like gather index index_put index_put_ index_select item
    lift_fresh lift_fresh_copy linspace masked_fill masked_fill_
    masked_scatter masked_select new_empty new_empty_strided new_full
    new_ones new_zeros normal_ ones ones_like pixel_shuffle
    pixel_unshuffle rand rand_like randn randperm repeat repeat_interleave
    resize_ roll scalar_tensor scatter scatter_ select_scatter set_
    slice_scatter stack tril triu upsample_nearest1d upsample_nearest2d
    upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d where zero_ zeros zeros_like as_strided_ squeeze_
    unsqueeze_ transpose_ t_ swapaxes_ swapdims_ rename_ resize_as_
""".split())

#: Ops of which no value of a tensor among their arguments reaches the result.
FACTORIES = set("""
    empty_like full_like new_empty new_empty_strided new_full new_ones
    new_zeros ones_like zeros_like
""".split())

#: One addition per output element.
ADDS = set('add add_ sub sub_ rsub neg neg_ cumsum cumsum_'.split())

#: One addition per input element.
SUMS = set('sum nansum mean'.split())

#: One comparison per output element.
COMPARISONS = set("""
    relu relu_ clamp clamp_ clamp_min clamp_min_ clamp_max clamp_max_ hardtanh
    hardtanh_ maximum minimum eq ne lt le gt ge eq_ ne_ lt_ le_ gt_ ge_
    logical_and logical_or logical_not logical_xor logical_and_ logical_or_
    bitwise_and bitwise_or bitwise_not bitwise_xor bitwise_and_ bitwise_or_
    abs abs_ sign isnan isinf isfinite floor floor_ ceil round round_ trunc
    __and__ __or__ __xor__
""".split())

#: One comparison per input element.
REDUCING_COMPARISONS = set(
    'max min amax amin argmax argmin any all aminmax equal nonzero'.split())

#: One multiply-accumulate per output element.
PRODUCTS = set('mul mul_ addcmul addcmul_ lerp lerp_ addcdiv'.split())

#: One division per output element.
DIVISIONS = set('floor_divide floor_divide_'.split())

#: Sorting n elements: n log2 n comparisons.
SORTS = set('sort topk argsort kthvalue msort unique2 _unique2 unique_dim '
            'unique_consecutive isin'.split())

#: Multiply-accumulates per output element of an interpolation.
INTERPOLATIONS = dict(
    upsample_linear1d=2,
    upsample_bilinear2d=4,
    _upsample_bilinear2d_aa=4,
    upsample_trilinear3d=8,
    upsample_bicubic2d=16,
    grid_sampler_2d=4)

#: Multiply-accumulates per element of a norm. A batch norm in eval mode is
#: one; the others also compute their statistics (two more).
NORMS = dict(
    native_batch_norm=1,
    _native_batch_norm_legit=1,
    _native_batch_norm_legit_no_training=1,
    _batch_norm_with_update=1,
    cudnn_batch_norm=1,
    miopen_batch_norm=1,
    _batch_norm_impl_index=1,
    native_layer_norm=3,
    native_group_norm=3)


def real_cost(func, args, kwargs, out) -> dict | None:
    """Cost of an op on real values.

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
        >>> x = torch.ones(2, 3)
        >>> real_cost(torch.ops.aten.add.Tensor, (x, x), {}, x + x)
        {'kind': 'add', 'adds': 6}
    """
    space, name = func._schema.name.split('::')
    if space != 'aten':
        raise UnclassifiedOpError(
            f'no rule says what {func} costs: '
            'mmsnn/conversion/counting/real_ops.py has rules for aten ops '
            'only')
    if name in ('index_put', 'index_put_', 'scatter', 'scatter_') and (
            (len(args) > 3 and args[3] is True) or kwargs.get('accumulate')
            or kwargs.get('reduce')):
        raise UnclassifiedOpError(
            f'no rule says what {func} costs where it adds to what is there; '
            'name it in mmsnn/conversion/counting/real_ops.py')
    if name in FREE or (func.is_view and not func._schema.is_mutable):
        return None
    outputs = _numel(out)
    inputs = max((_numel(a) for a in args), default=0)
    if name in ADDS:
        return dict(kind='add', adds=outputs)
    if name in SUMS:
        return dict(
            kind='add', adds=inputs, other=outputs if name == 'mean' else 0)
    if name in COMPARISONS:
        return dict(kind='real', comparisons=outputs)
    if name in REDUCING_COMPARISONS:
        return dict(kind='real', comparisons=inputs)
    if name in PRODUCTS:
        return dict(kind='real', macs=outputs, dense_ops=outputs)
    if name in DIVISIONS:
        return dict(kind='real', other=outputs)
    if name == 'prod':
        return dict(kind='real', macs=inputs, dense_ops=inputs)
    if name == 'baddbmm':
        macs = _numel(args[1]) * args[2].shape[-1]
        return dict(kind='matmul', macs=macs, dense_ops=macs, adds=outputs,
                    note='charged as a product of real values')
    if name in SORTS:
        return dict(
            kind='real', comparisons=inputs * max(1, ceil(log2(inputs + 1))))
    if name in INTERPOLATIONS:
        macs = INTERPOLATIONS[name] * outputs
        return dict(kind='interpolate', macs=macs, dense_ops=macs)
    if name in NORMS:
        macs = NORMS[name] * _numel(args[0])
        return dict(
            kind='norm',
            macs=macs,
            dense_ops=macs,
            note='a norm that could not be folded into a synapse')
    if name in ('max_pool2d_with_indices', 'max_pool3d_with_indices'):
        window = _window(name, args[1])
        outputs = _numel(out[0] if isinstance(out, tuple) else out)
        return dict(kind='pool', comparisons=outputs * (window - 1))
    if name in ('avg_pool2d', 'avg_pool3d'):
        window = _window(name, args[1])
        return dict(kind='pool', adds=outputs * window, other=outputs)
    if name in ('_adaptive_avg_pool2d', 'adaptive_avg_pool2d'):
        return dict(kind='pool', adds=inputs, other=outputs)
    if name in ('_softmax', '_log_softmax', 'logsumexp'):
        return dict(kind='real', adds=inputs, other=2 * inputs)
    if torch.Tag.pointwise in func.tags:
        return dict(kind='real', other=outputs)
    raise UnclassifiedOpError(
        f'no rule says what {func} costs; name it in one of the tables of '
        'mmsnn/conversion/counting/real_ops.py')


def _window(name: str, kernel_size) -> int:
    """Elements of a pooling window; one number stands for all axes."""
    axes = 3 if '3d' in name else 2
    return prod(kernel_size) if len(kernel_size) > 1 else kernel_size[0]**axes


def _numel(x) -> int:
    if isinstance(x, torch.Tensor):
        return x.numel()
    if isinstance(x, (list, tuple)):
        return sum(_numel(y) for y in x)
    return 0
