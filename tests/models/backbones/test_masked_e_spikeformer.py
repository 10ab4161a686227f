import copy
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn

from mmsnn.layers import SparseConv2d, SpikeSparseConv2d, enlarge_mask, hide
from mmsnn.models import ESpikeFormer, MaskedESpikeFormer

ARCHS = dict(
    base=dict(embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 2, 1],
              num_heads=4),
    large=dict(family='large', embed_dims=[8, 16, 24], depths=[1, 1, 1, 2],
               num_heads=4, linear_pair=True))
every = pytest.mark.parametrize('family', list(ARCHS))
#: Two images of 48 x 64 pixels in patches of 16, 5 of each visible.
MASK = torch.tensor([[[1, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 1]],
                     [[0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0]]]).bool()


def build(family, kind=MaskedESpikeFormer, **kwargs):
    torch.manual_seed(0)
    arch = ARCHS[family]
    kwargs.setdefault('out_indices', range(len(arch['depths'])))
    model = kind(arch, layer_scale_init_value=None, **kwargs)
    for name, parameter in model.named_parameters():
        if 'norm' in name and name.endswith('bias'):
            parameter.data.uniform_(0, 1)
    return model.double()


@pytest.fixture
def images():
    return torch.randn(2, 3, 48, 64, dtype=torch.double)


def visible_of(out):
    return enlarge_mask(MASK, out.shape[-1] // MASK.shape[-1]).unsqueeze(1)


def weighted(outs):
    generator = torch.Generator().manual_seed(1)
    return sum((x * torch.randn(x.shape, generator=generator)).sum()
               for x in outs)


@every
@pytest.mark.parametrize('train', [False, True])
def test_masked_pixels_have_no_influence(family, images, train):
    model = build(family).train(train)
    other = torch.where(hide(torch.ones_like(images), MASK) == 0,
                        torch.full_like(images, torch.nan), images)
    results = []
    for x in (images, other):
        copied = copy.deepcopy(model)
        x = x.clone().requires_grad_()
        outs = copied(x, MASK)
        weighted(outs).backward()
        assert not x.grad[hide(torch.ones_like(x), MASK) == 0].any()
        results.append([*outs, x.grad, *(p.grad for p in copied.parameters()
                                         ), *copied.buffers()])
    assert all(torch.equal(a, b) for a, b in zip(*results))
    for out in results[0][:len(model.out_indices)]:
        assert (hide(out, MASK) == out).all() and torch.isfinite(out).all()
        assert (out[visible_of(out).expand_as(out)] != 0).any()


@every
@pytest.mark.parametrize('changes', [
    dict(), dict(drop_masked=False), dict(ssc=False)])
@pytest.mark.parametrize('train', [False, True])
def test_with_all_visible_it_is_the_ordinary_encoder(family, images, changes,
                                                     train):
    masked = build(family, **changes).float().train(train)
    ordinary = build(family, ESpikeFormer).float().train(train)
    everything = torch.ones(2, 3, 4, dtype=torch.bool)
    results = []
    for model, arguments in ((masked, (everything, )), (ordinary, ())):
        outs = model(images.float(), *arguments)
        weighted(outs).backward()
        results.append([*outs, *(p.grad for p in model.parameters()),
                        *model.buffers()])
    assert all(torch.equal(a, b) for a, b in zip(*results))
    # So it is without a mask.
    masked, ordinary = masked.eval(), ordinary.eval()
    for a, b in zip(masked(images.float()), ordinary(images.float())):
        assert torch.equal(a, b)


@every
def test_the_packed_computation_with_all_visible(family, images):
    # The short cut above is not taken: the same numbers in another order.
    masked, ordinary = build(family).train(), build(
        family, ESpikeFormer).train()
    with masked.context.visible(torch.ones(2, 3, 4, dtype=torch.bool)):
        outs = masked._run_stages(images, 1)
    expected = ordinary(images)
    for a, b in zip(outs, expected):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    weighted(outs).backward()
    weighted(expected).backward()
    gradients = dict(masked.named_parameters())
    largest = max(p.grad.abs().max() for p in ordinary.parameters())
    for name, parameter in ordinary.named_parameters():
        # Where a norm follows, the true gradient of a bias is 0.
        scale = max(parameter.grad.abs().max(), 1e-6 * largest)
        error = (gradients[name].grad - parameter.grad).abs().max()
        assert error <= 1e-8 * scale, name
    buffers = dict(masked.named_buffers())
    for name, buffer in ordinary.named_buffers():
        torch.testing.assert_close(buffers[name], buffer)


@every
def test_statistics_are_over_visible_positions(family, images):
    model = build(family).train()
    seen = {}

    def watch(name):
        return lambda module, args, out: seen.update({name: args[0]})

    norms = {k: m for k, m in model.named_modules()
             if isinstance(m, _BatchNorm)}
    for name, norm in norms.items():
        norm.momentum = 1.
        norm.register_forward_hook(watch(name))
    model(images, MASK)
    # 10 visible patches; stage i has (16 / stride)^2 positions in each.
    for name, norm in norms.items():
        stage = int(name.split('.')[1])
        count = 10 * (8, 4, 2, 1, 1)[stage]**2
        x = seen[name].transpose(0, 1).flatten(1)
        assert x.shape[1] == count
        torch.testing.assert_close(norm.running_mean, x.mean(1))
        torch.testing.assert_close(norm.running_var, x.var(1))
    # The first norm, from the image itself.
    stem = model.stages[0].downsample.conv
    first = nn.functional.conv2d(
        hide(images, MASK), stem.weight, stem.bias, 2, 3)
    first = first.permute(0, 2, 3, 1)[enlarge_mask(MASK, 8)]
    norm = norms['stages.0.downsample.norm']
    torch.testing.assert_close(norm.running_mean, first.mean(0))
    torch.testing.assert_close(norm.running_var, first.var(0))


@every
def test_kept_tokens_enter_the_transformer_stages_as_zeros(family, images):
    model = build(family, drop_masked=False).eval()
    dropped = build(family).eval()
    kept, out = model(images, MASK), dropped(images, MASK)
    for a, b in zip(kept[:3], out[:3]):
        assert torch.equal(a, b)
    # Ordinary blocks behind a map with holes.
    x = dropped.stages[3].downsample
    with dropped.context.visible(MASK) as patches:
        x = patches.unpack(x(patches.pack(out[2])))
    assert torch.equal(x, hide(x, MASK))
    for i, stage in enumerate(dropped.stages[3:], 3):
        x = stage.blocks(x if i == 3 else stage.downsample(x))
        torch.testing.assert_close(kept[i], x)
        assert (kept[i][~visible_of(x).expand_as(x)] != 0).any()


@every
def test_ordinary_convolutions_see_zeros_at_masked_pixels(family, images):
    model = build(family, ssc=False).train()
    ordinary = build(family, ESpikeFormer).train()
    assert not model.drop_masked
    for a, b in zip(model(images, MASK), ordinary(hide(images, MASK))):
        assert torch.equal(a, b)
    # Here masked positions do have values: this is what leaks.
    assert (a[~visible_of(a).expand_as(a)] != 0).any()


@every
def test_the_state_is_that_of_the_ordinary_backbone(family, images):
    model, ordinary = build(family), build(family, ESpikeFormer)
    assert list(model.state_dict()) == list(ordinary.state_dict())
    model.init_weights()
    assert str(ordinary.load_state_dict(model.state_dict())) == (
        '<All keys matched successfully>')
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):  # as of ESpikeFormer.init_weights
            fan = module.weight[0, 0].numel() * module.out_channels
            std = module.weight.std().item() * (fan / 2)**0.5
            assert 0.3 < std < 1.7 * module.groups**0.5, name


