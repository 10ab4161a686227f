"""Which axes of what an op reads are still there in its result."""

import torch

from mmsnn.conversion.rules import elementwise, windows
from mmsnn.conversion.rules.rule import Call

#: An element of the result is made of one element of what was read, the one
#: at its place once that is broadcast.
ELEMENTWISE = -1

_NO_ELEMENTS = {'glu', 'nonzero_static', 'mse_loss', 'smooth_l1_loss',
                'huber_loss', 'binary_cross_entropy',
                'binary_cross_entropy_with_logits', 'soft_margin_loss'}
_ELEMENTS = (set(elementwise.RULES) - _NO_ELEMENTS) | {
    'where', 'masked_fill', 'bernoulli', 'poisson', 'complex', 'conj',
    '_conj', '_conj_copy', 'real', 'imag', 'isclose', '_to_copy', 'copy'}
#: The leading axes of an argument that a product keeps, by its place.
_PRODUCTS = {
    'mm': (1, 0), 'bmm': (2, 1), 'mv': (1, 0),
    'addmm': (ELEMENTWISE, 1, 0), 'addmv': (ELEMENTWISE, 1, 0),
    'baddbmm': (ELEMENTWISE, 2, 1), 'convolution': (1, 0, 0)}
_ALONG_AXES = {
    'sum', 'nansum', 'mean', 'prod', 'cumsum', 'cumprod', 'logcumsumexp',
    'logsumexp', 'var', 'std', 'var_mean', 'std_mean', 'linalg_vector_norm',
    'norm', '_softmax', '_safe_softmax', '_log_softmax', 'max', 'min', 'amax',
    'amin', 'cummax', 'cummin', 'argmax', 'argmin', 'any', 'all',
    'count_nonzero', 'sort', 'topk', 'argsort', 'kthvalue', 'median',
    'nanmedian', 'mode', 'gather', 'scatter', 'scatter_add', 'glu',
    '_fft_c2c', '_fft_r2c'}
_BATCH_NORMS = {
    'native_batch_norm', '_native_batch_norm_legit', 'cudnn_batch_norm',
    '_native_batch_norm_legit_no_training', '_batch_norm_no_update'}
_ROW_NORMS = {'native_layer_norm', '_fused_rms_norm'}


def kept_axes(call: Call, x: torch.Tensor, out: torch.Tensor) -> int:
    """How many leading axes an op keeps.

    Args:
        call (Call): The op, which has run.
        x (Tensor): One of the tensors that it has read.
        out (Tensor): One of its results.

    Returns:
        int: k, if the result at ``[i1, ..., ik]`` is made only of what stands
        there in ``x``; 0 if nothing is known; :data:`ELEMENTWISE` if that
        holds for all axes, once ``x`` is broadcast.

    Example:
        >>> x = torch.ones(4, 3, 5)
        >>> def kept(func, *args):
        ...     return kept_axes(Call(func, args, {}), x, func(*args))
        >>> kept(torch.ops.aten.sum.dim_IntList, x, [1])
        1
        >>> kept(torch.ops.aten.flip.default, x, [0])  # moves: not computed
        0
        >>> kept(torch.ops.aten.mul.Tensor, x, torch.ones(5)) == ELEMENTWISE
        True
    """
    axes = _by_op(call, x)
    if axes == ELEMENTWISE:
        try:
            together = torch.broadcast_shapes(x.shape, out.shape)
        except RuntimeError:
            return 0
        return ELEMENTWISE if together == out.shape else 0
    while axes and x.shape[:axes] != out.shape[:axes]:
        axes -= 1
    return axes


def same_positions(call: Call, x: torch.Tensor, out: torch.Tensor) -> bool:
    """Whether the result of a convolution has the positions of its input.

    Args:
        call (Call): An op.
        x (Tensor): One of the tensors that it has read.
        out (Tensor): Its result.
    """
    return _name(call) == 'convolution' and x is call.args[0] and (
        x.shape[2:] == out.shape[2:])


def follows_index(call: Call, x: torch.Tensor, out: torch.Tensor) -> int:
    """Like :func:`kept_axes`, also for what an op that moves elements takes
    as indices.

    Args:
        call (Call): The op, which has run.
        x (Tensor): One of the tensors that it has read.
        out (Tensor): One of its results.
    """
    name = _name(call)
    indices = call.get('indices', call.get('index'))
    if isinstance(indices, (list, tuple)):  # x[i]; not x[i, j], x[:, i]
        indices = indices[0] if len(indices) == 1 else None
        writes = 'put' in name and x.dtype is not torch.bool
        name = 'embedding' if not writes else name
    if x is not indices:
        return kept_axes(call, x, out)
    if name == 'index_select' and call['dim'] == 0:
        name = 'embedding'
    if name in ('embedding', 'take') and out.shape[:x.dim()] == x.shape:
        return x.dim()
    return kept_axes(call, x, out)


def _name(call: Call) -> str:
    name = call.func._schema.name.split('::')[1]
    return name[:-1] if name.endswith('_') else name


def _by_op(call: Call, x: torch.Tensor) -> int:
    """What holds for any shape of the result."""
    name = _name(call)
    if name in _ELEMENTS:
        return ELEMENTWISE
    place = next((i for i, y in enumerate(call.args) if y is x), None)
    if name in _PRODUCTS:
        known = _PRODUCTS[name]
        return known[place] if place is not None and place < len(known) else 0
    if 'scaled_dot_product' in name:
        return x.dim() - 2
    if name in windows.RULES or name == 'native_group_norm':
        return 1
    if name in _BATCH_NORMS and place == 0:
        if not call.get('training', False):
            return ELEMENTWISE
        return 2 if len(x) == 1 else 0  # each channel by itself
    if name in _ROW_NORMS and place == 0:
        return x.dim() - len(call['normalized_shape'])
    if name in _ALONG_AXES:
        axes = call.get('dim', None)
        axes = [axes] if isinstance(axes, int) else axes
        return min((a % max(x.dim(), 1) for a in axes), default=0) if axes \
            else 0
    return 0
