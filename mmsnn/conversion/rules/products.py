"""Synapses, and other sums of products: attention, recurrence, transforms."""

from math import log2, prod

from .rule import Call, Effect, amounts, numbers, rules


def _matmul(call: Call, macs: int, **more: int) -> dict:
    """A product of real values, and what is added to it."""
    return dict(
        amounts('matmul', macs=macs, **more),
        note='charged as a product of real values')


def _sum_with_product(call: Call) -> dict:
    """``beta * self + alpha * (a @ b)``. A product is added up over all that
    it has; a factor that is not 1 costs a product as well."""
    left = call.get('batch1', call.get('mat', call.get('vec1')))
    right = call.get('batch2', call.get('vec', call.get('vec2')))
    dense = numbers(left) * (right.shape[-1] if right.dim() > 1 else 1)
    if call.func._schema.name.startswith('aten::addr'):
        dense = call.outputs
    alpha, beta = call.get('alpha', 1), call.get('beta', 1)
    factors = call.outputs if alpha != 1 else 0
    factors += numbers(call['self']) if beta not in (0, 1) else 0
    adds = call.outputs if beta != 0 else 0
    return _matmul(call, dense + factors, adds=adds)


def _vector_product(call: Call) -> dict:
    """As many as there are numbers in the larger operand."""
    other = call.get('vec', call.get('other', call.get('tensor')))
    return _matmul(call, max(numbers(call['self']), numbers(other)))


def _trilinear(call: Call) -> dict:
    """``sum(a * b * c)``: two for each product."""
    sizes = []
    for name in '123':
        shape = list(call[f'i{name}'].shape)
        for axis in sorted(call[f'expand{name}']):
            shape.insert(axis, 1)
        sizes.append(shape)
    return _matmul(call, 2 * prod(max(axis) for axis in zip(*sizes)))


def _attention(call: Call) -> dict:
    """``softmax(q k^T * scale + mask) v``: two products; a factor, a softmax
    and, with a mask, an addition for each pair of tokens."""
    query, key, value = call['query'], call['key'], call['value']
    pairs = prod(query.shape[:-1]) * key.shape[-2]
    masked = call.get('attn_mask', call.get('attn_bias')) is not None
    return _matmul(
        call,
        pairs * (query.shape[-1] + value.shape[-1] + 1),
        adds=pairs * (2 if masked else 1),
        other=2 * pairs)


def _recurrent(call: Call) -> dict:
    """An LSTM layer: products of each step with both weight matrices, and
    what :func:`_lstm_cell` counts."""
    x, hidden = call['input'], call['hidden_size']
    states = numbers(x) // x.shape[-1] * hidden
    macs = states * 4 * (x.shape[-1] + hidden)
    return _matmul(call, macs + 3 * states, other=5 * states,
                   adds=states * (13 if call['has_biases'] else 5))


def _lstm_cell(call: Call) -> dict:
    """Four gates of two terms each and their biases, five functions, three
    products and an addition a state."""
    states = numbers(call['cx'])
    adds = 13 if call['input_bias'] is not None else 5
    return amounts(
        'real', macs=3 * states, adds=adds * states, other=5 * states)


def _gru_cell(call: Call) -> dict:
    """Three gates of two terms each and their biases, three functions, two
    products and two additions a state."""
    states = numbers(call['hx'])
    adds = 11 if call['input_bias'] is not None else 5
    return amounts(
        'real', macs=2 * states, adds=adds * states, other=3 * states)


def _transform(call: Call) -> dict:
    """A fast Fourier transform of n complex numbers takes 5 n log2 n real
    operations: 2 products and 3 additions each. Of real numbers, half."""
    x = call['self']
    if 'c2r' in call.func._schema.name:
        x = call.result
    length = prod(x.shape[axis] for axis in call['dim'])
    number = x.numel() * log2(max(length, 1))
    half = 1 if 'c2c' in call.func._schema.name else 0.5
    scaled = call.outputs if call.get('normalization') else 0
    return dict(
        amounts(
            'real',
            macs=round(2 * half * number) + scaled,
            adds=round(3 * half * number)),
        note='5 n log2 n real operations, half of that for real numbers')


def _cross(call: Call) -> dict:
    """Two products and a difference per output."""
    return amounts('real', macs=2 * call.outputs)


def _weight_norm(call: Call) -> dict:
    """The norm of each slice of a weight, and a factor."""
    number = numbers(call['v'])
    return amounts(
        'norm', macs=2 * number, other=2 * numbers(call['g']))


#: Counted by what their spikes reach, see
#: :mod:`mmsnn.conversion.counting.synapses`.
_SYNAPSES = rules('convolution addmm mm bmm', effect=Effect.SYNAPSE)

RULES = {
    **_SYNAPSES,
    **rules('addbmm addmv addr baddbmm', cost=_sum_with_product),
    **rules('mv dot vdot', cost=_vector_product),
    **rules('_trilinear', cost=_trilinear),
    **rules(
        """
        _scaled_dot_product_attention_math
        _scaled_dot_product_cudnn_attention
        _scaled_dot_product_efficient_attention
        _scaled_dot_product_flash_attention
        _scaled_dot_product_flash_attention_for_cpu
        _scaled_dot_product_fused_attention_overrideable
        """, cost=_attention),
    **rules('mkldnn_rnn_layer', cost=_recurrent),
    **rules('_thnn_fused_lstm_cell', cost=_lstm_cell),
    **rules('_thnn_fused_gru_cell', cost=_gru_cell),
    **rules('_fft_c2c _fft_c2r _fft_r2c', cost=_transform),
    **rules('linalg_cross', cost=_cross),
    **rules('_weight_norm_interface', cost=_weight_norm),
}