@every
def test_switch_to_dense(family, images):
    model = build(family)
    sparse = [m for m in model.modules() if hasattr(m, 'context')][1:]
    assert {type(m) for m in sparse} == {SparseConv2d, SpikeSparseConv2d}
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert sparse == convolutions
    assert all(m.context is model.context for m in sparse)
    weights = {k: (v, v.clone()) for k, v in model.named_parameters()}
    model.switch_to_dense()
    for name, parameter in model.named_parameters():
        assert parameter is weights[name][0]
        assert torch.equal(parameter, weights[name][1])
    assert not [m for m in model.modules() if isinstance(
        m, (SparseConv2d, SpikeSparseConv2d))]
    model.eval()
    ordinary, kept = build(family, ESpikeFormer), build(family, ssc=False)
    for a, b in zip(model(images), ordinary.eval()(images)):
        assert torch.equal(a, b)
    for a, b in zip(model(images, MASK), kept.eval()(images, MASK)):
        assert torch.equal(a, b)


def test_two_models_and_a_copy_have_masks_of_their_own(images):
    one, two = build('base').eval(), build('base').eval()
    expected = one(images, MASK), one(images, ~MASK[[1, 0]] & ~MASK)
    copied, inner = copy.deepcopy(one), []
    other = ~MASK[[1, 0]] & ~MASK
    one.stages[1].register_forward_hook(lambda *_: inner.append(
        (two(images, other), copied(images, other))))
    outs = one(images, MASK)  # the others run in the middle of it
    for a, b in zip(outs, expected[0]):
        assert torch.equal(a, b)
    for result in inner[0]:
        for a, b in zip(result, expected[1]):
            assert torch.equal(a, b)


