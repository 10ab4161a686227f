import copy
import math
import pickle

import pytest
import torch
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.layers import SpikeLinear, SpikeMultiheadAttention
from mmsnn.neurons import is_spiking

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)
SAME = dict(type='torch.nn.Identity')
SAMPLES, LENGTH, SOURCE, WIDTH = 2, 3, 5, 8
KINDS = [
    dict(), dict(batch_first=True), dict(kdim=6, vdim=10), dict(bias=False),
    dict(add_bias_kv=True), dict(add_zero_attn=True),
    dict(add_bias_kv=True, add_zero_attn=True, batch_first=True, kdim=6)
]


def fire(u):
    return sum((u >= d - 0.5).to(u.dtype) for d in range(1, 5)) / 4


def attention(**keys):
    """One of PyTorch, and inputs of its widths."""
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(WIDTH, 2, **keys)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.7)
    inputs = [
        torch.randn(length, SAMPLES, keys.get(name, WIDTH)) * 2
        for length, name in ((LENGTH, ''), (SOURCE, 'kdim'), (SOURCE, 'vdim'))
    ]
    if keys.get('batch_first'):
        inputs = [x.transpose(0, 1) for x in inputs]
    return layer.eval(), inputs


def masks():
    torch.manual_seed(1)
    some = torch.rand(LENGTH, SOURCE) > 0.7
    padding = torch.zeros(SAMPLES, SOURCE, dtype=torch.bool)
    padding[0, 3:] = True
    return [
        dict(), dict(need_weights=False), dict(average_attn_weights=False),
        dict(attn_mask=some), dict(key_padding_mask=padding),
        dict(attn_mask=torch.randn(SAMPLES * 2, LENGTH, SOURCE)),
        dict(attn_mask=some, key_padding_mask=padding),
        dict(key_padding_mask=torch.randn(SAMPLES, SOURCE))
    ]


@pytest.mark.parametrize('keys', KINDS)
@pytest.mark.parametrize('number', range(8))
def test_without_neurons_it_is_the_plain_layer(keys, number):
    plain, inputs = attention(**keys)
    ours = SpikeMultiheadAttention.from_plain(plain, SAME)
    assert ours.state_dict().keys() == plain.state_dict().keys()
    options = masks()[number]
    torch.testing.assert_close(ours(*inputs, **options),
                               plain(*inputs, **options))


@pytest.mark.parametrize('keys', KINDS)
def test_one_sample_without_batch_axis(keys):
    plain, inputs = attention(**keys)
    ours = SpikeMultiheadAttention.from_plain(plain, SAME)
    axis = 0 if keys.get('batch_first') else 1
    inputs = [x.select(axis, 0) for x in inputs]
    padding = torch.tensor([False, True, False, False, True])
    for average in (True, False):
        options = dict(key_padding_mask=padding, average_attn_weights=average)
        torch.testing.assert_close(ours(*inputs, **options),
                                   plain(*inputs, **options))


def test_what_it_computes_by_loops():
    """Neurons in front of the projections, real products, a neuron."""
    plain, (query, key, value) = attention()
    ours = SpikeMultiheadAttention.from_plain(plain, SFA4)
    out, _ = ours(query, key, value)
    parts = zip((query, key, value), plain.in_proj_weight.split(WIDTH),
                plain.in_proj_bias.split(WIDTH))
    q, k, v = (fire(x) @ w.T + b for x, w, b in parts)
    mixed = torch.zeros(LENGTH, SAMPLES, WIDTH)
    for n in range(SAMPLES):
        for head in (slice(0, 4), slice(4, 8)):
            for i in range(LENGTH):
                scores = [q[i, n, head] @ k[j, n, head] / 2
                          for j in range(SOURCE)]
                total = sum(math.exp(s) for s in scores)
                for j, score in enumerate(scores):
                    mixed[i, n, head] += math.exp(score) / total * v[j, n,
                                                                     head]
    expected = fire(mixed) @ plain.out_proj.weight.T + plain.out_proj.bias
    torch.testing.assert_close(out, expected)
    assert fire(mixed).any()


