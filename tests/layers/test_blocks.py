import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.layers import (
    ChannelMixer,
    ConvBlock,
    LinearPairESDSA,
    SpikeSepConv,
    TransformerBlock,
)

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)


def fire(u):
    return sum((u >= d - 0.5).double() for d in range(1, 5)) / 4


def randomised(module):
    torch.manual_seed(0)
    module = module.double().eval()
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * 0.5 + 0.2
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.normal_()
            m.running_var.uniform_(0.5, 2)
    return module


def conv_bn(layer, x, **kwargs):
    norm = layer.norm
    x = F.conv2d(fire(x), layer.conv.weight, layer.conv.bias, **kwargs)
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight,
                        norm.bias)


def sep_conv(block, x, kernel_size):
    wide = block.expand.conv.out_channels
    x = conv_bn(block.expand, x)
    x = conv_bn(block.depthwise, x, padding=kernel_size // 2, groups=wide)
    return conv_bn(block.reduce, x)


def mixer(block, x, kernel_size):
    x = conv_bn(block.expand, x, padding=kernel_size // 2)
    return conv_bn(block.reduce, x, padding=kernel_size // 2)


@pytest.fixture
def x():
    torch.manual_seed(1)
    return torch.randn(2, 8, 7, 6, dtype=torch.float64) * 2 + 1


def same(actual, expected):
    assert expected.std() > 0.01
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_sep_conv(x):
    block = randomised(SpikeSepConv(8, SFA4, kernel_size=5, expand_ratio=3))
    assert all(p.dim() == 4 for n, p in block.named_parameters()
               if 'conv' in n)  # no biases
    same(block(x), sep_conv(block, x, 5))


@pytest.mark.parametrize('kernel_size,bias', [(3, False), (1, True)])
def test_channel_mixer(x, kernel_size, bias):
    block = randomised(ChannelMixer(8, SFA4, kernel_size, bias))
    assert (block.expand.conv.bias is not None) == bias
    assert block.expand.conv.out_channels == 32
    same(block(x), mixer(block, x, kernel_size))


def test_conv_block(x):
    block = randomised(ConvBlock(8, SFA4))
    expected = x + sep_conv(block.sep_conv, x, 7)
    same(block(x), expected + mixer(block.mixer, expected, 3))


def test_transformer_block(x):
    block = randomised(TransformerBlock(8, SFA4, num_heads=2))
    expected = x + sep_conv(block.sep_conv, x, 3)
    expected = expected + block.attention(expected)
    same(block(x), expected + mixer(block.mlp, expected, 1))


def test_bare_depthwise_convolution(x):
    block = randomised(SpikeSepConv(8, SFA4, kernel_size=5,
                                    bare_depthwise=True))
    assert [k for k, _ in block.depthwise.named_children()] == ['conv']
    out = conv_bn(block.expand, x)
    out = F.conv2d(fire(out), block.depthwise.conv.weight, padding=2,
                   groups=16)
    out = F.conv2d(out, block.reduce.conv.weight)
    norm = block.reduce.norm
    out = F.batch_norm(out, norm.running_mean, norm.running_var, norm.weight,
                       norm.bias)
    same(block(x), out)


def test_conv_block_of_the_large_family(x):
    block = randomised(ConvBlock(8, SFA4, sep_conv=None, bias=True))
    assert block.mixer.expand.conv.bias is not None
    same(block(x), x + mixer(block.mixer, x, 3))


def large(**kwargs):
    return randomised(
        TransformerBlock(8, SFA4, num_heads=2, attention=LinearPairESDSA,
                         sep_conv=None, linear_pair=True, **kwargs))


def test_transformer_block_of_the_large_family(x):
    block = large(layer_scale=0.5)
    scale = {k: m.weight[:, None, None]
             for k, m in block.layer_scales.items()}
    expected = x + block.pair.linear(fire(x))
    expected = expected + scale['attention'] * block.attention(expected)
    expected = expected + scale['mlp'] * mixer(block.mlp, expected, 1)
    same(block(x), expected)


def test_first_value_of_the_layer_scale():
    block = TransformerBlock(8, SFA4, layer_scale=1e-6)
    weights = [m.weight for m in block.layer_scales.values()]
    assert len(weights) == 3 and all((w == 1e-6).all() for w in weights)
    # One dimension: weight decay leaves it out as it does norms and biases.
    assert weights[0].dim() == 1
    for none in (None, 0, 0.):
        assert not TransformerBlock(8, SFA4, layer_scale=none).layer_scales


def test_a_flat_stage_takes_any_set_of_tokens(x):
    block = large()
    with torch.no_grad():
        expected = block(x).flatten(2)
        tokens = x.flatten(2)
        flat = block(tokens.unsqueeze(-1))
        assert flat.shape == (2, 8, 42, 1)
        torch.testing.assert_close(flat.squeeze(-1), expected)
        # Their order does not matter.
        order = torch.randperm(42)
        mixed = block(tokens[..., order].unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(mixed, expected[..., order])
        few = block(tokens[..., :5].unsqueeze(-1))
    assert few.shape == (2, 8, 5, 1)


def test_deploy_leaves_nothing_to_multiply(x):
    block = large(layer_scale=0.5)
    with torch.no_grad():
        expected = block(x)
        block.switch_to_deploy()
        same(block(x), expected)
    assert not block.layer_scales
    kinds = {type(m) for m in block.attention.modules()}
    assert nn.BatchNorm2d not in kinds
    block.switch_to_deploy()  # does nothing more
    same(block(x), expected)


def test_deploy_after_parts_were_folded(x):
    block = large(layer_scale=0.5)
    with torch.no_grad():
        expected = block(x)
        block.attention.proj.switch_to_deploy()
        block.switch_to_deploy()
        same(block(x), expected)


def test_a_layer_scale_stays_where_no_norm_takes_it(x):
    block = randomised(
        TransformerBlock(8, SFA4, num_heads=2, layer_scale=0.5,
                         norm_cfg=dict(type='BN', affine=False)))
    with torch.no_grad():
        expected = block(x)
        block.switch_to_deploy()
        same(block(x), expected)
    assert len(block.layer_scales) == 3


def test_the_pair_is_not_dropped():
    block = large(drop_path=0.999999, layer_scale=0.5).train()
    x = torch.rand(4, 8, 5, 5, dtype=torch.float64)
    pair = copy.deepcopy(block.pair)
    assert torch.equal(block(x), pair(x) + x)


@pytest.mark.parametrize('kind', [ConvBlock, TransformerBlock])
def test_neurons_that_work_in_place_do_not_reach_the_residual(kind, x):
    block = randomised(kind(8, SFA4, **(
        dict(num_heads=2) if kind is TransformerBlock else {})))
    before = x.clone()
    with torch.no_grad():
        fast = block(x)
    assert torch.equal(x, before)
    assert torch.equal(fast, block(x).detach())  # with gradient: no in-place


@pytest.mark.parametrize('kind', [ConvBlock, TransformerBlock])
def test_drop_path_drops_whole_branches_in_training_only(kind):
    torch.manual_seed(0)
    block = kind(8, SFA4, drop_path=0.999999)
    x = torch.rand(4, 8, 5, 5)
    assert torch.equal(block.train()(x), x)
    plain = copy.deepcopy(block)
    plain.drop_path.drop_prob = 0.
    assert torch.equal(block.eval()(x), plain.eval()(x))
    assert not torch.equal(block(x), x)
