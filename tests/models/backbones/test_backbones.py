"""What all backbones share: time, depths of layers, deployment."""

import copy

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from mmpretrain.engine.optimizers import (
    LearningRateDecayOptimWrapperConstructor,
)
from torch import nn

from mmsnn.layers import LinearPair, ReparamConv
from mmsnn.models import ESpikeFormer, MetaSpikeFormer
from mmsnn.neurons import is_spiking

DIMS = [8, 16, 24, 32]
BACKBONES = dict(
    base=(ESpikeFormer, dict(
        embed_dims=DIMS, depths=[1, 1, 1, 2, 1], num_heads=4)),
    large=(ESpikeFormer, dict(
        family='large', embed_dims=DIMS[:3], depths=[1, 1, 1, 2],
        num_heads=4, linear_pair=True)),
    meta=(MetaSpikeFormer, dict(
        embed_dims=DIMS, depths=[1, 1, 1, 2, 1], num_heads=4)))
SFA = dict(type='mmsnn.SFANeuron', max_spikes=4)
LIF = dict(type='mmsnn.LIFNeuron')
RELU = dict(type='ReLU')

every = pytest.mark.parametrize('family', list(BACKBONES))


def build(family, timesteps=1, neuron=SFA, **kwargs):
    torch.manual_seed(0)
    kind, arch = BACKBONES[family]
    if timesteps > 1:
        neuron = dict(neuron, timesteps=timesteps)
    if family == 'large':
        kwargs.setdefault('layer_scale_init_value', 0.5)
    model = kind(arch, neuron=neuron, **kwargs)
    for m in model.modules():
        if isinstance(m, _BatchNorm):
            m.weight.data.uniform_(1, 2)
            m.bias.data.uniform_(0, 2)
            m.momentum = None
    model.train()
    with torch.no_grad():
        for _ in range(2):
            model(torch.randn(2, 3, 32, 32))
    return model.double().eval()


def images(*shape):
    return torch.randn(*(shape or (2, 3, 32, 32)), dtype=torch.float64)


@every
@pytest.mark.parametrize('neuron', [SFA, LIF], ids=['SFA', 'LIF'])
def test_a_static_image_is_one_that_repeats(family, neuron):
    model = build(family, 3, neuron, out_indices=(0, 2, 3))
    x = images()
    with torch.no_grad():
        static = model(x)
        frames = model(x[:, None].expand(-1, 3, -1, -1, -1))
    for a, b in zip(static, frames):
        assert a.shape[0] == 6 and torch.equal(a, b)
        # sample-major: the samples differ, time steps differ by the state
        steps = a.unflatten(0, (2, 3))
        assert not torch.allclose(steps[0, 0], steps[0, 1])


@every
@pytest.mark.parametrize('merge', [False, True])
def test_maps_have_the_layout_of_the_input(family, merge):
    model = build(family, 2, out_indices=(0, 1, 2), mean_over_time=merge)
    last = dict(memory_format=torch.channels_last)
    x = images()
    plain, other = model(x), model(x.contiguous(**last))
    cut = torch.cat([x, x], -1)[..., :32]  # neither layout
    assert all(out.is_contiguous() for out in model(cut))
    model.channels_last = True
    for out, same, wanted in zip(plain, other, model(x)):
        assert out.is_contiguous() and not out.is_contiguous(**last)
        out.view(out.shape[0], -1)  # what upstream code does
        assert torch.equal(out, wanted) and torch.equal(out, same)
        assert same.is_contiguous(**last)
        assert wanted.is_contiguous(**last)
        with pytest.raises(RuntimeError, match='view size is not'):
            wanted.view(out.shape[0], -1)


@every
def test_samples_do_not_touch_each_other(family):
    model = build(family, 2)
    x = images(3, 2, 3, 32, 32)
    with torch.no_grad():
        whole, = model(x)
        for i in range(3):
            alone, = model(x[i:i + 1])
            torch.testing.assert_close(alone, whole[2 * i:2 * i + 2])
        swapped, = model(x.flip(1))
    assert not torch.allclose(swapped.unflatten(0, (3, 2)).flip(1),
                              whole.unflatten(0, (3, 2)))


