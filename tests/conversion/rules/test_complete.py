"""Every op that PyTorch's functional API and mmcv reach stands in the table,
or is refused on purpose."""

import inspect
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mmsnn.conversion import UnclassifiedOpError
from mmsnn.conversion.rules.mmcv_ops import MMCV_COSTS, mmcv_cost
from mmsnn.conversion.rules.refused import MMCV_REFUSED, REFUSED
from mmsnn.conversion.rules.rule import Effect
from mmsnn.conversion.rules.table import RULES, find_rule, rule_of

X1, X2, X3 = torch.rand(2, 4, 8), torch.rand(2, 4, 8, 8), torch.rand(
    1, 2, 8, 8, 8)
ROWS, CLASSES = torch.rand(3, 5), torch.tensor([0, 1, 2])
TOKENS = torch.rand(2, 2, 5, 6)  # batch, heads, tokens, channels


def weights(*shape):
    return torch.rand(shape)


def pooled(dims):
    pool = getattr(F, f'max_pool{dims}d')
    return pool([X1, X2, X3][dims - 1], 2, return_indices=True)


#: How each function of torch.nn.functional is called.
CALLS = {
    'adaptive_avg_pool': lambda f, x: f(x, 3),
    'adaptive_max_pool': lambda f, x: f(x, 3),
    'affine_grid': lambda f: f(torch.rand(2, 2, 3), (2, 3, 4, 4)),
    'avg_pool': lambda f, x: f(x, 2),
    'batch_norm': lambda f: (f(X2, weights(4), weights(4)),
                             f(X2, None, None, training=True)),
    'bilinear': lambda f: f(ROWS, ROWS, weights(2, 5, 5)),
    'binary_cross_entropy': lambda f: f(ROWS, ROWS.round()),
    'binary_cross_entropy_with_logits': lambda f: f(ROWS, ROWS.round()),
    'channel_shuffle': lambda f: f(X2, 2),
    'dropout1d': lambda f: f(X1), 'dropout3d': lambda f: f(X3),
    'native_channel_shuffle': lambda f: f(X2, 2),
    'conv1d': lambda f: f(X1, weights(3, 4, 3)),
    'conv2d': lambda f: f(X2, weights(3, 4, 3, 3), padding='same'),
    'conv3d': lambda f: f(X3, weights(3, 2, 3, 3, 3)),
    'conv_tbc': lambda f: f(X1, weights(3, 8, 2), weights(2)),
    'conv_transpose1d': lambda f: f(X1, weights(4, 3, 3)),
    'conv_transpose2d': lambda f: f(X2, weights(4, 3, 3, 3)),
    'conv_transpose3d': lambda f: f(X3, weights(2, 3, 3, 3, 3)),
    'cosine_embedding_loss': lambda f: f(ROWS, ROWS, torch.ones(3)),
    'cosine_similarity': lambda f: f(ROWS, ROWS),
    'cross_entropy': lambda f: (f(ROWS, CLASSES), f(ROWS, ROWS)),
    'ctc_loss': lambda f: f(
        ROWS[:, None].log_softmax(-1), torch.tensor([[1, 2]]),
        torch.tensor([3]), torch.tensor([2])),
    'embedding': lambda f: f(CLASSES, ROWS),
    'embedding_bag': lambda f: f(CLASSES[None], ROWS, mode='sum'),
    'fold': lambda f: f(X1[:, :, :4], (3, 3), 2),
    'fractional_max_pool2d': lambda f: f(X2, 2, output_size=3),
    'fractional_max_pool2d_with_indices': lambda f: f(X2, 2, output_size=3),
    'fractional_max_pool3d': lambda f: f(X3, 2, output_size=3),
    'fractional_max_pool3d_with_indices': lambda f: f(X3, 2, output_size=3),
    'gaussian_nll_loss': lambda f: f(ROWS, ROWS, ROWS),
    'glu': lambda f: f(X1),
    'grid_sample': lambda f: [
        f(X2, torch.rand(2, 3, 3, 2), mode=m, align_corners=False)
        for m in ('bilinear', 'nearest', 'bicubic')
    ] + [f(X3, torch.rand(1, 3, 3, 3, 3), align_corners=False)],
    'group_norm': lambda f: f(X2, 2),
    'hinge_embedding_loss': lambda f: f(ROWS, ROWS.round() * 2 - 1),
    'instance_norm': lambda f: f(X2),
    'interpolate': lambda f: [
        f(x, scale_factor=2., mode=mode)
        for x, modes in ((X1, 'nearest linear nearest-exact'),
                         (X2, 'nearest bilinear bicubic nearest-exact area'),
                         (X3, 'nearest trilinear nearest-exact'))
        for mode in modes.split()
    ] + [f(X2, size=3, mode=m, antialias=True) for m in (
        'bilinear', 'bicubic')],
    'kl_div': lambda f: f(ROWS, ROWS),
    'layer_norm': lambda f: f(X1, (8, )),
    'linear': lambda f: (f(X1, weights(3, 8), weights(3)),
                         f(X1, weights(8)), f(ROWS[0], weights(2, 5))),
    'local_response_norm': lambda f: f(X2, 2),
    'log_softmax': lambda f: f(X1, 1),
    'lp_pool': lambda f, x: f(x, 2., 2),
    'margin_ranking_loss': lambda f: f(ROWS, ROWS, ROWS.round() * 2 - 1),
    'max_pool': lambda f, x: f(x, 2),
    'max_unpool1d': lambda f: f(*pooled(1), 2),
    'max_unpool2d': lambda f: f(*pooled(2), 2),
    'max_unpool3d': lambda f: f(*pooled(3), 2),
    'multi_head_attention_forward': lambda f: f(
        X1, X1, X1, 8, 2, weights(24, 8), weights(24), None, None, False, 0.,
        weights(8, 8), weights(8), training=False),
    'multi_margin_loss': lambda f: f(ROWS, CLASSES),
    'multilabel_margin_loss': lambda f: f(ROWS, torch.ones(3, 5).long()),
    'multilabel_soft_margin_loss': lambda f: f(ROWS, ROWS.round()),
    'nll_loss': lambda f: (f(ROWS, CLASSES),
                           f(X2, torch.ones(2, 8, 8).long())),
    'normalize': lambda f: f(X1),
    'one_hot': lambda f: f(CLASSES, 3),
    'pad': lambda f: [
        f(x, (1, ) * 2 * n, mode=mode)
        for n, x in ((1, X1), (2, X2), (3, X3))
        for mode in ('constant', 'reflect', 'replicate', 'circular')
    ],
    'pdist': lambda f: f(ROWS),
    'pixel_shuffle': lambda f: f(X2, 2),
    'pixel_unshuffle': lambda f: f(X2, 2),
    'prelu': lambda f: f(X2, weights(4)),
    'rms_norm': lambda f: f(X1, (8, )),
    'scaled_dot_product_attention': lambda f: (
        f(TOKENS, TOKENS, TOKENS), f(TOKENS, TOKENS, TOKENS, TOKENS[
            ..., :5] > 0.5), f(TOKENS, TOKENS, TOKENS, is_causal=True),
        f(TOKENS[..., 0, :], TOKENS[..., 1, :], TOKENS[..., 2, :])),
    'softmax': lambda f: f(X1, 1),
    'softmin': lambda f: f(X1, 1),
    'threshold': lambda f: f(X1.clone(), 0.1, 0.),
    'triplet_margin_loss': lambda f: f(ROWS, ROWS, ROWS),
    'triplet_margin_with_distance_loss': lambda f: f(ROWS, ROWS, ROWS),
    'unfold': lambda f: f(X2, 2),
    'upsample': lambda f: f(X2, scale_factor=2),
    'upsample_bilinear': lambda f: f(X2, scale_factor=2),
    'upsample_nearest': lambda f: f(X2, scale_factor=2),
}
LOSSES = ('huber_loss', 'l1_loss', 'mse_loss', 'pairwise_distance',
          'poisson_nll_loss', 'smooth_l1_loss', 'soft_margin_loss')
