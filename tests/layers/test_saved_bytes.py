"""Layers that save spikes as bytes compute what they compute otherwise."""

import copy
from contextlib import nullcontext

import pytest
import torch
from mmcv.cnn.bricks.conv_ws import ConvWS2d
from torch import nn
from torch.func import functional_call
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from mmsnn.layers import (
    ESDSA,
    SDSA3,
    LinearPairESDSA,
    SpikeConv1d,
    SpikeConv2d,
    SpikeConv3d,
    SpikeConvTranspose1d,
    SpikeConvTranspose2d,
    SpikeConvTranspose3d,
    SpikeLinear,
    SpikeLinearPair,
    SpikeMultiheadAttention,
    SpikeSepConv,
    spiking_form,
)
from mmsnn.models import ESpikeFormer
from mmsnn.neurons import build_neuron, saving

SFA = dict(type='mmsnn.SFANeuron', max_spikes=3)
LIF = dict(type='mmsnn.LIFNeuron', timesteps=2)


def gradients(layer, x, ordinary=False, amp=False):
    """Output and gradients of a copy; ``ordinary``: as if nothing was saved
    otherwise than PyTorch does."""
    layer, x = copy.deepcopy(layer), x.detach().clone().requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        if ordinary:
            patch.setattr(saving, 'is_followed', lambda: True)
            patch.setattr(saving, 'as_autocast_does', lambda values: values)
        with torch.autocast('cpu', torch.bfloat16, enabled=amp):
            out = layer(x)
    out = out[0] if isinstance(out, tuple) else out
    (out.float() * torch.arange(out.numel()).view(out.shape).sin()
     ).sum().backward()
    found = dict(out=out.detach(), x=x.grad)
    found.update((n, p.grad) for n, p in layer.named_parameters())
    found.update(layer.named_buffers())
    return found


def assert_same(layer, x, **options):
    found = gradients(layer, x, **options)
    expected = gradients(layer, x, ordinary=True, **options)
    assert expected['x'].any() or not layer.training
    for name, value in expected.items():
        assert value is None or torch.equal(found[name], value), name


def saved_by(run):
    """Types and numbers of elements of what is saved, each piece once."""
    pieces = {}

    def pack(x):
        pieces[x.untyped_storage().data_ptr()] = x
        return x.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        run()
    return [(x.dtype, x.numel()) for x in pieces.values()]


def inputs(*shape, dtype=torch.float32):
    return torch.rand(shape, dtype=dtype).mul_(5).sub_(1)


LAYERS = {
    'conv1d': (lambda n: SpikeConv1d(4, 6, 3, neuron=n), (2, 4, 9)),
    'conv2d': (lambda n: SpikeConv2d(
        4, 6, 3, stride=2, padding=1, groups=2, neuron=n), (2, 4, 7, 6)),
    'dilated': (lambda n: SpikeConv2d(
        4, 6, 3, dilation=2, bias=False, neuron=n), (2, 4, 7, 6)),
    'depthwise': (lambda n: SpikeConv2d(
        4, 4, 7, padding='same', groups=4, neuron=n), (2, 4, 7, 6)),
    'circular': (lambda n: SpikeConv2d(
        4, 6, 3, padding=1, padding_mode='circular', neuron=n), (2, 4, 7, 6)),
    'conv3d': (lambda n: SpikeConv3d(4, 6, 3, padding=1, neuron=n),
               (2, 4, 3, 4, 5)),
    'transposed1d': (lambda n: SpikeConvTranspose1d(4, 6, 3, 2, neuron=n),
                     (2, 4, 5)),
    'transposed2d': (lambda n: SpikeConvTranspose2d(
        4, 6, 3, 2, 1, groups=2, output_padding=1, neuron=n), (2, 4, 5, 6)),
    'transposed3d': (lambda n: SpikeConvTranspose3d(4, 6, 2, 2, neuron=n),
                     (2, 4, 2, 3, 4)),
    'linear': (lambda n: SpikeLinear(5, 6, neuron=n), (4, 5)),
    'linear of tokens': (lambda n: SpikeLinear(5, 6, neuron=n), (4, 3, 5)),
    'standardised': (lambda n: spiking_form(ConvWS2d).from_plain(
        ConvWS2d(4, 6, 3), n), (2, 4, 7, 6)),
}


