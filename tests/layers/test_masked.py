import copy

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn
from torch.nn import functional as F

from mmsnn.layers import (
    MaskContext,
    SparseConv2d,
    SpikeConv2d,
    SpikeSparseConv2d,
    VisiblePatches,
    enlarge_mask,
    hide,
    masked,
)

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)
RELU = dict(type='ReLU')
#: Two images of 3 x 4 patches, 5 of each visible.
MASK = torch.tensor([[[1, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 1]],
                     [[0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0]]]).bool()


def by_hand(x, weight, bias, stride, padding, groups, visible):
    """Eq. 13, position by position: the sum over the neighbours that are
    visible, at visible centres."""
    n, _, height, width = x.shape
    size = weight.shape[-1]
    out_visible = visible[:, ::stride, ::stride]
    out = x.new_zeros(n, len(weight), *out_visible.shape[1:])
    per_group = len(weight) // groups
    for b, i, j in out_visible.nonzero().tolist():
        for o in range(len(weight)):
            total = bias[o] if bias is not None else x.new_zeros(())
            first = o // per_group * weight.shape[1]
            for di in range(size):
                for dj in range(size):
                    y, z = (i * stride + di - padding,
                            j * stride + dj - padding)
                    if 0 <= y < height and 0 <= z < width and (
                            visible[b, y, z]):
                        total = total + (
                            x[b, first:first + weight.shape[1], y, z] *
                            weight[o, :, di, dj]).sum()
            out[b, o, i, j] = total
    return out


CONVS = {
    '1x1': (1, 1, 0, 1), '1x1 in groups': (1, 1, 0, 2),
    '3x3': (3, 1, 1, 1), '7x7 depthwise': (7, 1, 3, 4),
    'stride 2': (3, 2, 1, 1), '5x5 in groups': (5, 1, 2, 2),
    '5x5': (5, 1, 2, 1), '5x5, stride 3': (5, 3, 2, 1)}


@pytest.mark.parametrize('kind,side', [
    (kind, side) for kind, conv in CONVS.items() for side in (1, 2, 3, 4)
    if side % conv[1] == 0])
def test_sparse_convolution_by_hand(kind, side, monkeypatch):
    monkeypatch.setattr(masked, 'FEW', 4)
    size, stride, padding, groups = CONVS[kind]
    conv = SparseConv2d(4, 4, size, stride, padding, groups=groups).double()
    x = torch.randn(2, 4, 3 * side, 4 * side, dtype=torch.double)
    reference = x.clone().requires_grad_()
    x.requires_grad_()
    weight = conv.weight.detach().clone().requires_grad_()
    bias = conv.bias.detach().clone().requires_grad_()
    expected = by_hand(reference, weight, bias, stride, padding, groups,
                       enlarge_mask(MASK, side))
    with conv.context.visible(MASK) as patches:
        actual = patches.unpack(conv(patches.pack(x)))
    torch.testing.assert_close(actual, expected)
    grad = torch.randn_like(expected)
    (actual * grad).sum().backward()
    (expected * grad).sum().backward()
    torch.testing.assert_close(x.grad, reference.grad)
    torch.testing.assert_close(conv.weight.grad, weight.grad)
    torch.testing.assert_close(conv.bias.grad, bias.grad)
    hidden = ~enlarge_mask(MASK, side).unsqueeze(1).expand_as(x)
    assert not x.grad[hidden].any()


def test_kernels_that_reach_beyond_the_next_patch_pass_gradcheck():
    conv = SparseConv2d(2, 3, 7, padding=3).double()
    x = torch.randn(2, 2, 5, 1, dtype=torch.double, requires_grad=True)

    def run(x, weight, bias):
        with conv.context.visible(MASK) as patches:
            return conv._conv_forward(x, weight, bias) + 0 * patches.count

    assert torch.autograd.gradcheck(run, (x, conv.weight, conv.bias))


def test_the_neuron_fires_first():
    conv = SpikeSparseConv2d(4, 6, 3, padding=1, neuron=SFA4)
    x = torch.rand(2, 4, 6, 8) * 5
    fired = sum((x >= d - 0.5).float() for d in range(1, 5)) / 4
    expected = F.conv2d(
        hide(fired, MASK), conv.weight, conv.bias, padding=1)
    with conv.context.visible(MASK) as patches:
        actual = patches.unpack(conv(patches.pack(x)))
    torch.testing.assert_close(actual, hide(expected, MASK))


