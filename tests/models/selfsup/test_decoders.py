import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.layers import enlarge_mask, hide
from mmsnn.models import MultiScaleDecoder, PlainDecoder

MASK = torch.tensor([[[1, 0, 1], [0, 1, 0]], [[0, 0, 1], [1, 1, 0]]]).bool()


def test_plain_tokens_are_in_their_own_places():
    decoder = PlainDecoder(8, embed_dims=16, depth=1, num_heads=2)
    x = torch.randn(2, 8, 2, 3)
    tokens = decoder.tokens(x, MASK).unflatten(1, (2, 3))
    for n in range(2):
        for i in range(2):
            for j in range(3):
                expected = (
                    decoder.decoder_embed(x[n, :, i, j])
                    if MASK[n, i, j] else decoder.mask_token[0, 0])
                torch.testing.assert_close(tokens[n, i, j], expected)
    # What the encoder gives at masked positions is not read.
    assert torch.equal(tokens.flatten(1, 2),
                       decoder.tokens(hide(x, MASK), MASK))


def test_positions_by_hand():
    decoder = PlainDecoder(8, embed_dims=8, depth=0, num_heads=1)
    code = decoder.positions(2, 3).unflatten(1, (2, 3))[0]
    for i in range(2):
        for j in range(3):  # frequencies 1 and 1 / 100
            expected = [f(k * w) for k in (i, j) for f in (math.sin, math.cos)
                        for w in (1, 0.01)]
            torch.testing.assert_close(code[i, j], torch.tensor(expected))


def test_each_token_predicts_its_own_pixels():
    decoder = PlainDecoder(4, stride=2, embed_dims=8, depth=0, num_heads=1)
    visible = torch.ones(1, 2, 3, dtype=torch.bool)
    x = torch.randn(1, 4, 2, 3)
    out = decoder((x, ), visible)
    assert out.shape == (1, 3, 4, 6)
    token = decoder.decoder_embed(x[0, :, 1, 2]) + decoder.positions(2, 3)[0,
                                                                          5]
    pixels = decoder.decoder_pred(decoder.decoder_norm(token)).view(2, 2, 3)
    torch.testing.assert_close(out[0, :, 2:, 4:], pixels.permute(2, 0, 1))


def test_plain_decoder_is_a_transformer_of_the_given_size():
    decoder = PlainDecoder(8)
    assert len(decoder.decoder_blocks) == 4
    assert decoder.mask_token.shape == (1, 1, 256)
    assert decoder.decoder_blocks[0].attn.num_heads == 4
    assert not [k for k in decoder.state_dict() if 'pos_embed' in k]
    decoder.mask_token.data.zero_()
    decoder.init_weights()
    assert 0.015 < decoder.mask_token.std() < 0.025
    weight = decoder.decoder_pred.weight  # Xavier: uniform to sqrt(6 / sum)
    assert weight.abs().max() <= math.sqrt(6 / (256 + 768))
    out = decoder((torch.randn(2, 8, 2, 3), ), MASK)
    (out * torch.randn_like(out)).sum().backward()
    assert all(p.grad is not None for p in decoder.parameters())


def test_multi_scale_maps_by_hand():
    decoder = MultiScaleDecoder([4, 8], upsample_ratio=4, feature_dim=16)
    maps = [hide(torch.randn(2, 4, 4, 6), MASK),
            hide(torch.randn(2, 8, 2, 3), MASK)]
    small, large = decoder.densify(maps, MASK)
    assert torch.equal(small, torch.where(
        MASK.unsqueeze(1), maps[1], decoder.mask_tokens[0]))
    # The larger map is normalised over its visible positions before.
    fine = enlarge_mask(MASK, 2)
    rows = maps[0].permute(0, 2, 3, 1)[fine]
    normed = (maps[0] - rows.mean(0).view(4, 1, 1)) / (
        rows.var(0, correction=0) + 1e-5).sqrt().view(4, 1, 1)
    torch.testing.assert_close(
        large,
        torch.where(fine.unsqueeze(1), normed, decoder.mask_tokens[1]))
    # It is added on the way up.
    first, second = decoder.projections
    torch.testing.assert_close(
        first(small), F.conv2d(small, first.weight, first.bias))
    torch.testing.assert_close(
        second(large), F.conv2d(large, second.weight, second.bias, padding=1))
    x = decoder.decoder[0](first(small)) + second(large)
    expected = decoder.proj(decoder.decoder[1](x))
    torch.testing.assert_close(decoder(maps, MASK), expected)
    assert expected.shape == (2, 3, 8, 12)


def test_multi_scale_decoder_of_other_images():
    decoder = MultiScaleDecoder([8], out_channels=2, feature_dim=32,
                                norm_cfg=dict(type='GN', num_groups=1))
    assert not [m for m in decoder.modules() if isinstance(m, nn.BatchNorm2d)]
    out = decoder((torch.randn(2, 8, 2, 3), ), MASK)
    assert out.shape == (2, 2, 32, 48)
    (out * torch.randn_like(out)).sum().backward()
    assert all(p.grad is not None for p in decoder.parameters())


@pytest.mark.parametrize('kind,kwargs,message', [
    (PlainDecoder, dict(in_channels=8, embed_dims=18, num_heads=2),
     'neck.embed_dims = 18 must be a multiple of 4 and of neck.num_heads'),
    (PlainDecoder, dict(in_channels=8, embed_dims=16, num_heads=3),
     'neck.embed_dims = 16 .* neck.num_heads = 3'),
    (MultiScaleDecoder, dict(in_channels=[8], upsample_ratio=12),
     'neck.upsample_ratio must be a power of 2'),
    (MultiScaleDecoder, dict(in_channels=[8] * 5), 'neck.in_channels name'),
    (MultiScaleDecoder, dict(in_channels=[8], feature_dim=40),
     'neck.feature_dim = 40 must be a multiple of neck.upsample_ratio = 16')])
def test_bad_config(kind, kwargs, message):
    with pytest.raises(ValueError, match=message):
        kind(**kwargs)


@pytest.mark.parametrize('shapes', [
    [(2, 8, 2, 3)], [(2, 4, 2, 3), (2, 8, 2, 3)],
    [(2, 8, 4, 6), (2, 4, 2, 3)]])
def test_maps_of_other_stages(shapes):
    decoder = MultiScaleDecoder([4, 8], feature_dim=16)
    with pytest.raises(ValueError, match=r'neck.in_channels = \[4, 8\] needs '
                       r'maps of the sizes \[\(4, 6\), \(2, 3\)\].*out_indic'):
        decoder([torch.zeros(shape) for shape in shapes], MASK)