@pytest.mark.parametrize('amp', [False, True])
@pytest.mark.parametrize('neuron', [SFA, LIF], ids=['SFA', 'LIF'])
@pytest.mark.parametrize('name', LAYERS)
def test_layers_bit_for_bit(name, neuron, amp):
    make, shape = LAYERS[name]
    layer, x = make(neuron), inputs(*shape)
    assert_same(layer, x, amp=amp)
    if len(shape) == 4:
        assert_same(layer, x.to(memory_format=torch.channels_last), amp=amp)
    if not amp:
        assert_same(layer.double(), x.double())


@pytest.mark.parametrize('name', sorted(set(LAYERS) - {'circular'}))
@pytest.mark.parametrize('amp', [False, True])
def test_no_activation_is_saved(name, amp):
    make, shape = LAYERS[name]
    layer, x = make(SFA), inputs(*shape).requires_grad_()
    if amp and name == 'standardised':
        pytest.skip('its own forward decides what is cast')

    def run():
        with torch.autocast('cpu', torch.bfloat16, enabled=amp):
            layer(x)

    parameters = [p.numel() for p in layer.parameters()]
    found = saved_by(run)
    assert (torch.uint8, x.numel()) in found
    assert sum(n for kind, n in found if kind == torch.uint8) == x.numel()
    assert all(n in parameters or n == layer.weight.shape[0]
               for kind, n in found if kind != torch.uint8)


def test_weight_gradients_by_differences():
    layer = SpikeConv2d(2, 3, 3, stride=2, neuron=SFA).double()
    x = inputs(2, 2, 5, 5, dtype=torch.float64).requires_grad_()

    def run(weight, bias):
        return functional_call(layer, dict(weight=weight, bias=bias), (x, ))

    assert torch.autograd.gradcheck(run, (layer.weight, layer.bias))


def test_twice_through_the_graph():
    layer, x = SpikeConv2d(2, 3, 3, neuron=SFA), inputs(2, 2, 5, 5)
    loss = layer(x.requires_grad_()).square().sum()
    first = torch.autograd.grad(loss, layer.weight, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(loss, layer.weight)[0], first)


def test_gradients_of_gradients_of_weights():
    layer, x = SpikeLinear(4, 3, neuron=SFA), inputs(5, 4).requires_grad_()
    spikes = layer.neuron(x).detach()
    grad, = torch.autograd.grad(
        layer(x).square().sum(), layer.weight, create_graph=True)
    second, = torch.autograd.grad(grad.square().sum(), layer.weight)
    first = 2 * (spikes @ layer.weight.T + layer.bias).T @ spikes
    # The derivative of |2 (W s + b) s^T|^2 by W.
    expected = 4 * first @ spikes.T @ spikes
    assert torch.allclose(second, expected, rtol=1e-4)


def doubled(module, args, out):
    return 2 * out


def doubled_in_place(module, args, out):
    return out.mul_(2)


def kept_aside(module, args, out):
    module.seen = out


@pytest.mark.parametrize('hook', [doubled, doubled_in_place, kept_aside])
def test_hooks_on_the_neuron(hook):
    layer = SpikeConv2d(2, 3, 3, neuron=SFA)
    plain = nn.Conv2d(2, 3, 3)
    plain.load_state_dict(layer.state_dict())
    x = inputs(2, 2, 5, 5).requires_grad_()
    spikes = layer.neuron(x).detach() * (1 if hook is kept_aside else 2)
    layer.neuron.register_forward_hook(hook)
    layer(x).sum().backward()
    plain(spikes).sum().backward()
    assert torch.equal(layer.weight.grad, plain.weight.grad)


