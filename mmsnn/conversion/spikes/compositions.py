"""Ops that are run as several, so that synapses in them see spikes."""

from collections.abc import Callable
from functools import cache

import torch
from torch.utils._pytree import tree_leaves

from mmsnn.conversion.rules.table import find_rule

from .functions import attention

aten = torch.ops.aten


def composition(kind: type, func, args: tuple,
                kwargs: dict) -> Callable | None:
    """How to run an op as several.

    That is done where spikes are among its factors, with products that are
    added to something with factors or in place, and with ops that PyTorch
    itself defines by others, where no rule says more of them.

    Args:
        kind (type): :class:`.SpikeTensor`.
        func (OpOverload): The op.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.

    Returns:
        Callable | None: Takes the same arguments; None if the op is run as it
        is.
    """
    found = _COMPOSITIONS.get(func.overloadpacket)
    if found is None and func.overloadpacket not in _PRODUCTS:
        return func.decompose if _consists_of_others(func) else None
    first, compose = found or (0, None)
    spiking = any(isinstance(x, kind)
                  for x in tree_leaves((args[first:], kwargs)))
    if 'out' in kwargs:
        return _written_out(func) if spiking or found else None
    if found is None:
        return None
    if func.overloadpacket is aten.addmm:
        if not (spiking and isinstance(args[0], kind)) and all(
                kwargs.get(k, 1) == 1 for k in ('alpha', 'beta')):
            return None  # a synapse by itself
    elif not spiking and func.overloadpacket is not aten.addmm_:
        return None
    if func._schema.is_mutable:
        return lambda x, *args, **kwargs: x.copy_(compose(x, *args, **kwargs))
    return compose


def _written_out(func) -> Callable:
    """What an op computes, written into ``out``."""

    def compose(*args, out, **kwargs):
        result = func.overloadpacket(*args, **kwargs)
        return out.resize_(result.shape).copy_(result)

    return compose


@cache
def _consists_of_others(func) -> bool:
    return find_rule(func) is None and (
        torch._C._dispatch_has_kernel_for_dispatch_key(
            func.name(), 'CompositeImplicitAutograd'))


def _mv(matrix, vector):
    return torch.mm(matrix, vector.unsqueeze(1)).squeeze(1)


def _dot(left, right):
    return torch.mm(left.unsqueeze(0), right.unsqueeze(1)).reshape(())


def _plus(x, product, beta, alpha):
    product = product if alpha == 1 else product * alpha
    if beta == 0:
        return product
    return product + (x if beta == 1 else x * beta)


def _addmm(x, left, right, *, beta=1, alpha=1):
    return _plus(x, torch.mm(left, right), beta, alpha)


def _addmv(x, matrix, vector, *, beta=1, alpha=1):
    return _plus(x, _mv(matrix, vector), beta, alpha)


def _baddbmm(x, left, right, *, beta=1, alpha=1):
    return _plus(x, torch.bmm(left, right), beta, alpha)


def _addbmm(x, left, right, *, beta=1, alpha=1):
    return _plus(x, torch.bmm(left, right).sum(0), beta, alpha)


def _flash_cpu(query, key, value, dropout_p=0., is_causal=False, *,
               attn_mask=None, scale=None):
    out = attention(query, key, value, attn_mask, is_causal, scale)
    return out, out.new_empty(0)  # sums that only training reads


def _flash(query, key, value, dropout_p=0., is_causal=False,
           return_debug_mask=False, *, scale=None):
    out = attention(query, key, value, None, is_causal, scale)
    empty = out.new_empty(0)
    return (out, empty, empty, empty, query.shape[-2], key.shape[-2], empty,
            empty, empty)


def _efficient(query, key, value, attn_bias, compute_log_sumexp, dropout_p=0.,
               is_causal=False, *, scale=None):
    out = attention(query, key, value, attn_bias, is_causal, scale)
    empty = out.new_empty(0)
    return out, empty, empty, empty


def _lstm_layer(x, w_ih, w_hh, b_ih, b_hh, hidden, cell, reverse, batch_sizes,
                mode, hidden_size, num_layers, has_biases, bidirectional,
                batch_first, train):
    steps = list(x.unbind(0))
    outputs = []
    hidden, cell = hidden.reshape(-1, hidden_size), cell.reshape(
        -1, hidden_size)
    biases = (b_ih, b_hh) if has_biases else (None, None)
    for step in steps[::-1] if reverse else steps:
        gates = torch.nn.functional.linear(
            step, w_ih, biases[0]) + torch.nn.functional.linear(
                hidden, w_hh, biases[1])
        enter, forget, new, leave = gates.chunk(4, -1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
        hidden = leave.sigmoid() * cell.tanh()
        outputs.append(hidden)
    out = torch.stack(outputs[::-1] if reverse else outputs)
    return out, hidden[None], cell[None], out.new_empty(0)


def _aminmax(x, *, dim=None, keepdim=False):
    axes = [] if dim is None else [dim]
    return x.amin(axes, keepdim), x.amax(axes, keepdim)


#: Synapses that can write into ``out``.
_PRODUCTS = aten.mm, aten.bmm

#: Which argument is the first factor, and the ops in the op's place.
_COMPOSITIONS: dict[object, tuple[int, Callable]] = {
    aten.aminmax: (0, _aminmax),
    aten.mv: (0, _mv),
    aten.dot: (0, _dot),
    aten.vdot: (0, _dot),
    aten.addmm: (1, _addmm),
    aten.addmm_: (1, _addmm),
    aten.addmv: (1, _addmv),
    aten.addmv_: (1, _addmv),
    aten.addbmm: (1, _addbmm),
    aten.addbmm_: (1, _addbmm),
    aten.baddbmm: (1, _baddbmm),
    aten.baddbmm_: (1, _baddbmm),
    aten._scaled_dot_product_flash_attention_for_cpu: (0, _flash_cpu),
    aten._scaled_dot_product_flash_attention: (0, _flash),
    aten._scaled_dot_product_efficient_attention: (0, _efficient),
    aten.mkldnn_rnn_layer: (0, _lstm_layer),
}
