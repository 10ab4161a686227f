"""Chains against their definition, and folded against not folded."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.layers import (
    LinearPair,
    ReparamConv,
    RepConv,
    deploy,
    norm_as_affine,
)

CHAINS = {
    'pair': lambda **k: LinearPair(6, 4, expand_ratio=1.5, **k),
    'rep conv': lambda **k: RepConv(6, 4, **k)
}
both = pytest.mark.parametrize('kind', list(CHAINS))
with_and_without = pytest.mark.parametrize('outer_norm', [False, True])


def randomised(module, dtype=torch.float64):
    module = module.to(dtype).eval()
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * 0.5 + 0.2
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.normal_()
            m.running_var.uniform_(0.5, 2)
    return module


def norm(m, x):
    scale = (m.weight / (m.running_var + m.eps).sqrt())[:, None, None]
    return (x - m.running_mean[:, None, None]) * scale + m.bias[:, None, None]


@with_and_without
def test_linear_pair(outer_norm):
    pair = randomised(LinearPair(6, 4, 1.5, outer_norm))
    x = torch.randn(2, 6, 3, 5, dtype=torch.float64)
    b = pair.branch
    assert b.conv1.weight.shape == (9, 6, 1, 1)
    out = torch.einsum('oi,nihw->nohw', b.conv1.weight[..., 0, 0], x)
    out = norm(b.norm1, out)
    out = torch.einsum('oi,nihw->nohw', b.conv2.weight[..., 0, 0], out)
    out = norm(b.norm2, out)
    if outer_norm:
        out = norm(b.norm, out)
    torch.testing.assert_close(pair(x), out, rtol=1e-12, atol=1e-12)


@with_and_without
def test_rep_conv(outer_norm):
    # What lies beyond the border is what the norm gives to zero, so the
    # input may be padded with zeros in front of everything.
    conv = randomised(RepConv(6, 4, outer_norm))
    x = torch.randn(2, 6, 3, 5, dtype=torch.float64)
    b = conv.branch
    out = F.conv2d(F.pad(x, (1, 1, 1, 1)), b.conv1.weight)
    out = norm(b.norm1.norm, out)
    out = F.conv2d(out, b.depthwise.weight, groups=6)
    out = norm(b.norm2, F.conv2d(out, b.conv2.weight))
    if outer_norm:
        out = norm(b.norm, out)
    assert out.shape == (2, 4, 3, 5)
    torch.testing.assert_close(conv(x), out, rtol=1e-12, atol=1e-12)


def test_rep_conv_by_hand():
    conv = RepConv(1, 1).double().eval()
    conv.branch.conv1.weight.data.fill_(2)
    conv.branch.depthwise.weight.data.fill_(1)
    conv.branch.conv2.weight.data.fill_(1)
    conv.branch.norm1.norm.bias.data.fill_(1)
    for m in conv.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.eps = 0.
    x = torch.full((1, 1, 1, 1), 3., dtype=torch.float64)
    # 2 * 3 + 1 in the middle, 1 at the 8 positions around
    assert conv(x).item() == 15
    conv.switch_to_deploy()
    assert conv.branch.weight.eq(2).all() and conv.branch.bias.item() == 9
    assert conv(x).item() == 15


@both
@with_and_without
@pytest.mark.parametrize('size', [(5, 4), (1, 1), (7, 1)])
def test_folded_equals_not_folded(kind, outer_norm, size):
    chain = randomised(CHAINS[kind](outer_norm=outer_norm))
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    with torch.no_grad():
        expected = chain(x)
        chain.switch_to_deploy()
        assert type(chain.branch) is nn.Conv2d
        assert expected.std() > 0.1
        torch.testing.assert_close(
            chain(x), expected, rtol=1e-12, atol=1e-12)


@both
def test_folded_in_float32_is_rounded_once(kind):
    chain = randomised(CHAINS[kind](), torch.float32)
    wide = copy.deepcopy(chain).double()
    chain.switch_to_deploy()
    wide.switch_to_deploy()
    assert chain.branch.weight.dtype == torch.float32
    for a, b in zip(chain.parameters(), wide.parameters()):
        assert torch.equal(a, b.float())


@both
def test_folding_uses_running_statistics_in_training_too(kind):
    chain = randomised(CHAINS[kind]())
    expected = copy.deepcopy(chain)
    expected.switch_to_deploy()
    chain.train()
    chain.switch_to_deploy()
    assert torch.equal(chain.branch.weight, expected.branch.weight)


@both
def test_folding_twice_is_folding_once(kind):
    chain = CHAINS[kind]()
    chain.switch_to_deploy()
    conv = chain.branch
    chain.switch_to_deploy()
    assert chain.branch is conv


@both
@pytest.mark.parametrize('frozen', [True, False])
def test_a_frozen_chain_folds_into_a_frozen_convolution(kind, frozen):
    chain = CHAINS[kind]().requires_grad_(not frozen)
    chain.switch_to_deploy()
    assert {p.requires_grad for p in chain.parameters()} == {not frozen}


@both
def test_every_parameter_learns(kind):
    chain = CHAINS[kind](outer_norm=True).train()
    out = chain(torch.randn(4, 6, 5, 5))
    (out * torch.randn_like(out)).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in chain.parameters())


def test_border_in_training_is_that_of_the_running_statistics():
    padded = RepConv(2, 2).branch.norm1.train()
    padded.norm.running_mean.copy_(torch.tensor([1., -2.]))
    padded.norm.momentum = 0.
    out = padded(torch.randn(3, 2, 4, 4))
    for channel, value in enumerate((-1., 2.)):
        edge = out[:, channel, 0]
        torch.testing.assert_close(edge, torch.full_like(edge, value))
    inside = out[..., 1:-1, 1:-1]
    assert inside.mean().abs() < 1e-6  # batch statistics


@both
@pytest.mark.parametrize('norm_cfg', [
    dict(type='GN', num_groups=1),
    dict(type='BN', track_running_stats=False)])
def test_norms_that_can_not_be_folded(kind, norm_cfg):
    with pytest.raises(ValueError, match='norm_cfg must name a batch norm'):
        CHAINS[kind](norm_cfg=norm_cfg)


@pytest.mark.parametrize('affine', [True, False])
def test_norm_as_affine(affine):
    m = randomised(nn.BatchNorm2d(3, affine=affine))
    scale, shift = norm_as_affine(m)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(
        x * scale[:, None, None] + shift[:, None, None], m(x))
    assert scale.dtype == torch.float64


class Owner(nn.Module):
    """As mmpretrain's backbones: takes care of what is inside."""

    def __init__(self):
        super().__init__()
        self.chain = LinearPair(2, 2)
        self.calls = 0

    def switch_to_deploy(self):
        self.calls += 1