def test_backward_hooks_on_neuron_and_layer():
    layer, seen = SpikeConv2d(2, 3, 3, neuron=SFA), []
    layer.neuron.register_full_backward_hook(lambda *a: seen.append('neuron'))
    layer.register_full_backward_hook(lambda *a: seen.append('layer'))
    x = inputs(2, 2, 5, 5).requires_grad_()
    layer(x).sum().backward()
    assert seen == ['neuron', 'layer']
    other = SpikeConv2d(2, 3, 3, neuron=SFA)
    other.load_state_dict(layer.state_dict())
    other(x).sum().backward()
    assert torch.equal(layer.weight.grad, other.weight.grad)


def test_a_weight_that_changes_before_the_backward_pass_is_an_error():
    layer, x = SpikeConv2d(2, 3, 3, neuron=SFA), inputs(2, 2, 5, 5)
    loss = layer(x.requires_grad_()).sum()
    with torch.no_grad():
        layer.weight.add_(1)
    with pytest.raises(RuntimeError, match='modified by an inplace operation'):
        loss.backward()


def test_nan_reaches_the_weights():
    layer, x = SpikeLinear(2, 1, neuron=SFA), torch.tensor([[torch.nan, 1.]])
    layer(x.requires_grad_()).sum().backward()
    assert layer.weight.grad.isnan().tolist() == [[True, False]]


def test_weights_without_gradient():
    layer = SpikeConv2d(2, 3, 3, neuron=SFA).requires_grad_(False)
    assert_same(layer, inputs(2, 2, 5, 5))


def test_weights_that_are_computed():
    assert_same(
        parametrizations.weight_norm(SpikeLinear(4, 3, neuron=SFA)),
        inputs(5, 4))


def test_function_transforms():
    layer, x = SpikeConv2d(2, 3, 3, neuron=SFA), inputs(2, 2, 5, 5)
    parameters = dict(layer.named_parameters())
    found = torch.func.grad(lambda p: functional_call(layer, p, (x, )).sum())(
        parameters)
    layer(x.requires_grad_()).sum().backward()
    assert torch.allclose(found['weight'], layer.weight.grad)


def around(layer, context):
    x = inputs(2, 4, 6, 6).requires_grad_()
    layer = copy.deepcopy(layer)
    with context:
        out = layer(x)
    out.square().sum().backward()
    return [x.grad, *(p.grad for p in layer.parameters())]


def test_hooks_around_get_the_bytes():
    layer = SpikeSepConv(4, SFA, kernel_size=3)
    torch.manual_seed(0)
    expected = around(layer, nullcontext())
    torch.manual_seed(0)
    found = around(layer, torch.autograd.graph.save_on_cpu())
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize('kind', [torch.float32, torch.float64, torch.int16])
def test_hooks_around_may_give_bytes_in_another_type(kind):
    layer, x = SpikeLinear(4, 3, neuron=SFA), inputs(5, 4).requires_grad_()
    spikes = layer.neuron(x)

    def pack(saved):
        is_bytes = saved.dtype == torch.uint8
        return saved.to(kind) if is_bytes else saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        with saving.saved_as_bytes(spikes):
            out = nn.functional.linear(spikes, layer.weight)
    out.sum().backward()
    assert torch.allclose(layer.weight.grad, spikes.sum(0).expand(3, -1))
    assert layer.weight.grad.any()


def test_gradients_of_layers_on_the_same_spikes_are_summed_in_their_type():
    spikes = build_neuron(SFA)(torch.tensor([[3.]], requires_grad=True))
    spikes.retain_grad()
    outs = []
    with torch.autocast('cpu', torch.bfloat16):
        for factor in (256., 1.):  # bfloat16 does not hold 257
            layer = nn.Linear(1, 1, bias=False)
            nn.init.constant_(layer.weight, factor)
            outs.append(saving.apply_to_spikes(layer, spikes))
    sum(outs).backward()
    assert spikes.grad.item() == 257