def test_without_a_mask_it_is_the_ordinary_convolution():
    dense = SpikeConv2d(4, 6, 3, padding=1, neuron=SFA4)
    sparse = SpikeSparseConv2d.from_dense(dense, MaskContext())
    x = torch.rand(2, 4, 6, 8) * 5
    with sparse.context.visible(MASK):
        pass
    assert torch.equal(sparse(x), dense(x))


def test_classes_change_and_weights_do_not():
    dense = SpikeConv2d(4, 6, 3, stride=2, padding=1, neuron=SFA4)
    sparse = SpikeSparseConv2d.from_dense(dense, MaskContext())
    back = sparse.to_dense()
    for layer in (sparse, back):
        assert layer.weight is dense.weight and layer.bias is dense.bias
        assert layer.neuron is dense.neuron and layer.stride == (2, 2)
        assert set(layer.state_dict()) == {'weight', 'bias'}
    assert type(back) is SpikeConv2d and not hasattr(back, 'context')
    stem = nn.Conv2d(3, 4, 7)
    assert type(SparseConv2d.from_dense(
        stem, MaskContext()).to_dense()) is nn.Conv2d


def test_conv_cfg():
    layer = ConvModule(
        4, 6, 3, padding=1,
        conv_cfg=dict(type='mmsnn.SpikeSparseConv2d', neuron=RELU),
        norm_cfg=dict(type='BN'), act_cfg=None)
    assert isinstance(layer.conv, SpikeSparseConv2d)
    assert layer(torch.rand(1, 4, 5, 5)).shape == (1, 6, 5, 5)


def test_packed_activations():
    patches = VisiblePatches(MASK)
    x = torch.arange(2 * 6 * 8.).view(2, 1, 6, 8)
    packed = patches.pack(x)
    assert packed.shape == (2, 1, 10, 2)
    # The second visible patch of the first image: row 0, column 2.
    assert packed[0, 0, 2:4].tolist() == x[0, 0, 0:2, 4:6].tolist()
    # The last one of the second image: row 2, column 1.
    assert packed[1, 0, 8:].tolist() == x[1, 0, 4:6, 2:4].tolist()
    assert torch.equal(patches.unpack(packed), hide(x, MASK))
    assert torch.equal(patches.pack(patches.unpack(packed)), packed)


def test_pairs_of_positions():
    """Of the first image, whose visible patches are 0, 2, 3, 5 and 11 (row by
    row on a grid of 4 columns), packed as 0 to 4."""
    patches = VisiblePatches(MASK[:1])
    pairs = [tuple(x.tolist() for x in pair) for pair in patches.pairs(1, 3)]
    # Patch 0 has 5 at its lower right, and patch 2 has it at its lower left;
    # 2 and 3 are side by side. 11 has no visible neighbour.
    same = [0, 1, 2, 3, 4]
    assert pairs == [([3], [0]), ([], []), ([3], [1]),
                     ([2], [1]), (same, same), ([1], [2]),
                     ([1], [3]), ([], []), ([0], [3])]
    different = patches.pairs(1, 3, within=False)
    assert [len(x) for x, _ in different] == [1, 0, 1, 1, 0, 1, 1, 0, 1]
    # Patch 2 (columns 4, 5) with its neighbour 3 (columns 6, 7), rows 0, 1:
    # what is to the right of positions 5 and 7 of the packed ones.
    outputs, inputs = patches.pairs(2, 3, within=False)[5]
    assert (outputs.tolist(), inputs.tolist()) == ([5, 7], [8, 10])
    # Stride 2: each output reads its patch, from 4 times its number on, and
    # the rows and columns in front of it.
    found = patches.pairs(2, 3, stride=2)
    assert [x.tolist() for x in found[8]] == [same, [3, 7, 11, 15, 19]]
    assert [x.tolist() for x in found[4]] == [same, [0, 4, 8, 12, 16]]
    assert [x.tolist() for x in found[3]] == [[2], [5]]
    assert [x.tolist() for x in found[0]] == [[3], [3]]