def test_larger_patches_and_fewer_stages(images):
    mask = torch.tensor([[[True, False]], [[False, True]]])
    model = build('base').eval()
    x = torch.randn(2, 3, 32, 64, dtype=torch.double)
    for out in model(x, mask):  # patches of 32
        assert torch.equal(out, hide(out, mask))
    with_half = torch.cat([mask, ~mask], 1).repeat_interleave(2, 2)
    outs = build('base', out_indices=(0, 1)).eval()(
        torch.randn(2, 3, 8, 16, dtype=torch.double), with_half)
    assert [tuple(x.shape[2:]) for x in outs] == [(4, 8), (2, 4)]


def test_time_steps():
    neuron = dict(type='mmsnn.SFANeuron', timesteps=2)
    model = build('base', neuron=neuron).eval()
    images = torch.randn(2, 3, 48, 64, dtype=torch.double)
    outs = model(images, MASK)
    frames = images.unsqueeze(1).expand(-1, 2, -1, -1, -1)
    for a, b in zip(outs, model(frames, MASK)):
        assert a.shape[0] == 4
        torch.testing.assert_close(a, b)
        steps = MASK.repeat_interleave(2, 0)
        assert torch.equal(a, hide(a, steps))
    merged = build('base', neuron=neuron, mean_over_time=True).eval()
    torch.testing.assert_close(
        merged(images, MASK)[-1], outs[-1].unflatten(0, (2, 2)).mean(1))


def test_a_checkpoint_of_pre_training_has_no_layer_scales(caplog):
    pretrained = MaskedESpikeFormer(ARCHS['large'])
    assert not [k for k in pretrained.state_dict() if 'layer_scale' in k]
    model = ESpikeFormer(ARCHS['large'], layer_scale_init_value=0.5)
    result = model.load_state_dict(pretrained.state_dict())
    assert not result.missing_keys and not result.unexpected_keys
    scales = {k: v for k, v in model.state_dict().items() if 'scales' in k}
    assert len(scales) == 4 and all((v == 0.5).all()
                                    for v in scales.values())
    # One that has some of them is not such a checkpoint.
    state = model.state_dict()
    del state['stages.3.blocks.1.layer_scales.mlp.weight']
    with pytest.raises(RuntimeError, match='Missing.*blocks.1.layer_scales'):
        model.load_state_dict(state)


SCRIPT = Path(__file__).parent / 'statistics_of_two_processes.py'


def test_statistics_of_two_processes(tmp_path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    started = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(tmp_path)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=SCRIPT.parents[3],
            env=dict(os.environ, RANK=str(rank), WORLD_SIZE='2',
                     MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port)))
        for rank in range(2)]
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [p.returncode for p in started] == [0, 0], said
    first, second = (torch.load(tmp_path / f'{rank}.pt') for rank in range(2))
    # All in one process: norms are ordinary ones there.
    run = runpy.run_path(str(SCRIPT))['run']
    outs, grads, buffers = run(slice(None))
    torch.testing.assert_close(torch.cat([first[0], second[0]]), outs)
    for a, b, expected in zip(first[1], second[1], grads):
        torch.testing.assert_close(a + b, expected)
    for other in (first[2], second[2]):
        for a, expected in zip(other, buffers):
            torch.testing.assert_close(a, expected)


@pytest.mark.parametrize('mask,message', [
    (MASK[:1], r'mask of shape \(1, 3, 4\) does not fit images of shape '
     r'\(2, 3, 48, 64\).*multiple of 16'),
    (MASK[:, :2], 'mask of shape .* does not fit'),
    (MASK[:, :, :3], 'mask of shape .* does not fit'),
    (enlarge_mask(MASK, 2), 'mask of shape .* does not fit .* multiple of 16'),
    (MASK[0], 'mask of shape .* does not fit'),
    (MASK.int(), 'mask must be a bool tensor'),
    (MASK & False, 'mask must leave something visible'),
    (MASK | torch.tensor([[[True]], [[False]]]),
     'mask must show the same number of patches of every image')])
def test_bad_masks(images, mask, message):
    with pytest.raises(ValueError, match=message):
        build('base')(images, mask)


def test_bad_switches():
    with pytest.raises(ValueError, match='drop_masked must be False .* ssc'):
        build('base', ssc=False, drop_masked=True)


def test_registered():
    model = MODELS.build(
        dict(type='mmsnn.MaskedESpikeFormer', arch=ARCHS['base'],
             drop_masked=False))
    assert model(torch.rand(2, 3, 48, 64), MASK)[0].shape == (2, 32, 3, 4)
