"""Norms whose input is convolved once more in the backward pass."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from mmsnn.neurons.saving import convolved_again


def norm_behind(conv, x, change=None, context=None):
    norm = nn.BatchNorm2d(conv.out_channels)
    with convolved_again() if context is None else context:
        out = conv(x)
        if change is not None:
            out = change(out)
        out = norm(out)
    return norm, out


@pytest.mark.parametrize('change', [
    None, lambda z: z * 2, lambda z: z.mul_(2), lambda z: z + 0])
@pytest.mark.parametrize('options', [
    dict(bias=False), dict(), dict(bias=False, stride=2, dilation=2),
    dict(bias=False, groups=2, padding=1)])
def test_norms_bit_for_bit(options, change):
    conv = nn.Conv2d(4, 6, 3, **options)
    found = []
    for context in (None, nullcontext()):
        conv.zero_grad()
        x = torch.ones(2, 4, 9, 9).cumsum(3).sin().requires_grad_()
        norm, out = norm_behind(conv, x, change, context)
        (out * torch.arange(out.numel()).view(out.shape).sin()
         ).sum().backward()
        found.append([x.grad, conv.weight.grad, norm.weight.grad])
    assert all(map(torch.equal, *found))


def test_a_convolution_whose_weight_has_changed_is_an_error():
    conv, x = nn.Conv2d(4, 6, 3, bias=False), torch.rand(2, 4, 5, 5)
    _, out = norm_behind(conv, x.requires_grad_())
    with torch.no_grad():
        conv.weight.add_(1)
    with pytest.raises(RuntimeError, match='inplace operation'):
        out.sum().backward()


def test_an_output_changed_without_gradient_is_saved_as_it_is():
    conv, x = nn.Conv2d(4, 6, 3, bias=False), torch.rand(2, 4, 5, 5)

    def tripled(z):
        with torch.no_grad():
            z.mul_(torch.arange(1., 4.).view(3, 1))
        return z

    norm, out = norm_behind(conv, x, tripled)
    out.square().sum().backward()
    z = conv(x).detach() * torch.arange(1., 4.).view(3, 1)
    other = nn.BatchNorm2d(6)
    other(z).square().sum().backward()
    assert torch.equal(norm.weight.grad, other.weight.grad)


@pytest.mark.parametrize('make', [
    lambda: nn.Conv2d(101, 1, 1, bias=False),
    lambda: nn.ConvTranspose2d(101, 1, 1, bias=False),
    lambda: nn.Conv2d(101, 1, 1)])
def test_what_is_dear_or_unknown_is_saved(make):
    conv, saved = make(), []
    x = torch.rand(2, 101, 3, 3, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(
            lambda t: saved.append(t.shape) or t, lambda t: t):
        norm_behind(conv, x)
    assert (2, 1, 3, 3) in saved
    saved.clear()
    narrow = nn.Conv2d(100, 1, 1, bias=False)
    with torch.autograd.graph.saved_tensors_hooks(
            lambda t: saved.append(t.shape) or t, lambda t: t):
        norm_behind(narrow, x[:, 1:])
    assert (2, 1, 3, 3) not in saved