def test_one_tensor_fires_once():
    plain, (query, key, value) = attention(batch_first=True)
    ours = SpikeMultiheadAttention.from_plain(plain, SFA4)
    x = torch.rand(SAMPLES, LENGTH, WIDTH)
    for inputs, firings in (((x, x, x), 1), ((query, key, key), 2),
                            ((query, key, value), 3)):
        with to_spike_train(ours) as converted:
            converted(*inputs)
        rows = [r for r in converted.trace if r.module == 'neuron']
        assert sum(r.neurons for r in rows) == sum(
            x.numel() for x in inputs[:firings])


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_its_trace_by_hand(form):
    plain, inputs = attention(batch_first=True)
    ours = SpikeMultiheadAttention.from_plain(plain, SFA4).double()
    inputs = [x.double() for x in inputs]
    with to_spike_train(ours, form) as converted:
        out, _ = converted(*inputs)
    torch.testing.assert_close(out, ours(*inputs)[0], rtol=0, atol=1e-12)
    spikes = [int(fire(x).sum() * 4) for x in inputs]
    linear = [r for r in converted.trace if r.kind == 'linear']
    assert [(r.module, r.spiking) for r in linear] == [
        ('(model)', True)] * 3 + [('out_proj', True)]
    assert [r.sops for r in linear[:3]] == [n * WIDTH for n in spikes]
    fired = next(r for r in converted.trace if r.module == 'out_proj.neuron')
    assert linear[3].sops == sum(fired.spikes) * WIDTH > 0
    # 2 samples, 2 heads, 3 x 5 pairs of tokens, 4 channels; twice.
    products = [r for r in converted.trace if r.kind == 'matmul']
    assert [r.macs for r in products] == [2 * 2 * 3 * 5 * 4] * 2
    assert not any(r.spiking for r in products)
    softmax = [r for r in converted.trace if r.op == '_softmax']
    assert len(softmax) == 1 and softmax[0].output_shape == (2, 2, 3, 5)


class Layers(nn.Module):

    def __init__(self, kind):
        super().__init__()
        self.layers = kind

    def forward(self, x, mask):
        return self.layers(x, src_key_padding_mask=mask)


def test_no_fused_kernel_passes_the_neurons():
    """At inference PyTorch's encoder calls one op for a layer, and one that
    leaves padding out; both would read the weights past the neurons."""
    from mmsnn.models.dense import make_spiking
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        WIDTH, 2, 16, batch_first=True, dropout=0., activation='gelu')
    net = make_spiking(Layers(nn.TransformerEncoder(layer, 2)), SFA4)
    for parameter in net.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter)
    x = torch.randn(2, 4, WIDTH, dtype=torch.float64)
    mask = torch.tensor([[False] * 3 + [True], [False] * 4])
    net.double()
    expected = net.train()(x, mask)
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(x, mask), expected)
    check = EqualityCheck(net, to_spike_train(net))
    check.compare_calls(lambda: net(x, mask), lambda: check.spiking(x, mask))
    assert check.report.equal
    assert {r.module for r in check.report.rows} == {
        k for k, m in net.named_modules() if is_spiking(m)}
    neurons = [f'layers.layers.{i}.{name}.neuron' for i in (0, 1) for name in
               ('self_attn', 'self_attn.out_proj', 'linear1', 'linear2')]
    assert sorted(neurons) == sorted(r.module for r in check.report.rows)
    assert not any('gelu' in r.op for r in traced(net, x, mask))


def traced(net, *inputs):
    with to_spike_train(net) as converted:
        converted(*inputs)
    return converted.trace


def test_a_whole_transformer_trains():
    from mmsnn.models.dense import make_spiking
    torch.manual_seed(0)
    net = make_spiking(nn.Transformer(WIDTH, 2, 1, 1, 16), SFA4)
    kinds = (nn.Linear, nn.MultiheadAttention)
    assert all(isinstance(m, SpikeLinear) or 'Spike' in type(m).__name__
               for m in net.modules() if isinstance(m, kinds))
    net(torch.rand(3, 2, WIDTH) * 4, torch.rand(4, 2, WIDTH) * 4).sum(
    ).backward()
    assert all(p.grad is not None for p in net.parameters())


def test_wrong_masks_are_named():
    layer, inputs = attention()
    ours = SpikeMultiheadAttention.from_plain(layer, SFA4)
    with pytest.raises(ValueError, match=r'^attn_mask must have the shape '
                       r'\(3, 5\) or \(4, 3, 5\), but has \(5, 3\)'):
        ours(*inputs, attn_mask=torch.zeros(5, 3))
    with pytest.raises(ValueError, match='^key_padding_mask must have .* '
                       r'\(2, 5\)'):
        ours(*inputs, key_padding_mask=torch.zeros(5, 2))
    with pytest.raises(ValueError, match='^is_causal is only a hint'):
        ours(*inputs, is_causal=True)


@pytest.mark.parametrize('again', [
    copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(again):
    layer, inputs = attention(batch_first=True)
    ours = SpikeMultiheadAttention.from_plain(layer, SFA4)
    other = again(ours)
    assert type(other.out_proj) is type(ours.out_proj)
    assert other.out_proj.weight is not ours.out_proj.weight
    torch.testing.assert_close(other(*inputs), ours(*inputs))


def test_over_time_each_step_attends_to_itself():
    layer, (query, *_) = attention()
    once = SpikeMultiheadAttention.from_plain(layer, SFA4)
    twice = SpikeMultiheadAttention.from_plain(
        layer, dict(SFA4, timesteps=2))
    x = query[:, :1].round() * 4  # whole spikes: no membrane is left
    x = x.clamp(0, 4)
    repeated = x.expand(-1, 2, -1).contiguous()  # the same in both steps
    out = twice(repeated, repeated, repeated)[0]
    assert out.shape == (LENGTH, 2, WIDTH)
    torch.testing.assert_close(out[:, :1], once(x, x, x)[0])
