import pytest
import torch
from mmengine.registry import MODELS
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn

from mmsnn.layers import ConvBlock, TransformerBlock
from mmsnn.models import ESpikeFormer
from mmsnn.models.published import classifier_config
from mmsnn.neurons import is_spiking

TINY = dict(embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 2, 1], num_heads=4)
WIDTHS = (4, 8, 16, 24, 32)


def tiny(**kwargs):
    torch.manual_seed(0)
    model = ESpikeFormer(**{'arch': TINY, **kwargs})
    for name, parameter in model.named_parameters():
        if 'norm.bias' in name:
            parameter.data.uniform_(0, 1)
    return model


@pytest.mark.parametrize('arch,parameters', [('2.7m', 2_702_048),
                                             ('5m', 5_105_608),
                                             ('10m', 10_023_112),
                                             ('19m', 18_987_504)])
def test_parameters_with_the_1000_class_head(arch, parameters):
    dims = ESpikeFormer.arch_zoo[arch]['embed_dims']
    model = MODELS.build(classifier_config(dims))
    assert sum(p.numel() for p in model.parameters()) == parameters
    by_name = ESpikeFormer(arch)
    assert {k: v.shape for k, v in by_name.state_dict().items()} == {
        k: v.shape for k, v in model.backbone.state_dict().items()}


