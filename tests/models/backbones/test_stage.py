"""Activations of blocks computed twice instead of kept (``with_cp``)."""

import copy

import pytest
import torch
from torch import nn

from mmsnn.models import ESpikeFormer, MaskedESpikeFormer, MetaSpikeFormer

SFA = dict(type='mmsnn.SFANeuron', max_spikes=4)
BASE = dict(embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 2, 1], num_heads=4)
LARGE = dict(family='large', embed_dims=[8, 16, 24], depths=[1, 1, 1, 2],
             num_heads=4, linear_pair=True)
BACKBONES = dict(
    base=(ESpikeFormer, {}),
    large=(ESpikeFormer, dict(arch=LARGE, out_indices=(1, 3),
                              layer_scale_init_value=0.5,
                              neuron=dict(SFA, timesteps=2))),
    masked=(MaskedESpikeFormer, {}),
    kept=(MaskedESpikeFormer, dict(drop_masked=False)),
    meta=(MetaSpikeFormer, dict(neuron=dict(type='mmsnn.LIFNeuron',
                                            timesteps=2))))


def build(family='base', **kwargs):
    kind, keys = BACKBONES[family]
    torch.manual_seed(0)
    model = kind(**{'arch': BASE, 'out_indices': (1, 4), 'neuron': SFA,
                    **keys, **kwargs})
    for name, parameter in model.named_parameters():
        if 'norm.bias' in name:
            nn.init.uniform_(parameter, 0, 1)
    return model.train()


def step(model, seed=1, autocast=False):
    """Loss, gradients and buffers of a training step."""
    torch.manual_seed(seed)
    inputs = [torch.randn(2, 3, 32, 32)]
    if isinstance(model, MaskedESpikeFormer):
        inputs.append(torch.tensor([[[True, False], [True, True]]] * 2))
    model.zero_grad()
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        outs = model(*inputs)
    loss = sum((out * torch.randn_like(out)).sum() for out in outs)
    loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in model.parameters()),
            *(b.clone() for b in model.buffers())]


every = pytest.mark.parametrize('family', list(BACKBONES))


@every
@pytest.mark.parametrize('autocast', [False, True])
def test_a_step_computes_the_same(family, autocast):
    plain = build(family, drop_path_rate=0.5)
    model = build(family, drop_path_rate=0.5, with_cp=True)
    for seed in (1, 2):
        expected = step(plain, seed, autocast)
        actual = step(model, seed, autocast)
        assert len(expected) == len(actual) and expected[5].any()
        for a, b in zip(expected, actual):
            assert torch.equal(a, b)


def kept_bytes(model):
    """Memory of what a forward keeps for the backward pass."""
    kept = {}

    def pack(tensor):
        kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    inputs = [torch.randn(2, 3, 64, 64)]
    if isinstance(model, MaskedESpikeFormer):
        inputs.append(torch.tensor([[[True, False], [True, True]]] * 2))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        outs = model(*inputs)
    assert all(out.requires_grad for out in outs)
    own = {p.data_ptr() for p in model.parameters()}
    return sum(size for key, size in kept.items() if key not in own)


@every
def test_less_is_kept(family):
    plain = kept_bytes(build(family))
    assert kept_bytes(build(family, with_cp=True)) < plain / 2


def test_nothing_runs_twice_but_in_training():
    model, runs = build(with_cp=True), []
    conv = model.stages[3].blocks[1].mlp.expand.conv
    conv.register_forward_pre_hook(lambda *_: runs.append(1))
    step(model)
    assert len(runs) == 2
    model.eval()(torch.randn(1, 3, 32, 32))[-1].sum().backward()
    assert len(runs) == 3
    with torch.no_grad():
        model.train()(torch.randn(2, 3, 32, 32))
    assert len(runs) == 4


def test_a_copy_keeps_it():
    model = build(with_cp=True)
    assert all(s.with_cp for s in copy.deepcopy(model).stages)


@pytest.mark.parametrize('keys,expected', [
    ({}, False), (dict(with_cp=True), True), (dict(with_cp=False), False),
    (dict(activation_checkpointing=True), True),
    (dict(with_cp=True, activation_checkpointing=True), True)])
def test_two_names_of_one_key(keys, expected):
    model = build(**keys)
    assert model.with_cp is expected
    assert {s.with_cp for s in model.stages} == {expected}


def test_two_names_with_two_values():
    with pytest.raises(ValueError, match='with_cp = True and '
                       'activation_checkpointing = False are two names of '
                       'one key'):
        build(with_cp=True, activation_checkpointing=False)


def test_what_the_runner_turns_on_computes_the_same_gradients():
    runner = pytest.importorskip('mmengine.runner')
    plain, model = build(), build()
    runner.turn_on_activation_checkpointing(model, ['stages.3', 'stages.4'])
    parameters = len(list(plain.parameters()))
    expected, actual = step(plain), step(model)
    for a, b in zip(expected[:parameters + 1], actual):
        assert torch.equal(a, b)