@every
@pytest.mark.parametrize('x', [(2, 3, 32, 32), (2, 3, 3, 32, 32)])
def test_mean_over_time(family, x):
    model = build(family, 3, out_indices=(1, 3))
    x = images(*x)
    with torch.no_grad():
        steps = model(x)
        model.mean_over_time = True
        merged = model(x)
    for a, b in zip(steps, merged):
        torch.testing.assert_close(b, a.unflatten(0, (2, 3)).mean(1))


@every
def test_time_of_the_relu_twin(family):
    model = build(family, neuron=RELU, mean_over_time=True)
    for steps in (1, 2, 5):
        out, = model(images(2, steps, 3, 32, 32))
        assert out.shape[0] == 2
    assert model(images())[0].shape[0] == 2
    model.mean_over_time = False
    assert model(images(2, 5, 3, 32, 32))[0].shape[0] == 10


@every
@pytest.mark.parametrize('shape,message', [
    ((2, 4, 3, 16, 16), r'has 4 time steps, but neuron.timesteps is 3'),
    ((2, 1, 3, 16, 16), r'has 1 time steps, but neuron.timesteps is 3'),
    ((3, 16, 16), r'\(N, T, C, H, W\), but has the shape \(3, 16, 16\)')])
def test_input_of_another_shape(family, shape, message):
    with pytest.raises(ValueError, match=message):
        build(family, 3)(images(*shape))


@every
@pytest.mark.parametrize('neuron', [SFA, RELU], ids=['SFA', 'ReLU'])
def test_deploy_computes_the_same(family, neuron):
    model = build(family, neuron=neuron, out_indices=(1, 2, 3))
    x = images()
    deployed = copy.deepcopy(model)
    deployed.switch_to_deploy()
    assert deployed.deploy
    chains = [m for m in deployed.modules() if isinstance(m, ReparamConv)]
    assert len(chains) == {'base': 0, 'large': 2 * 5, 'meta': 3 * 4}[family]
    assert all(type(m.branch) is nn.Conv2d for m in chains)
    assert not any('layer_scale' in k for k in deployed.state_dict())
    with torch.no_grad():
        for a, b in zip(model(x), deployed(x)):
            assert a.std() > 0.1
            torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-9)


@every
def test_a_deployed_checkpoint_loads(family):
    model = build(family)
    model.switch_to_deploy()
    kind, arch = BACKBONES[family]
    other = kind(arch, neuron=SFA, deploy=True).double().eval()
    other.load_state_dict(model.state_dict(), strict=True)
    x = images()
    with torch.no_grad():
        assert torch.equal(other(x)[0], model(x)[0])


@every
def test_deployed_in_float32_within_1e_4(family):
    # Spikes may flip where a membrane lies near a threshold, so the parts
    # are compared, and each with the same input.
    model = build(family).float()
    for m in model.modules():
        if isinstance(m, ReparamConv):
            x = torch.randint(0, 5, (2, m.branch[0].in_channels, 6, 5)) / 4
            with torch.no_grad():
                before = m(x)
                m.switch_to_deploy()
                error = (m(x) - before).abs().max() / before.abs().max()
            assert error < 1e-4


@every
def test_layer_depths_by_hand(family):
    model = BACKBONES[family][0](BACKBONES[family][1], neuron=SFA)
    layers = {'large': 5 + 2}.get(family, 6 + 2)
    for name, depth in {
            'stages.0.downsample.conv.weight': 0,
            'stages.0.blocks.0.mixer.expand.conv.weight': 1,
            'stages.1.downsample.norm.bias': 2,
            'stages.2.blocks.0.mixer.reduce.norm.bias': 3,
            'stages.3.downsample.conv.weight': 4,
            'stages.3.blocks.1.mlp.reduce.conv.bias': 5}.items():
        assert model.get_layer_depth(name) == (depth, layers)
        assert model.get_layer_depth(f'backbone.{name}',
                                     'backbone.') == (depth, layers)
    assert model.get_layer_depth('head.fc.weight', 'backbone.') == (
        layers - 1, layers)


