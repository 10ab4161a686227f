"""The golden check must pass what is right and fail what is not."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsnn.models.goldens import check_golden
from mmsnn.neurons import is_spiking

TOOL = Path(__file__).parents[2] / 'tools' / 'check_goldens.py'


@pytest.fixture(scope='module')
def parts(tiny, names, published_state):
    """What a golden of the tiny classifier holds: spec, arrays."""
    config, model, images = tiny
    arch = config['backbone']['arch']
    _, neurons = names(arch['depths'])
    model = model.double()
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
    images = images.double()
    model.backbone.out_indices = (1, 2, 3, 4)
    with torch.no_grad():
        features = model.backbone(images)
        logits = model.head(model.neck(features[-1:]))
    for handle in handles:
        handle.remove()
    assert len(sums) == sum(is_spiking(m) for m in modules.values())
    assert min(sums.values()) > 0

    torch.manual_seed(0)
    weight = torch.randn(logits.shape).float()
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

    arrays = {f'state.{k}': v.numpy() for k, v in published_state.items()}
    arrays.update(
        input=images.detach().float().numpy(),
        eval_logits=logits.numpy(),
        train_logits=train_logits.detach().numpy(),
        loss_weight=weight.numpy(),
        grad_input=images.grad.float().numpy(),
        **{f'feat{i}': x.float().numpy() for i, x in enumerate(features)})
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
    for name in ('espikeformer_tiny_d4', 'espikeformer_tiny_d8'):
        assert lines[name].startswith('PASS')