@pytest.mark.parametrize('size', [(64, 48), (63, 50), (33, 1), (1, 1)])
def test_any_input_size(size):
    model = tiny(out_indices=range(5)).eval()
    with torch.no_grad():
        outs = model(torch.rand(1, 3, *size))
    expected = []
    for stride, width in zip((2, 4, 8, 16, 16), WIDTHS):
        expected.append((1, width, *(-(-n // stride) for n in size)))
    assert [tuple(x.shape) for x in outs] == expected
    assert all(torch.isfinite(x).all() for x in outs)


def test_out_indices_pick_stages_of_one_computation():
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        whole = tiny(out_indices=(0, 1, 2, 3, 4)).eval()(x)
        for indices in ((1, 2, 3, 4), [3, 0], (4, ), 2):
            picked = tiny(out_indices=indices).eval()(x)
            chosen = [indices] if indices == 2 else sorted(indices)
            assert len(picked) == len(chosen)
            for i, out in zip(chosen, picked):
                assert torch.equal(out, whole[i])


def test_later_stages_do_not_run():
    model = tiny(out_indices=(1, )).eval()
    model.stages[2].register_forward_hook(lambda *_: 1 / 0)
    model(torch.rand(1, 3, 16, 16))


def test_outputs_are_membrane_potentials():
    # Not spikes, which would be multiples of 1/4 in 0..1.
    for out in tiny(out_indices=(0, 2, 4)).eval()(torch.rand(1, 3, 64, 64)):
        assert (out * 4 != (out * 4).round()).float().mean() > 0.9
        assert out.max() > 1


def test_every_parameter_gets_a_gradient():
    model = tiny(out_indices=(1, 4)).train()
    outs = model(torch.rand(2, 3, 48, 48))
    sum((x * torch.randn_like(x)).sum() for x in outs).backward()
    without = [k for k, p in model.named_parameters()
               if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


def test_drop_path_grows_linearly_over_all_blocks():
    model = tiny(drop_path_rate=0.5)
    rates = [
        m.drop_path.drop_prob for m in model.modules()
        if isinstance(m, (ConvBlock, TransformerBlock))
    ]
    # 1 + 1 + 1 + 2 + 1 blocks
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_norm_eval():
    model = tiny(norm_eval=True)
    assert model.train() is model
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    assert norms and not any(m.training for m in norms)
    assert model.stages[0].training
    before = model.state_dict()['stages.0.downsample.norm.running_mean'] + 0
    model(torch.rand(2, 3, 32, 32) + 3)
    after = model.state_dict()['stages.0.downsample.norm.running_mean']
    assert torch.equal(before, after)
    assert all(m.training for m in tiny().train().modules())


@pytest.mark.parametrize('frozen', [-1, 0, 2, 4])
def test_frozen_stages(frozen):
    model = tiny(frozen_stages=frozen)
    for _ in range(2):  # also after a round of evaluation
        model.eval()
        model.train()
        for i, stage in enumerate(model.stages):
            assert {m.training for m in stage.modules()} == {i > frozen}
            assert {p.requires_grad
                    for p in stage.parameters()} == {i > frozen}


def test_a_frozen_stage_stays_as_it_is_in_training():
    model = tiny(frozen_stages=1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.train()
    out, = model(torch.rand(2, 3, 32, 32))
    (out * torch.randn_like(out)).sum().backward()
    optimizer.step()
    changed = {
        int(k.split('.')[1])
        for k, v in model.state_dict().items() if not torch.equal(v, before[k])
    }
    assert changed == {2, 3, 4}


def test_the_neuron_is_one_key():
    def neurons(**kwargs):
        model = tiny(**kwargs)
        return [m for m in model.modules() if is_spiking(m)], model

    eight, _ = neurons(neuron=dict(type='mmsnn.SFANeuron', max_spikes=8))
    assert {n.max_spikes for n in eight} == {8}
    # downsamples 4, conv blocks 3 x 5, transformer blocks 3 x (3 + 5 + 2)
    assert len(eight) == 4 + 15 + 30

    none, twin = neurons(neuron=dict(type='ReLU'))
    assert not none
    assert sum(isinstance(m, nn.ReLU) for m in twin.modules()) == len(eight)
    assert twin.state_dict().keys() == tiny().state_dict().keys()
    out, = twin.train()(torch.rand(2, 3, 32, 32))
    out.sum().backward()


def test_initial_weights():
    model = ESpikeFormer(TINY)
    for parameter in model.parameters():
        parameter.data.fill_(7.)
    model.init_weights()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            assert (module.weight == 1).all() and (module.bias == 0).all()
        elif isinstance(module, nn.Conv2d):
            assert 0 < module.weight.std() < 2
            assert module.bias is None or (module.bias == 0).all()


def test_channels_last_computes_the_same():
    model = tiny(out_indices=(1, 2, 3, 4)).double().eval()
    x = torch.rand(2, 3, 45, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = model(x)
        actual = model.to(memory_format=torch.channels_last)(
            x.to(memory_format=torch.channels_last))
    for a, b in zip(actual, expected):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_registered_without_custom_imports():
    model = MODELS.build(
        dict(type='mmsnn.ESpikeFormer', arch=TINY, in_channels=2))
    assert model(torch.rand(2, 2, 32, 32))[0].shape == (2, 32, 2, 2)


@pytest.mark.parametrize('kwargs,message', [
    (dict(arch='11m'), "arch '11m' is unknown.*2.7m, 5m, 10m, 19m"),
    (dict(arch=10), 'arch must be a name or a dict'),
    (dict(arch=dict(depths=[1] * 5)), 'key embed_dims'),
    (dict(arch=dict(TINY, width=3)), "key embed_dims.*'width'"),
    (dict(arch=dict(TINY, embed_dims=[8, 16, 24])), 'embed_dims must be 4'),
    (dict(arch=dict(TINY, embed_dims=[8, 16, 24, 1.5])), 'embed_dims must'),
    (dict(arch=dict(TINY, depths=[1, 1, 1, 1])), 'depths must be 5 integers'),
    (dict(arch=dict(TINY, depths=[1, 1, 1, 1, -1])), 'depths must.*least 0'),
    (dict(arch=dict(TINY, num_heads=0)), 'num_heads must be a positive'),
    (dict(arch=dict(TINY, num_heads=5)), 'num_heads = 5 does not divide '
     r'arch.embed_dims\[2\] = 24'),
    (dict(out_indices=()), r'out_indices must name stages 0..4'),
    (dict(out_indices=(1, 5)), r'out_indices must name .* \(1, 5\)'),
    (dict(out_indices=(-1, )), 'out_indices must name stages'),
    (dict(out_indices=7), 'out_indices must name stages'),
    (dict(frozen_stages=5), 'frozen_stages must be -1 .none. or'),
    (dict(drop_path_rate=1.), r'drop_path_rate must be in \[0, 1\)'),
    (dict(neuron=dict(type='mmsnn.SFANeuron', max_spikes=0)),
     'neuron.max_spikes must be a positive integer')])
def test_bad_config(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ESpikeFormer(**{'arch': TINY, **kwargs})


def test_neuron_must_be_a_config():
    with pytest.raises(TypeError, match='neuron must be a config dict'):
        ESpikeFormer(TINY, neuron='SFA')