@every
def test_layer_wise_learning_rates(family):
    kind, arch = BACKBONES[family]
    dims = arch['embed_dims']
    model = MODELS.build(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(type=kind, arch=arch, neuron=SFA),
            head=dict(type='mmpretrain.LinearClsHead', num_classes=3,
                      in_channels=dims[-1])))
    wrapper = LearningRateDecayOptimWrapperConstructor(
        dict(optimizer=dict(type='SGD', lr=1., weight_decay=0.05)),
        dict(layer_decay_rate=0.5, flat_decay_mult=0.))(model)
    groups = {g['param_name']: g for g in wrapper.optimizer.param_groups}
    assert set(groups) == {k for k, _ in model.named_parameters()}
    layers = 7 if family == 'large' else 8
    rate = {k: g['lr'] for k, g in groups.items()}
    assert rate['head.fc.weight'] == 1
    last = f'backbone.stages.{len(dims)}.blocks.0.mlp.expand.conv.weight'
    last = last if family != 'large' else last.replace('.0.mlp', '.1.mlp')
    assert rate[last] == 0.5
    assert rate['backbone.stages.0.downsample.conv.weight'] == (
        0.5**(layers - 1))
    for name, group in groups.items():
        if 'layer_scale' in name or 'norm' in name:
            assert group['weight_decay'] == 0


