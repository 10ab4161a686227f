import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.models.selfsup import BaseSelfSupervisor

from mmsnn.layers import enlarge_mask, hide
from mmsnn.models import SpikeSparK, random_mask

TINY = dict(embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 1, 1])
LARGE = dict(family='large', embed_dims=[8, 16, 24], depths=[1, 1, 1, 1])
MULTI_SCALE = dict(
    type='mmsnn.MultiScaleDecoder', in_channels=[8, 16, 32], feature_dim=32)


def build(backbone=None, **kwargs):
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='mmsnn.SpikeSparK',
            backbone=dict(
                type='mmsnn.MaskedESpikeFormer',
                **{'arch': TINY, **(backbone or {})}),
            **kwargs))


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 64) * 2 + 1


def test_random_masks():
    mask = random_mask((50, 4, 6), 0.6)
    assert mask.dtype == torch.bool and mask.shape == (50, 4, 6)
    # 0.6 * 24 = 14.4: 14 are masked.
    assert (mask.flatten(1).sum(1) == 10).all()
    # Every patch is masked in some image and visible in another.
    assert (mask.any(0) & ~mask.all(0)).all()
    torch.manual_seed(3)
    first = random_mask((2, 4, 6), 0.5)
    torch.manual_seed(3)
    assert torch.equal(first, random_mask((2, 4, 6), 0.5))
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(first, random_mask((2, 4, 6), 0.5, generator))
    assert not torch.equal(first[0], first[1])


def test_the_views_are_complementary(images):
    model = build()
    _, masked, reconstruction, mask = model.reconstruct(images)
    assert mask.shape == (2, 2, 4) and mask.flatten(1).sum(1).tolist() == [
        4, 4]
    assert torch.equal(masked, hide(images, mask))
    assert torch.equal(hide(reconstruction, mask), masked)
    target = images - masked
    assert torch.equal(target, hide(images, ~mask))
    assert (hide(reconstruction, ~mask) != target)[target != 0].all()


def test_loss_by_hand(images):
    model = build(mask_ratio=0.25).eval()
    torch.manual_seed(5)
    loss = model.loss(images, None)['loss']
    torch.manual_seed(5)
    mask = model.random_mask(images)
    with torch.no_grad():
        prediction = model.neck(model.encode(images, mask), mask)
    total, patches = 0., 0
    for n, i, j in (~mask).nonzero().tolist():
        where = n, slice(None), slice(i * 16, i * 16 + 16), slice(
            j * 16, j * 16 + 16)
        pixels = images[where]
        target = (pixels - pixels.mean()) / (pixels.var() + 1e-6).sqrt()
        total += (prediction[where] - target).square().mean()
        patches += 1
    assert patches == 4
    torch.testing.assert_close(loss.detach(), total / patches)


def test_reconstruction_by_hand(images):
    model = build().eval()
    mask = model.random_mask(images)
    found = model.reconstruct(images, mask)
    with torch.no_grad():
        prediction = model.neck(model.encode(images, mask), mask)
    n, i, j = (~mask).nonzero()[-1].tolist()
    where = n, slice(None), slice(i * 16, i * 16 + 16), slice(
        j * 16, j * 16 + 16)
    pixels = images[where]
    torch.testing.assert_close(
        found.reconstruction[where],
        prediction[where] * (pixels.var() + 1e-6).sqrt() + pixels.mean())
    model.head.norm_pix = False
    found = model.reconstruct(images, mask)
    torch.testing.assert_close(found.reconstruction[where], prediction[where])


@pytest.mark.parametrize('arch', [TINY, LARGE])
@pytest.mark.parametrize('changes', [
    dict(), dict(drop_masked=False), dict(ssc=False)])
def test_every_parameter_learns(images, arch, changes):
    model = build(dict(arch=arch, **changes)).train()
    assert isinstance(model, BaseSelfSupervisor)
    model(images, None, mode='loss')['loss'].backward()
    assert [k for k, p in model.named_parameters() if p.grad is None] == []
    feats = model(images)
    assert torch.equal(model.eval()(images)[-1],
                       model.extract_feat(images)[-1])
    assert feats[-1].shape == (2, arch['embed_dims'][-1], 2, 4)


def test_multi_scale_decoder(images):
    model = build(dict(out_indices=(1, 2, 4)), neck=MULTI_SCALE)
    loss = model.loss(images, None)['loss']
    loss.backward()
    assert [k for k, p in model.named_parameters() if p.grad is None] == []
    assert model.reconstruct(images).reconstruction.shape == images.shape


def test_masked_pixels_do_not_reach_the_prediction(images):
    for kwargs in (dict(), dict(backbone=dict(out_indices=(1, 2, 4)),
                                neck=MULTI_SCALE)):
        model = build(**kwargs).train()
        mask = model.random_mask(images)
        state = {k: v.clone() for k, v in model.state_dict().items()}
        first = model.neck(model.encode(images, mask), mask)
        model.load_state_dict(state)
        other = torch.where(
            enlarge_mask(mask, 16).unsqueeze(1), images, torch.nan)
        assert torch.equal(model.neck(model.encode(other, mask), mask), first)