#: Functions that can also write into their argument.
INPLACE = ('celu', 'elu', 'hardsigmoid', 'hardswish', 'hardtanh',
           'leaky_relu', 'mish', 'relu', 'relu6', 'rrelu', 'selu', 'silu')
#: Helpers that are no functions of tensors.
NONE = ('assert_int_or_pair', 'boolean_dispatch', 'handle_torch_function',
        'has_torch_function', 'has_torch_function_unary',
        'has_torch_function_variadic', 'sdpa_kernel')


def functions():
    found = [
        name for name, f in vars(F).items()
        if not name.startswith('_') and callable(f)
        and not inspect.isclass(f) and name not in NONE
        and getattr(f, '__module__', None) not in ('typing', 'warnings')
    ]
    assert len(found) > 120
    return found


class Ops(TorchDispatchMode):
    """Collects the ops that are dispatched."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.add(func)
        return func(*args, **(kwargs or {}))


def missing(ops):
    """Ops that are neither in the table nor refused on purpose."""
    return {
        str(f) for f in ops
        if find_rule(f) is None and f._schema.name.split('::')[1].rstrip('_')
        not in REFUSED
    }


def call(name):
    f = getattr(F, name)
    plain = name.rstrip('_')
    if plain in CALLS:
        return CALLS[plain](f)
    pool = plain.replace('_with_indices', '')
    if pool[:-2] in CALLS:
        return CALLS[pool[:-2]](f, [X1, X2, X3][int(pool[-2]) - 1])
    if plain in LOSSES:
        return f(ROWS, ROWS.round())
    return f(X2.clone())


@pytest.mark.parametrize('name', functions())
def test_functional_api(name):
    with torch.no_grad(), Ops() as ops, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        call(name)
        if name in INPLACE:
            getattr(F, name)(X2.clone(), inplace=True)
    assert not missing(ops.seen)
    if name not in ('dropout', 'feature_alpha_dropout'):
        assert ops.seen


@pytest.mark.parametrize('layer, shape', [
    (nn.GRU(6, 3, bidirectional=True), (4, 2, 6)), (nn.RNN(6, 3), (4, 2, 6)),
    (nn.LSTM(6, 3, 2), (4, 2, 6)), (nn.LSTM(6, 3).double(), (4, 2, 6)),
    (nn.GRUCell(6, 3), (2, 6)), (nn.LSTMCell(6, 3), (2, 6)),
    (nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), (2, 4, 6)),
    (nn.utils.parametrizations.weight_norm(nn.Linear(6, 2)), (2, 6)),
    (nn.utils.parametrizations.spectral_norm(nn.Linear(6, 2)), (2, 6)),
    (nn.InstanceNorm2d(4, affine=True, track_running_stats=True), (2, 4, 6, 6)
     ), (nn.BatchNorm2d(4, track_running_stats=False), (2, 4, 6, 6))])
def test_layers(layer, shape):
    x = torch.rand(shape, dtype=next(
        (p.dtype for p in layer.parameters()), torch.float32))
    with torch.no_grad(), Ops() as ops:
        layer.eval()(x)
    assert not missing(ops.seen) and ops.seen


@pytest.mark.parametrize('call', [
    lambda x: torch.fft.ifft2(torch.fft.fft2(x)).real,
    lambda x: torch.fft.irfft(torch.fft.rfft(x)),
    lambda x: torch.stft(x.flatten(), 16, window=torch.hann_window(16),
                         return_complex=True),
    lambda x: x.sort(-1), lambda x: x.topk(2), lambda x: x.kthvalue(2),
    lambda x: x.median(-1), lambda x: x.mode(-1), lambda x: x.msort(),
    lambda x: x.unique(), lambda x: x.unique(dim=0), lambda x: x.histc(3),
    lambda x: x.unique_consecutive(), lambda x: torch.isin(x, x[0]),
    lambda x: torch.searchsorted(x[0], x), lambda x: torch.bucketize(x, x[0]),
    lambda x: (x > 0).long().flatten().bincount(), lambda x: x.std(-1),
    lambda x: torch.var_mean(x), lambda x: x.norm(1, -1), lambda x: x.norm(),
    lambda x: torch.cdist(x, x), lambda x: torch.cdist(x, x, p=1),
    lambda x: torch.dist(x, x), lambda x: x.cumsum(0), lambda x: x.cumprod(0),
    lambda x: x.logcumsumexp(0), lambda x: x.logsumexp(0),
    lambda x: x.cummax(0), lambda x: x.aminmax(), lambda x: x.quantile(0.5),
    lambda x: torch.einsum('ij,kj->ik', x, x), lambda x: torch.mv(x, x[0]),
    lambda x: torch.dot(x[0], x[0]), lambda x: torch.outer(x[0], x[1]),
    lambda x: torch.addmv(x[:, 0], x, x[0]), lambda x: torch.kron(x, x),
    lambda x: torch.addr(x[:5, :5], x[0, :5], x[0, :5]),
    lambda x: x.scatter_add(0, torch.zeros(2, 9).long(), x[:2]),
    lambda x: x.scatter_reduce(0, torch.zeros(2, 9).long(), x[:2], 'mean'),
    lambda x: x.index_add(0, torch.tensor([0]), x[:1], alpha=2),
    lambda x: x.index_reduce(0, torch.tensor([0]), x[:1], 'prod'),
    lambda x: x.index_put([torch.tensor([0])], x[:1], accumulate=True),
    lambda x: x.put(torch.tensor([0]), x[0, :1]), lambda x: x.take(
        torch.tensor([3])), lambda x: x.index_fill(0, torch.tensor([1]), 2.),
    lambda x: torch.linalg.cross(x[:, :3], x[:, :3]), lambda x: x.trace(),
    lambda x: torch.meshgrid(x[0], x[1], indexing='ij'), lambda x: x.renorm(
        2, 0, 1.), lambda x: torch.polar(x, x), lambda x: x.logit(),
    lambda x: torch.addcdiv(x, x, x), lambda x: torch.lerp(x, x, 0.2),
    lambda x: torch.allclose(x, x), lambda x: torch.nanmedian(x),
    lambda x: torch.combinations(x[0]), lambda x: torch.cov(x),
    lambda x: torch.count_nonzero(x), lambda x: x.nansum(), lambda x: x.diff(),
    lambda x: torch.trapezoid(x), lambda x: torch.cartesian_prod(x[0], x[1]),
    lambda x: torch.tensor(x.tolist()), lambda x: x.bernoulli(),
    lambda x: torch.nn.init.trunc_normal_(x.clone())])
def test_other_functions_of_pytorch(call):
    with torch.no_grad(), Ops() as ops:
        call(torch.rand(7, 9))
    assert not missing(ops.seen)


def test_all_compiled_ops_of_mmcv():
    extension = pytest.importorskip('mmcv._ext')
    names = {
        name for name, f in vars(extension).items()
        if callable(f) and not name.startswith('_')
        and not name.startswith('get_compil')
    }
    assert len(names) > 100
    known = set(MMCV_COSTS) | set(MMCV_REFUSED)
    assert {n for n in names - known if '_backward' not in n} == set()
    assert not set(MMCV_COSTS) & set(MMCV_REFUSED)
    for name in names - set(MMCV_COSTS):
        with pytest.raises(UnclassifiedOpError, match='on purpose'):
            mmcv_cost(name, (), {}, None)


def layers_of_mmcv():
    cnn = pytest.importorskip('mmcv.cnn')
    from mmengine.registry import MODELS
    names = [
        ('activation', dict(type=t), X2) for t in (
            'ReLU', 'LeakyReLU', 'PReLU', 'RReLU', 'ReLU6', 'ELU', 'Sigmoid',
            'Tanh', 'SiLU', 'Clip', 'GELU', 'HSigmoid', 'HSwish', 'Swish')
    ]
    names += [('norm', dict(type=t, **more), X2)
              for t, more in (('BN', {}), ('IN', {}),
                              ('GN', dict(num_groups=2)))]
    names += [('upsample', dict(type=t, scale_factor=2, **more), X2)
              for t, more in (('nearest', {}), ('bilinear', {}))]
    names += [('upsample', dict(
        type='pixel_shuffle', in_channels=4, out_channels=4, scale_factor=2,
        upsample_kernel=3), X2), ('upsample', dict(
            type='deconv', in_channels=4, out_channels=4, kernel_size=2), X2)]
    names += [('padding', dict(type=t, padding=1), X2)
              for t in ('zero', 'reflect', 'replicate')]
    for kind, cfg, x in names:
        if kind == 'norm':
            yield cnn.build_norm_layer(cfg, 4)[1], x
        else:
            build = getattr(cnn, f'build_{kind}_layer')
            yield build(cfg), x
    for cfg in (dict(type='NonLocal2d', in_channels=4),
                dict(type='ContextBlock', in_channels=4, ratio=0.5),
                dict(type='GeneralizedAttention', in_channels=4, num_heads=2),
                dict(type='DepthwiseSeparableConvModule', in_channels=4,
                     out_channels=4, kernel_size=3),
                dict(type='ConvWS', in_channels=4, out_channels=4,
                     kernel_size=3),
                dict(type='ConvAWS', in_channels=4, out_channels=4,
                     kernel_size=3)):
        kind = getattr(cnn, cfg['type'], None)
        if kind is None and cfg['type'] not in MODELS:
            continue
        cfg = dict(cfg)
        name = cfg.pop('type')
        yield (kind or MODELS.get(name))(**cfg), X2
    from mmcv.cnn.bricks import transformer, wrappers
    yield wrappers.Conv2d(4, 4, 3), X2
    yield transformer.PatchMerging(4, 4), torch.rand(2, 64, 4)
    yield transformer.FFN(4, 8), torch.rand(2, 5, 4)
    yield transformer.MultiheadAttention(4, 2), torch.rand(2, 5, 4)
    yield transformer.AdaptivePadding(3, 2), X2
    from mmcv import ops
    yield ops.CrissCrossAttention(8), torch.rand(1, 8, 4, 4)
    for mode in ('bottom', 'left', 'right', 'top'):
        yield ops.CornerPool(mode), X2
    yield ops.SAConv2d(4, 4, 3, padding=1, use_deform=False), X2
    yield ops.DeformConv2dPack(4, 4, 3, padding=1), X2
    yield ops.ModulatedDeformConv2dPack(4, 4, 3, padding=1), X2


def test_layers_of_mmcv():
    number = 0
    for layer, x in layers_of_mmcv():
        extra = {}
        if type(layer).__name__ == 'PatchMerging':
            extra = dict(input_size=(8, 8))
        with torch.no_grad(), Ops() as ops:
            layer.eval()(x.clone(), **extra)
        assert not missing(ops.seen), type(layer)
        number += 1
    assert number > 35


def test_functions_of_mmcv_that_are_no_compiled_ops():
    ops = pytest.importorskip('mmcv.ops')
    attention = ops.MultiScaleDeformableAttention(
        8, 2, num_levels=1, num_points=2, batch_first=True)
    shapes = torch.tensor([[4, 4]])
    with torch.no_grad(), Ops() as seen:
        attention.eval()(
            torch.rand(1, 5, 8), value=torch.rand(1, 16, 8),
            reference_points=torch.rand(1, 5, 1, 2), spatial_shapes=shapes,
            level_start_index=torch.tensor([0]))
        ops.point_sample(X2, torch.rand(2, 3, 2))
        ops.batched_nms(
            torch.rand(5, 4), torch.rand(5), torch.ones(5).long(),
            dict(type='nms', iou_threshold=0.5))
        ops.merge_cells.GlobalPoolingCell(4, 4, with_out_conv=False)(
            X2, X2, (4, 4))
    assert not missing(seen.seen)


def test_a_fresh_op_is_refused_by_name():
    library = torch.library.Library('mmsnn_test', 'DEF')
    library.define('triple(Tensor x) -> Tensor')
    library.impl('triple', lambda x: 3 * x, 'CPU')
    with pytest.raises(UnclassifiedOpError, match='mmsnn_test.triple'):
        rule_of(torch.ops.mmsnn_test.triple.default)
    aten = torch.ops.aten
    for func in (aten.special_airy_ai.default, aten._foreach_exp.default):
        with pytest.raises(UnclassifiedOpError, match=str(func)):
            rule_of(func)
    for func in (aten.linalg_inv_ex.default,
                 aten.linalg_pinv.atol_rtol_tensor,
                 aten._nested_tensor_from_tensor_list.default):
        with pytest.raises(UnclassifiedOpError, match=f'{func}.*on purpose'):
            rule_of(func)


def test_the_table_names_ops_that_there_are():
    """A name that is spelt wrong would never be found."""
    known = {n.split('::')[1] for n in torch._C._dispatch_get_all_op_names()
             if n.startswith('aten::')}
    names = {n.split('.')[0] for n in known} | known
    unknown = {n for n in (*RULES, *REFUSED)
               if n not in names and f'{n}_' not in names}
    assert not unknown
    assert not set(RULES) & set(REFUSED)


def test_each_view_is_a_move_or_named():
    """Of a view that computes something, such as a negative one, the result
    is no spikes."""
    for name in torch._C._dispatch_get_all_op_names():
        space, _, rest = name.partition('::')
        packet, _, overload = rest.partition('.')
        if space != 'aten' or not hasattr(torch.ops.aten, packet):
            continue
        func = getattr(
            getattr(torch.ops.aten, packet), overload or 'default')
        rule = find_rule(func)
        if not func.is_view or func._schema.is_mutable or rule is None:
            continue
        computes = packet in ('_neg_view', '_conj', 'view_as_real', 'real',
                              'imag', 'conj', 'view_as_complex', 'rename',
                              '_fw_primal') or name == 'aten::view.dtype'
        assert (rule.effect is Effect.MOVED) != computes, name
