"""The golden check must pass what is right and fail what is not."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mmsnn.models import ESpikeFormer
from mmsnn.models.goldens import check_golden
from mmsnn.neurons import is_spiking

TOOL = Path(__file__).parents[2] / 'tools' / 'check_goldens.py'


def record(model, images, neurons):
    """What a golden pins of a classifier in eval mode: arrays, sums."""
    modules = dict(model.named_modules())
    sums = {}

    def count(name):

        def hook(module, args, output):
            sums[name] = int((output / module.scale).round().sum())

        return hook

    handles = [
        modules[path].register_forward_hook(count(name))
        for name, path in neurons.items()
    ]
    model.backbone.out_indices = tuple(range(1, len(model.backbone.stages)))
    with torch.no_grad():
        features = model.backbone(images)
        logits = model.head(model.neck(features[-1:]))
    for handle in handles:
        handle.remove()
    assert len(sums) == sum(is_spiking(m) for m in modules.values())
    assert min(sums.values()) > 0
    tokens = features[-1].flatten(2).unflatten(0, (len(images), -1))
    arrays = dict(
        input=images.float().numpy(),
        eval_logits=logits.numpy(),
        encoder_out=tokens.transpose(0, 1).float().numpy(),
        **{f'feat{i}': x.float().numpy() for i, x in enumerate(features)})
    return arrays, sums


@pytest.fixture(scope='module')
def parts(tiny, names, published_state):
    """What a golden of the tiny classifier holds: spec, arrays."""
    config, model, images = tiny
    arch = config['backbone']['arch']
    _, neurons = names(arch['depths'])
    model = model.double()
    images = images.double()
    arrays, sums = record(model, images, neurons)

    torch.manual_seed(0)
    weight = torch.randn(arrays['eval_logits'].shape).float()
    images = images.clone().requires_grad_()
    buffers = {k: v.clone() for k, v in model.named_buffers()}
    model.train()
    train_logits = model.head(model.neck(model.backbone(images)[-1:]))
    (train_logits * weight.double()).sum().backward()
    model.eval()
    for k, v in model.named_buffers():
        v.copy_(buffers[k])
    gradients = dict(model.named_parameters())
    grad_norm = {
        old: gradients[new].grad.norm().item()
        for old, new in names(arch['depths'])[0].items()
        if new in gradients and gradients[new].grad.norm() > 1e-9
    }
    model.zero_grad(set_to_none=True)

    arrays.update(
        {f'state.{k}': v.numpy() for k, v in published_state.items()},
        train_logits=train_logits.detach().numpy(),
        loss_weight=weight.numpy(),
        grad_input=images.grad.float().numpy())
    del arrays['encoder_out']
    spec = dict(
        family='espikeformer',
        embed_dims=arch['embed_dims'],
        depths=arch['depths'],
        num_heads=arch['num_heads'],
        num_classes=5,
        img_size=40,
        max_spikes=3,
        timesteps=1,
        params=sum(p.numel() for p in model.parameters()),
        spike_count_sum=sums,
        grad_norm=grad_norm)
    model.float()
    return spec, arrays


@pytest.fixture(scope='module')
def other_parts(tiny_models, names, publish):
    """The same of the other families, without gradients."""

    def get(family):
        config, model, images = tiny_models(family)
        arch = config['backbone']['arch']
        model = model.double()
        arrays, sums = record(model, images.double(),
                              names(arch['depths'], family)[1])
        state = publish(model, arch['depths'], family)
        arrays.update({f'state.{k}': v.numpy() for k, v in state.items()})
        spec = dict(
            family=family,
            embed_dims=arch['embed_dims'],
            num_heads=arch['num_heads'],
            num_classes=5,
            img_size=40,
            params=sum(p.numel() for p in model.parameters()),
            spike_count_sum=sums)
        if family == 'metaspikeformer':
            spec.update(
                depths=arch['depths'], max_spikes=1, timesteps=2,
                neuron=dict(
                    type='LIF', tau=2., v_threshold=1., v_reset=0.,
                    attention_v_threshold=.5, reset='hard',
                    decay_input=True))
        else:
            spec.update(
                depth=arch['depths'][-1], max_spikes=3, timesteps=1,
                linear_pair=True, distillation_head=True)
        return spec, arrays

    return get


def write(folder, spec, arrays, name='made'):
    np.savez(folder / f'{name}.npz', **arrays)
    (folder / f'{name}.json').write_text(json.dumps(spec))
    return folder / f'{name}.json'


def check(folder, spec, arrays):
    lines = []
    return check_golden(write(folder, spec, arrays), lines.append), lines[0]


def test_a_golden_of_other_widths_depths_size_and_d_passes(parts, tmp_path):
    passed, line = check(tmp_path, *parts)
    assert passed is True, line
    # 4 downsamples, 4 conv blocks of 5, 3 transformer blocks of 10, the head
    for text in ('made: PASS', 'logits', 'feat3', 'input gradient',
                 'spike counts: 0 of 55 neurons differ', 'gradient norms'):
        assert text in line


@pytest.mark.parametrize('family,neurons', [
    # 3 downsamples, 4 conv blocks of 2, 2 blocks of 1 + 5 + 2, the kd head
    ('espikeformer_large', 3 + 8 + 16 + 1),
    # 4 downsamples, 4 conv blocks of 2 + 2, 3 blocks of 5 + 2, the head
    ('metaspikeformer', 4 + 16 + 21 + 1)])
def test_goldens_of_the_other_families(other_parts, tmp_path, family,
                                       neurons):
    spec, arrays = other_parts(family)
    passed, line = check(tmp_path, spec, arrays)
    assert passed is True, line
    assert f'0 of {neurons} neurons differ' in line and 'encoder_out' in line
    for name in ('eval_logits', 'encoder_out'):
        wrong = arrays[name] * (1 + 1e-4)
        passed, line = check(tmp_path, spec, dict(arrays, **{name: wrong}))
        assert passed is False, name
    sums = dict(spec['spike_count_sum'], lif=spec['spike_count_sum']['lif'] +
                1)
    passed, line = check(tmp_path, dict(spec, spike_count_sum=sums), arrays)
    assert passed is False and f'1 of {neurons} neurons differ' in line


def test_a_large_golden_without_distillation(other_parts, tmp_path):
    # The published model fires a neuron that nothing reads.
    spec, arrays = other_parts('espikeformer_large')
    arrays = {k: v for k, v in arrays.items() if 'head_kd' not in k}
    pooled = torch.from_numpy(arrays['encoder_out'][0]).double().mean(2)
    arrays['eval_logits'] = torch.nn.functional.linear(
        pooled, *(torch.from_numpy(arrays[f'state.head.{k}']).double()
                  for k in ('weight', 'bias'))).numpy()
    spec = dict(spec, distillation_head=False,
                params=spec['params'] - 5 * (40 + 1))
    passed, line = check(tmp_path, spec, arrays)
    assert '0 of 28 neurons differ' in line, line
    # encoder_out is stored in float32, hence the logits made of it too
    assert float(line.split('logits ')[1].split(',')[0].rstrip(']')) < 1e-5


@pytest.fixture(scope='module')
def masked_parts(names):
    """A golden of masked pre-training, made with the ordinary backbone: its
    convolutions and norms, with zeros put at masked positions."""
    torch.manual_seed(0)
    arch = dict(family='large', embed_dims=[8, 16, 24], depths=(1, 1, 2, 2),
                num_heads=4, linear_pair=True)
    model = ESpikeFormer(
        arch, in_channels=2, layer_scale_init_value=None, out_indices=(3, ),
        neuron=dict(type='mmsnn.SFANeuron', max_spikes=3))
    norm = nn.BatchNorm1d(24)
    for module in [*model.modules(), norm]:
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.weight.data.uniform_(0.7, 1.5)
            module.bias.data.uniform_(0, 1.5)
            module.momentum = None
    images = torch.randn(2, 2, 48, 96).double()  # 3 x 6 patches of 16
    norm(model.train()(images.float())[0].flatten(2))
    model, norm = model.double().eval(), norm.double().eval()
    mask = torch.zeros(2, 18)
    mask[0, [0, 1, 5, 8, 16]] = mask[1, [3, 4, 7, 9, 10, 11, 17]] = 1

    def zeros(module, args, out):
        shown = mask.view(2, 1, 3, 6).bool()
        side = out.shape[-1] // 6
        return out * shown.repeat_interleave(side, 2).repeat_interleave(
            side, 3)

    layers = [m for stage in model.stages[:3] for m in stage.modules()
              if isinstance(m, (nn.Conv2d, nn.BatchNorm2d))]
    layers += list(model.stages[3].downsample)
    handles = [m.register_forward_hook(zeros) for m in layers]
    parameters, neurons = names(arch['depths'], 'espikeformer_large')
    neurons = {k: v for k, v in neurons.items() if v.startswith('backbone.')}
    modules, sums = dict(model.named_modules(prefix='backbone')), {}
    for name, path in neurons.items():
        handles.append(modules[path].register_forward_hook(
            lambda m, args, out, name=name: sums.update(
                {name: int((out / m.scale).round().sum())})))
    shown = mask.view(2, 1, 3, 6).repeat_interleave(16, 2).repeat_interleave(
        16, 3)
    with torch.no_grad():
        latent = norm(model(images * shown)[0].flatten(2)).transpose(1, 2)
    for handle in handles:
        handle.remove()
    state = {f'backbone.{k}': v for k, v in model.state_dict().items()}
    arrays = {}
    for old, new in parameters.items():
        if new in state:
            value = state[new].float()
            flat = value.dim() == 4 and old.startswith('block')
            arrays[f'state.{old}'] = value.squeeze(-1) if flat else value
    arrays.update({f'state.norm.{k}': v.float()
                   for k, v in norm.state_dict().items()})
    arrays.update(input=images.float(), active_mask=mask,
                  latent=latent.float())
    spec = dict(
        family='espikeformer_large_pretrain', linear_pair=True,
        embed_dims=[8, 16, 24], depth=2, num_heads=4, img_size=48,
        patch_size=16, mask_ratio=0.6, max_spikes=3, timesteps=1,
        spike_count_sum=sums)
    return spec, {k: v.numpy() for k, v in arrays.items()}


def test_a_golden_of_masked_pre_training(masked_parts, tmp_path):
    # Another size, D, pairs, and not as many patches visible in each image.
    spec, arrays = masked_parts
    assert min(spec['spike_count_sum'].values()) > 0
    passed, line = check(tmp_path, spec, arrays)
    assert passed is True, line
    # 3 downsamples, 4 conv blocks of 2, 2 blocks of 1 + 5 + 2
    assert '0 of 27 neurons differ' in line and 'latent' in line
    for change in (dict(latent=arrays['latent'] * 1.001),
                   dict(active_mask=arrays['active_mask'][:, ::-1].copy())):
        passed, line = check(tmp_path, spec, dict(arrays, **change))
        assert passed is False, line
    del arrays['state.norm.bias']
    passed, line = check(tmp_path, spec, arrays)
    assert passed is False and 'norm.bias' in line


@pytest.mark.parametrize('key,value', [
    ('type', 'PLIF'), ('v_reset', -0.1), ('attention_v_threshold', 1.0)])
def test_neurons_that_the_family_does_not_have(other_parts, tmp_path, key,
                                               value):
    spec, arrays = other_parts('metaspikeformer')
    spec = dict(spec, neuron=dict(spec['neuron'], **{key: value}))
    passed, line = check(tmp_path, spec, arrays)
    assert passed is False and f'{key}' in line and 'but the family' in line


@pytest.mark.parametrize('change', [
    dict(tau=3.), dict(decay_input=False), dict(reset='soft'),
    dict(v_threshold=2., attention_v_threshold=1.)])
def test_another_lif_neuron_fails(other_parts, tmp_path, change):
    spec, arrays = other_parts('metaspikeformer')
    spec = dict(spec, neuron=dict(spec['neuron'], **change))
    assert check(tmp_path, spec, arrays)[0] is False


@pytest.mark.parametrize('array,error,said', [
    ('eval_logits', 1e-5, 'logits'), ('train_logits', 1e-5, 'train logits'),
    ('feat2', 1e-4, 'feat2'), ('grad_input', 1e-4, 'input gradient')])
def test_a_wrong_output_fails(parts, tmp_path, array, error, said):
    spec, arrays = parts
    wrong = arrays[array].copy()
    wrong.flat[3] += error * np.abs(wrong).max()
    passed, line = check(tmp_path, spec, dict(arrays, **{array: wrong}))
    assert passed is False
    assert 'FAIL' in line and f'[{said} ' in line


def test_rounding_in_storage_passes(parts, tmp_path):
    spec, arrays = parts
    close = arrays['eval_logits'] + 1e-8 * np.abs(arrays['eval_logits']).max()
    passed, _ = check(tmp_path, spec, dict(arrays, eval_logits=close))
    assert passed is True


def test_one_spike_too_many_fails(parts, tmp_path):
    spec, arrays = parts
    name = 'block3.1.attn.k_spike'
    sums = dict(spec['spike_count_sum'])
    sums[name] += 1
    passed, line = check(tmp_path, dict(spec, spike_count_sum=sums), arrays)
    assert passed is False
    assert '1 of 55 neurons differ (first: backbone.stages.3.blocks.1.atten' \
        'tion.key_neuron)' in line


def test_a_neuron_that_the_golden_does_not_have_fails(parts, tmp_path):
    spec, arrays = parts
    sums = dict(spec['spike_count_sum'])
    del sums['block4.0.mlp.fc1_spike']
    passed, line = check(tmp_path, dict(spec, spike_count_sum=sums), arrays)
    assert passed is False
    assert '[spike counts: 1 of 54' in line


def test_a_wrong_gradient_norm_fails(parts, tmp_path):
    spec, arrays = parts
    norms = dict(spec['grad_norm'])
    norms['block4.0.attn.v_conv.0.weight'] *= 1 + 1e-5
    passed, line = check(tmp_path, dict(spec, grad_norm=norms), arrays)
    assert passed is False
    assert '[gradient norms' in line


@pytest.mark.parametrize('change', [
    dict(max_spikes=4), dict(num_heads=8), dict(params=1)])
def test_a_model_built_in_another_way_fails(parts, tmp_path, change):
    spec, arrays = parts
    passed, line = check(tmp_path, dict(spec, **change), arrays)
    assert passed is False
    assert 'FAIL' in line


def test_a_changed_weight_fails(parts, tmp_path):
    spec, arrays = parts
    key = 'state.block3.0.mlp.fc2_conv.weight'
    passed, line = check(tmp_path, spec,
                         dict(arrays, **{key: arrays[key] * 1.01}))
    assert passed is False
    assert 'FAIL' in line


def test_a_state_that_does_not_fit_fails_with_its_keys(parts, tmp_path):
    spec, arrays = parts
    arrays = dict(arrays)
    del arrays['state.downsample3.encode_bn.bias']
    passed, line = check(tmp_path, spec, arrays)
    assert passed is False
    assert 'FAIL' in line and 'stages.3.downsample.norm.bias' in line


def test_a_family_that_is_not_built_is_named_and_skipped(parts, tmp_path):
    spec, arrays = parts
    passed, line = check(tmp_path, dict(spec, family='other'), arrays)
    assert passed is None
    assert 'SKIPPED, the family other' in line


def run_tool(folder, monkeypatch):
    """Run the tool in this process; its exit status."""
    monkeypatch.setattr(sys, 'argv', [str(TOOL), str(folder)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(TOOL), run_name='__main__')
    return caught.value.code


def test_tool_exits_1_if_any_golden_fails(parts, tmp_path):
    spec, arrays = parts
    write(tmp_path, spec, arrays, 'right')
    write(tmp_path, dict(spec, params=1), arrays, 'wrong')
    done = subprocess.run([sys.executable, str(TOOL), str(tmp_path)],
                          capture_output=True,
                          text=True,
                          cwd=TOOL.parents[1])
    assert done.returncode == 1, done.stderr
    right, wrong, summary = done.stdout.splitlines()
    assert right.startswith('right: PASS')
    assert wrong.startswith('wrong: FAIL')
    assert summary == '1 passed, 1 failed, 0 skipped'


@pytest.mark.parametrize('folder', ['', 'absent'])
def test_tool_without_goldens(tmp_path, folder, monkeypatch, capsys):
    assert run_tool(tmp_path / folder, monkeypatch) == 2
    assert str(tmp_path / folder) in capsys.readouterr().err


def test_tool_on_the_golden_vectors(goldens, monkeypatch, capsys):
    assert run_tool(goldens, monkeypatch) == 0
    lines = dict(
        line.split(': ', 1) for line in capsys.readouterr().out.splitlines()
        if ': ' in line)
    assert len(lines) >= 8
    assert all(line.startswith('PASS') for line in lines.values())