def test_deploy_calls_the_outermost():
    owner = Owner()
    net = nn.Sequential(nn.Sequential(RepConv(2, 2), nn.ReLU()), owner)
    deploy(net)
    assert type(net[0][0].branch) is nn.Conv2d
    assert owner.calls == 1
    assert type(owner.chain.branch) is nn.Sequential


def test_deploy_of_one_of_mmpretrains():
    from mmpretrain.models import RepVGG
    model = RepVGG('A0', out_indices=(1, ))
    model.eval()  # does not return the model
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        before, = model(x)
        deploy(nn.ModuleDict(dict(backbone=model)))
        assert model.deploy
        torch.testing.assert_close(model(x)[0], before, rtol=1e-4, atol=1e-4)


def test_channels_last_is_kept():
    x = torch.randn(2, 6, 5, 4).to(memory_format=torch.channels_last)
    for make in CHAINS.values():
        chain = make()
        for _ in range(2):
            assert chain(x).is_contiguous(memory_format=torch.channels_last)
            chain.switch_to_deploy()


def test_a_chain_of_ones_own():
    chain = ReparamConv(
        conv=nn.Conv2d(3, 5, 1, bias=False), norm=nn.BatchNorm2d(5)).eval()
    x = torch.randn(1, 3, 2, 2)
    expected = chain(x)
    chain.switch_to_deploy()
    torch.testing.assert_close(chain(x), expected)