@every
def test_all_archs_have_their_widths(family):
    kind, _ = BACKBONES[family]
    for name, arch in kind.arch_zoo.items():
        with torch.device('meta'):
            model = kind(name)
        widths = [s.downsample.conv.out_channels for s in model.stages]
        dims = arch['embed_dims']
        assert widths == [dims[0] // 2, *dims]


@every
def test_neurons_keep_to_one_key(family):
    model = build(family, 2, LIF)
    kinds = {(type(m).__name__, m.timesteps) for m in model.modules()
             if is_spiking(m)}
    assert kinds == {('LIFNeuron', 2)}
    assert model.timesteps == 2
    assert build(family).state_dict().keys() == model.state_dict().keys()


@every
def test_learnt_decays_learn(family):
    model = build(family, 2, dict(LIF, learn_decay=True)).train()
    out, = model(images())
    (out * torch.randn_like(out)).sum().backward()
    decays = {k: p.grad for k, p in model.named_parameters()
              if k.endswith('decay_logit')}
    assert len(decays) == sum(is_spiking(m) for m in model.modules())
    learning = [k for k, g in decays.items() if g is not None and g.abs() > 0]
    assert len(learning) == len(decays)


@pytest.mark.parametrize('family', ['large', 'meta'])
def test_every_parameter_gets_a_gradient(family):
    model = build(family, out_indices=(1, 3)).train()
    if family == 'meta':
        model.out_indices = (1, 4)
    outs = model(images(2, 3, 48, 48))
    sum((x * torch.randn_like(x)).sum() for x in outs).backward()
    without = [k for k, p in model.named_parameters()
               if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


@every
@pytest.mark.parametrize('neuron', [SFA, LIF], ids=['SFA', 'LIF'])
def test_training_under_autocast(family, neuron):
    model = build(family, 2, neuron).float().train()
    with torch.autocast('cpu', torch.bfloat16):
        out, = model(images().float())
    out.float().sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize('family,stages', [('base', 5), ('large', 4),
                                           ('meta', 5)])
def test_frozen_stages_and_norm_eval(family, stages):
    model = build(family, frozen_stages=1, norm_eval=True).train()
    for i, stage in enumerate(model.stages):
        assert {p.requires_grad for p in stage.parameters()} == {i > 1}
    assert not any(m.training for m in model.modules()
                   if isinstance(m, _BatchNorm))
    assert model.out_indices == (stages - 1, )
    kind, arch = BACKBONES[family]
    for key in ('out_indices', 'frozen_stages'):
        with pytest.raises(ValueError, match=rf'{key} must .*0\.\.'
                           f'{stages - 1}'):
            kind(arch, **{key: stages})


def test_drop_path_of_the_large_family_is_in_its_transformer():
    model = build('large', drop_path_rate=0.2)
    assert [b.drop_path.drop_prob for s in model.stages
            for b in s.blocks] == [0, 0, 0, 0, 0.2]


def test_parts_of_the_large_family():
    model = build('large')
    block = model.stages[3].blocks[0]
    assert isinstance(block.pair.linear, LinearPair)
    assert not hasattr(block, 'sep_conv')
    assert not hasattr(model.stages[0].blocks[0], 'sep_conv')
    kind, arch = BACKBONES['large']
    plain = kind(dict(arch, linear_pair=False), layer_scale_init_value=None)
    assert not any('pair' in k or 'layer_scale' in k
                   for k in plain.state_dict())
    assert not any('layer_scale' in k for k in build('base').state_dict())


@pytest.mark.parametrize('arch,message', [
    ('83M', "'83M' is unknown: choose from 2.7m, .*, 83m, 173m"),
    (dict(family='huge', embed_dims=[8, 16, 24]),
     "arch.family must be one of base, large, but is 'huge'"),
    (dict(family='large', embed_dims=DIMS), 'embed_dims must be 3 integers'),
    (dict(family='large', embed_dims=DIMS[:3], depths=[1] * 5),
     'depths must be 4 integers'),
    (dict(family='large', embed_dims=DIMS[:3], num_heads=5),
     r'num_heads = 5 does not divide arch.embed_dims\[2\]'),
    (dict(family='large', embed_dims=DIMS[:3], linear_pair=1),
     'linear_pair must be True or False, but is 1'),
    (dict(embed_dims=DIMS, linear_pair=True), 'an arch dict has the key')])
def test_bad_arch_of_e_spikeformer(arch, message):
    with pytest.raises(ValueError, match=message):
        ESpikeFormer(arch)


@pytest.mark.parametrize('arch,message', [
    ('10m', "'10m' is unknown: choose from 15m, 31m, 55m"),
    (dict(embed_dims=DIMS[:3]), 'embed_dims must be 4 integers'),
    (dict(embed_dims=DIMS, family='large'), 'an arch dict has the key')])
def test_bad_arch_of_meta_spikeformer(arch, message):
    with pytest.raises(ValueError, match=message):
        MetaSpikeFormer(arch)


@pytest.mark.parametrize('kind,arch,parameters', [
    (ESpikeFormer, '83m', 82_502_952), (ESpikeFormer, '173m', 170_971_714),
    (MetaSpikeFormer, '15m', 15_112_208),
    (MetaSpikeFormer, '31m', 31_333_864),
    (MetaSpikeFormer, '55m', 55_350_248)])
def test_parameters_with_the_1000_class_head(kind, arch, parameters):
    with torch.device('meta'):
        model = kind(arch)
        head = nn.Linear(kind.arch_zoo[arch]['embed_dims'][-1], 1000)
    assert sum(p.numel() for m in (model, head)
               for p in m.parameters()) == parameters


def test_parameters_of_19m_on_events():
    with torch.device('meta'):
        model = ESpikeFormer('19m', in_channels=2)
        head = nn.Linear(360, 300)
    assert sum(p.numel() for m in (model, head)
               for p in m.parameters()) == 18_733_236


def test_meta_spikeformer_by_default_is_lif_over_four_steps():
    with torch.device('meta'):
        model = MetaSpikeFormer()
    assert model.timesteps == 4
    neurons = {k: m for k, m in model.named_modules() if is_spiking(m)}
    assert {(m.max_spikes, m.reset, m.surrogate, m.decay)
            for m in neurons.values()} == {(1, 'hard', 'sigmoid', 0.5)}
    for name, m in neurons.items():
        # (q k^T) v / 8 >= 1/2 is q k^T v >= 4
        last = name.endswith('attention_neuron')
        assert (m.threshold, m.slope) == ((4, 2) if last else (1, 4))