def test_norm_of_the_output_is_over_visible_tokens(images):
    model = build(mask_ratio=0.75).double().train()
    images = images.double()
    model.norm.momentum = 1.
    mask = model.random_mask(images)
    rows = model.encoder_output(images, mask)
    assert rows.shape == (4, 32)  # 2 of 8 patches of both images
    out = model.encode(images, mask)[-1]
    torch.testing.assert_close(model.norm.running_mean, rows.mean(0))
    torch.testing.assert_close(model.norm.running_var, rows.var(0))
    expected = (rows - rows.mean(0)) / (rows.var(0, correction=0) +
                                        1e-5).sqrt()
    torch.testing.assert_close(out.permute(0, 2, 3, 1)[mask], expected)
    assert not out.permute(0, 2, 3, 1)[~mask].any()
    torch.testing.assert_close(
        model.encoder_output(images, mask, normed=True), expected)
    # Kept tokens are all of them.
    model = build(dict(drop_masked=False)).train()
    model.norm.momentum = 1.
    rows = model.encoder_output(images.float(), mask)
    assert rows.shape == (16, 32)
    model.encode(images.float(), mask)
    torch.testing.assert_close(model.norm.running_var, rows.var(0))
    assert {k for k in model.state_dict() if k.startswith('norm.')} == {
        f'norm.{x}' for x in ('weight', 'bias', 'running_mean', 'running_var',
                              'num_batches_tracked')}


def test_time_steps_are_averaged(images):
    neuron = dict(type='mmsnn.SFANeuron', timesteps=2)
    one = build(dict(neuron=neuron)).eval()
    other = build(dict(neuron=neuron, mean_over_time=True)).eval()
    mask = one.random_mask(images)
    assert one.encode(images, mask)[-1].shape == (2, 32, 2, 4)
    assert torch.equal(one.encode(images, mask)[-1],
                       other.encode(images, mask)[-1])


def test_larger_patches_and_other_channels():
    model = build(dict(in_channels=2), patch_size=32)
    images = torch.randn(2, 2, 64, 96)
    found = model.reconstruct(images)
    assert found.mask.shape == (2, 2, 3)
    assert found.reconstruction.shape == images.shape
    assert model.loss(images, None)['loss'] > 0


def test_the_head_of_one_stage_less():
    # Small patches where the last stages do not run.
    model = build(dict(out_indices=2), patch_size=8)
    assert model.loss(torch.randn(2, 3, 24, 32), None)['loss'] > 0


@pytest.mark.parametrize('kwargs,message', [
    (dict(patch_size=8), 'patch_size must be a multiple of 16.* is 8'),
    (dict(patch_size=0), 'patch_size must be a multiple of 16'),
    (dict(patch_size='16'), 'patch_size must be a multiple of 16'),
    (dict(mask_ratio=0), 'mask_ratio must be above 0 and below 1'),
    (dict(mask_ratio=1.), 'mask_ratio must be above 0 and below 1'),
    (dict(head=dict(
        type='mmpretrain.SparKPretrainHead', patch_size=32,
        loss=dict(type='mmpretrain.PixelReconstructionLoss',
                  criterion='L2'))), 'head.patch_size = 32 must be')])
def test_bad_config(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)


def test_another_backbone():
    with pytest.raises(ValueError, match='backbone must be a mmsnn.Masked.*'
                       'is a ESpikeFormer'):
        SpikeSparK(dict(type='mmsnn.ESpikeFormer', arch=TINY))


@pytest.mark.parametrize('shape,kwargs,message', [
    ((2, 3, 32, 40), {}, r'patch_size = 16 must divide both sides .*40\)'),
    ((2, 3, 30, 32), {}, 'patch_size = 16 must divide both sides'),
    ((2, 2, 3, 32, 32), {}, r'images \(N, C, H, W\)'),
    ((2, 3, 32, 32), dict(mask_ratio=0.9), 'mask_ratio = 0.9 leaves nothing '
     'of 2 x 2 patches visible: choose a ratio above 0.125 and below 0.875'),
    ((2, 3, 32, 32), dict(mask_ratio=0.1), 'mask_ratio = 0.1 leaves all'),
    ((2, 3, 32, 32), dict(neck=dict(
        type='mmsnn.PlainDecoder', in_channels=32, stride=8)),
     r'neck predicts the shape \(2, 3, 16, 16\) for images')])
def test_bad_images(shape, kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs).loss(torch.rand(shape), None)


def test_a_mask_of_another_size(images):
    model = build()
    for mask in (torch.ones(2, 2, 3, dtype=torch.bool),
                 torch.ones(2, 4, 8, dtype=torch.bool)):
        with pytest.raises(ValueError, match='mask of shape .* does not fit'):
            model.reconstruct(images, mask)
