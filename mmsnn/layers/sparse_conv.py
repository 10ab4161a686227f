"""The spike sparse convolution, from rows that are visible to such rows."""

from collections.abc import Sequence

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .visible import VisiblePatches, from_rows, to_rows

#: Patches of more positions a side are convolved each on its own first.
SMALL = 2


def sparse_conv2d(x: torch.Tensor, weight: torch.Tensor,
                  bias: torch.Tensor | None, patches: VisiblePatches,
                  stride: int) -> torch.Tensor:
    """Convolve visible positions.

    Each element of the kernel is a matrix, by which the inputs are multiplied
    that it joins with outputs (:meth:`.visible.VisiblePatches.pairs`): no
    product has a masked position in it. In large patches an ordinary
    convolution of each patch joins the positions of the patch, which need not
    be gathered for it, and pairs of different patches are left. For the
    backward pass the packed input is kept, and nothing that was gathered.

    Args:
        x (Tensor): Packed input, (N, C_in, V * t, t).
        weight (Tensor): (C_out, C_in, k, k), k odd; the input is padded by
            ``k // 2``.
        bias (Tensor, optional): (C_out, ).
        patches (VisiblePatches): Where the patches lie.
        stride (int): s, a divisor of t.

    Returns:
        Tensor: Packed output, (N, C_out, V * t / s, t / s), in channels-last
        layout.

    Example:
        >>> patches = VisiblePatches(torch.tensor([[[True, True, False]]]))
        >>> x = patches.pack(torch.tensor([[[[1., 2., 4.]]]]))
        >>> weight = torch.zeros(1, 1, 3, 3)
        >>> weight[0, 0, 1] = torch.tensor([3., 5., 7.])
        >>> sparse_conv2d(x, weight, None, patches, 1).flatten().tolist()
        [19.0, 13.0]
    """
    return _Convolve.apply(x, weight, bias, patches, stride)


def _by_element(weight: torch.Tensor) -> torch.Tensor:
    """(C_out, C_in, k, k) to (k * k, C_out, C_in)."""
    return torch.stack(weight.flatten(2).unbind(2))


def _add_products(out: torch.Tensor, rows: torch.Tensor,
                  matrices: torch.Tensor, pairs: Sequence[tuple]) -> None:
    """Add ``rows[i] @ matrix`` to ``out[o]`` for the pairs (o, i) of each
    matrix."""
    for matrix, (outputs, inputs) in zip(matrices, pairs):
        products = rows.index_select(0, inputs) @ matrix
        out.index_add_(0, outputs, products.to(out.dtype))


def _element_gradients(grads: torch.Tensor, rows: torch.Tensor,
                       pairs: Sequence[tuple],
                       weight: torch.Tensor) -> torch.Tensor:
    """The gradient of the weight, from the pairs of each of its elements."""
    found = weight.new_empty(len(pairs), *weight.shape[:2])
    for matrix, (outputs, inputs) in zip(found, pairs):
        torch.mm(
            grads.index_select(0, outputs).t(),
            rows.index_select(0, inputs),
            out=matrix)
    return found.permute(1, 2, 0).unflatten(2, weight.shape[2:])


class _Convolve(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x, weight, bias, patches, stride):
        side, size = x.shape[-1], weight.shape[-1]
        ctx.tiled = side > SMALL and stride == 1
        ctx.pairs = patches.pairs(side, size, stride, within=not ctx.tiled)
        ctx.tiles = len(x) * patches.count, side, side
        ctx.save_for_backward(x, weight)
        rows, side = to_rows(x), side // stride
        # Products in half precision are added in float32.
        wide = torch.promote_types(x.dtype, torch.float32)
        if ctx.tiled:
            out = to_rows(
                F.conv2d(
                    from_rows(rows, *ctx.tiles),
                    weight,
                    bias,
                    padding=size // 2)).to(wide)
        else:
            out = rows.new_zeros(
                ctx.tiles[0] * side**2, len(weight), dtype=wide)
            if bias is not None:
                out += bias
        _add_products(out, rows, _by_element(weight).mT, ctx.pairs)
        return from_rows(
            out.to(x.dtype), len(x), patches.count * side, side)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        wanted, grads = ctx.needs_input_grad, to_rows(grad)
        rows = to_rows(x)
        of_input = of_weight = of_bias = None
        if ctx.tiled:
            of_input, of_weight, _ = torch.ops.aten.convolution_backward(
                from_rows(grads, *ctx.tiles), from_rows(rows, *ctx.tiles),
                weight, None, (1, 1), [n // 2 for n in weight.shape[2:]],
                (1, 1), False, (0, 0), 1, (*wanted[:2], False))
        if wanted[0]:
            wide = torch.promote_types(x.dtype, torch.float32)
            total = (torch.zeros_like(rows, dtype=wide) if of_input is None
                     else to_rows(of_input).to(wide))
            _add_products(total, grads, _by_element(weight),
                          [pair[::-1] for pair in ctx.pairs])
            of_input = from_rows(total.to(x.dtype), len(x), *x.shape[2:])
        if wanted[1]:
            rest = _element_gradients(grads, rows, ctx.pairs, weight)
            of_weight = rest if of_weight is None else of_weight + rest
        if wanted[2]:
            of_bias = grads.sum(0)
        return of_input, of_weight, of_bias, None, None