def test_a_norm_has_statistics_over_visible_positions():
    norm = nn.BatchNorm2d(3, momentum=1.).double()
    x = torch.randn(2, 3, 6, 8, dtype=torch.double) * 3 + 1
    patches = VisiblePatches(MASK)
    out = patches.unpack(norm(patches.pack(x)))
    visible = x.permute(0, 2, 3, 1)[enlarge_mask(MASK, 2)]  # (40, 3)
    torch.testing.assert_close(norm.running_mean, visible.mean(0))
    torch.testing.assert_close(norm.running_var, visible.var(0))
    expected = (x - visible.mean(0).view(3, 1, 1)) / (
        visible.var(0, correction=0) + norm.eps).sqrt().view(3, 1, 1)
    torch.testing.assert_close(out, hide(expected, MASK))


def test_contexts_are_restored_and_copied():
    context = MaskContext()
    layers = nn.ModuleList(
        SpikeSparseConv2d(1, 1, 3, padding=1, neuron=RELU, context=context)
        for _ in range(2))
    copied = copy.deepcopy(layers)
    assert copied[0].context is copied[1].context is not context
    with context.visible(MASK):
        assert copied[0].context.patches(2) is None
        with pytest.raises(RuntimeError):
            with context.visible(~MASK[:1]):
                assert context.patches(1).count == 7
                raise RuntimeError
        assert context.patches(2).count == 5
        context.reveal()
        assert context.patches(2) is None
    assert context.patches(2) is None


def test_over_time_each_step_has_the_mask_of_its_image():
    context = MaskContext()
    with context.visible(MASK):
        mask = context.patches(6).mask
    assert torch.equal(mask[:3], MASK[:1].expand(3, -1, -1))
    assert torch.equal(mask[3:], MASK[1:].expand(3, -1, -1))


@pytest.mark.parametrize('options', [
    dict(kernel_size=1), dict(kernel_size=3, padding=1),
    dict(kernel_size=3, padding=1, stride=2)])
@pytest.mark.parametrize('side', [2, 4])
def test_spikes_are_kept_as_bytes(side, options):
    conv = SpikeSparseConv2d(16, 6, neuron=SFA4, **options)
    x = (torch.rand(2, 16, 3 * side, 4 * side) * 5).requires_grad_()
    kept = []

    def keep(tensor):
        kept.append(tensor)
        return tensor

    with conv.context.visible(MASK) as patches:
        packed = patches.pack(x)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            out = conv(packed)
    large = [t for t in kept if t.numel() == packed.numel()]
    assert large and all(t.dtype == torch.uint8 for t in large)
    out.sum().backward()
    spikes = conv.neuron(x.detach())
    weight = conv.weight.detach().clone().requires_grad_()
    dense = F.conv2d(hide(spikes, MASK), weight, None, conv.stride,
                     conv.padding)
    hide(dense, MASK).sum().backward()
    torch.testing.assert_close(conv.weight.grad, weight.grad)


def test_autocast():
    conv = SpikeSparseConv2d(4, 6, 3, padding=1, neuron=SFA4)
    x = torch.rand(2, 4, 6, 8) * 5
    with conv.context.visible(MASK) as patches:
        full = patches.unpack(conv(patches.pack(x)))
        with torch.autocast('cpu', torch.bfloat16):
            half = conv(patches.pack(x))
        assert half.dtype == torch.bfloat16
        half = patches.unpack(half)
    half.float().sum().backward()
    assert conv.weight.grad.dtype == torch.float32
    torch.testing.assert_close(half.float(), full, rtol=0.05, atol=0.05)


@pytest.mark.parametrize('mask,message', [
    (MASK.float(), 'mask must be a bool tensor .*torch.float32'),
    (MASK[0], r'mask must be a bool tensor .*shape \(3, 4\)'),
    (MASK ^ torch.tensor([[[True]], [[False]]]),
     r'same number of patches of every image, but shows \[7, 5\]')])
def test_bad_masks(mask, message):
    with pytest.raises(ValueError, match=message):
        VisiblePatches(mask)


def test_a_map_that_does_not_fit():
    patches = VisiblePatches(MASK)
    for shape in ((2, 1, 6, 7), (2, 1, 3, 8), (1, 1, 3, 4), (2, 1, 2, 2)):
        with pytest.raises(ValueError, match='does not fit a mask of shape'):
            patches.pack(torch.zeros(shape))
    conv = SparseConv2d(1, 1, 3)  # without padding
    with conv.context.visible(MASK):
        with pytest.raises(ValueError, match='does not fit a mask of shape'):
            conv(patches.pack(torch.zeros(2, 1, 6, 8)))