def test_attention_sums_gradients_in_the_type_of_its_input():
    attention = ESDSA(16, dict(type='mmsnn.SFANeuron'))
    x = torch.randn(4, 16, 5, 6) * 2
    assert gradients(attention, x, amp=True)['x'].any()
    assert_same(attention, x, amp=True)


@pytest.mark.parametrize('neuron', [SFA, LIF], ids=['SFA', 'LIF'])
def test_shapes_alone(neuron):
    block = SpikeSepConv(4, neuron, kernel_size=3).to('meta')
    x = torch.empty(2, 4, 6, 6, device='meta', requires_grad=True)
    block(x).sum().backward()
    assert x.grad.shape == x.shape
    assert all(p.grad.shape == p.shape for p in block.parameters())


def test_checkpoints_hold_nothing_but_their_input():
    layer = SpikeSepConv(4, SFA, kernel_size=3)
    x, outs = inputs(2, 4, 6, 6).requires_grad_(), []
    expected = gradients(layer, x)
    held = saved_by(
        lambda: outs.append(checkpoint(layer, x, use_reentrant=False)))
    assert max(n for _, n in held) == x.numel() and sum(
        n for _, n in held) == x.numel()
    out, = outs
    (out * torch.arange(out.numel()).view(out.shape).sin()).sum().backward()
    assert torch.equal(x.grad, expected['x'])
    for name, parameter in layer.named_parameters():
        assert torch.equal(parameter.grad, expected[name])


@pytest.mark.parametrize('amp', [False, True])
@pytest.mark.parametrize('make', [
    lambda: SpikeSepConv(4, SFA, kernel_size=3),
    lambda: SpikeSepConv(4, SFA, kernel_size=3, bare_depthwise=True),
    lambda: SpikeLinearPair(4, SFA),
    lambda: ESDSA(4, SFA, num_heads=2),
    lambda: SDSA3(4, SFA, num_heads=2),
    lambda: LinearPairESDSA(4, SFA, num_heads=2),
])
@pytest.mark.parametrize('training', [True, False])
def test_branches_bit_for_bit(make, amp, training):
    layer = make().train(training)
    for part in layer.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 1, 3)
            nn.init.uniform_(part.bias, 0, 2)
    x = inputs(2, 4, 6, 6).to(memory_format=torch.channels_last)
    assert_same(layer, x, amp=amp)


def test_multihead_attention_bit_for_bit():
    layer = SpikeMultiheadAttention(8, 2, neuron=SFA, batch_first=True)
    assert_same(_SelfAttention(layer), inputs(2, 5, 8))


class _SelfAttention(nn.Module):

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, x):
        return self.attention(x, x, x)[0]


def test_norms_of_the_separable_convolution_save_nothing():
    layer = SpikeSepConv(4, SFA, kernel_size=3)
    x = inputs(2, 4, 6, 6).requires_grad_()
    # The input of the three synapses: C, 2 C and 2 C.
    kinds = [kind for kind, n in saved_by(lambda: layer(x)) if n >= x.numel()]
    assert kinds == [torch.uint8] * 3


def test_backbone_bit_for_bit_and_half_of_its_twins_memory():
    arch = dict(embed_dims=(16, 32, 64, 96), depths=(1, 1, 1, 1, 1))
    x = torch.randn(2, 3, 64, 64)
    model = ESpikeFormer(arch, drop_path_rate=0.3).train()
    found = []
    for ordinary in (False, True):
        torch.manual_seed(1)
        found.append(gradients(model, x, ordinary))
    for name, value in found[1].items():
        assert value is None or torch.equal(found[0][name], value), name
    twin = ESpikeFormer(arch, neuron=dict(type='ReLU')).train()
    saved = [
        sum(kind.itemsize * n for kind, n in saved_by(lambda: net(x)))
        - sum(p.nbytes for p in net.parameters() if p.dim() > 1)
        for net in (model, twin)]
    assert saved[0] < 0.55 * saved[1]
