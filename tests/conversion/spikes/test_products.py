"""Products of spikes in whichever way they are written."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.conversion.counting.synapses import SYNAPSE_OPS
from mmsnn.conversion.spikes.spike_tensor import SYNAPSES
from mmsnn.neurons import SFANeuron

FORMS = ['spikes', 'counts']


class Product(nn.Module):
    """Spikes s and q, weights w and v, some real numbers r."""

    def __init__(self, function):
        super().__init__()
        self.neuron, self.other = SFANeuron(4), SFANeuron(4)
        self.w = nn.Parameter(torch.randn(6, 6))
        self.v = nn.Parameter(torch.randn(6))
        self.function = function

    def forward(self, x, r):
        return self.function(self.neuron(x), self.other(r), self.w, self.v, r)


def spikes_of(x):
    return (x + 0.5).floor().clamp(0, 4)


def run(function, form, x, r):
    torch.manual_seed(0)
    model = Product(function).double().eval()
    # Of a vector alone nothing says whether it is one image.
    spiking = to_spike_train(model, form, batch=1 if x.dim() == 1 else None)
    check = EqualityCheck(model, spiking)
    with spiking:
        check.compare(x, r)
        spiking(0.5 * x, r)
    assert check.report.equal, check.report
    return [r for r in spiking.trace if r.kind != 'neuron']


def inputs(*shape):
    generator = torch.Generator().manual_seed(1)
    return (3 * torch.randn(*shape, generator=generator, dtype=torch.float64),
            3 * torch.randn(*shape, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('function, fan_out', [
    (lambda s, q, w, v, r: s @ w, 6),
    (lambda s, q, w, v, r: s @ v, 1),
    (lambda s, q, w, v, r: torch.mv(s, v), 1),
    (lambda s, q, w, v, r: v @ s, 1),
    (lambda s, q, w, v, r: w @ s, 6),
    (lambda s, q, w, v, r: torch.einsum('ij,j->i', s, v), 1),
    (lambda s, q, w, v, r: torch.einsum('ij,kj->ik', s, w), 6),
    (lambda s, q, w, v, r: torch.tensordot(s, w, 1), 6),
    (lambda s, q, w, v, r: torch.inner(s, w), 6),
    (lambda s, q, w, v, r: F.linear(s, w, v), 6),
    (lambda s, q, w, v, r: F.linear(s, v), 1),
    (lambda s, q, w, v, r: torch.addmm(v, s, w), 6),
    (lambda s, q, w, v, r: torch.addmm(v, s, w, beta=.5, alpha=2.), 6),
    (lambda s, q, w, v, r: torch.addmm(q, s, w), 6),
    (lambda s, q, w, v, r: torch.addmm(q, w, s, beta=0), 6),
    (lambda s, q, w, v, r: torch.addmv(v, s, v, alpha=2.), 1),
    (lambda s, q, w, v, r: torch.addmv(v, w, s[0]), None),
    (lambda s, q, w, v, r: torch.bmm(s[None], w[None]), 6),
    (lambda s, q, w, v, r: torch.baddbmm(r[None], s[None], w[None]), 6),
    (lambda s, q, w, v, r: torch.baddbmm(
        q[None], w[None], s[None], beta=2., alpha=.5), 6),
    (lambda s, q, w, v, r: torch.addbmm(r, s[None], w[None]), 6),
    (lambda s, q, w, v, r: torch.chain_matmul(s, w, w), 6),
    (lambda s, q, w, v, r: w.clone().addmm_(s, w), 6),
    (lambda s, q, w, v, r: F.conv1d(s[None], w[:, :, None], v), 6),
])
def test_a_spike_is_added_at_each_output(form, function, fan_out):
    x, r = inputs(6, 6)
    found = [k for k in run(function, form, x, r) if k.spiking]
    if fan_out is None:  # one row of six outputs
        x, fan_out = x[:1], 6
    spikes = spikes_of(x).sum() + spikes_of(0.5 * x).sum()
    assert len(found) == 1 and found[0].macs == 0
    assert found[0].in_spikes == spikes
    assert found[0].sops == fan_out * spikes


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('function', [
    lambda s, q, w, v, r: s @ q.t(), lambda s, q, w, v, r: F.linear(s, q),
    lambda s, q, w, v, r: torch.addmm(v, s, q.t()),
    lambda s, q, w, v, r: torch.einsum('ij,kj->ik', s, q),
    lambda s, q, w, v, r: torch.baddbmm(r[None], s[None], q.t()[None])])
def test_products_of_spikes(form, function):
    x, r = inputs(6, 6)
    found = [k for k in run(function, form, x, r) if k.spiking]
    other = spikes_of(r) > 0
    sops = sum((spikes_of(f * x)[:, None] * other).sum() for f in (1, 0.5))
    assert len(found) == 1 and found[0].sops == sops


@pytest.mark.parametrize('form', FORMS)
def test_dot_products(form):
    x, r = inputs(6)
    one, = run(lambda s, q, w, v, r: torch.dot(s, q), form, x, r)
    sops = sum((spikes_of(f * x) * (spikes_of(r) > 0)).sum() for f in (1, .5))
    assert one.sops == sops
    one, = run(lambda s, q, w, v, r: torch.dot(v, s), form, x, r)
    assert one.sops == spikes_of(x).sum() + spikes_of(0.5 * x).sum()


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('function, macs', [
    (lambda s, q, w, v, r: torch.addmm(s, w, w), 216),
    (lambda s, q, w, v, r: torch.addmm(s, w, w, beta=.5), 216 + 36),
    (lambda s, q, w, v, r: torch.outer(s[0], v), 36),
    (lambda s, q, w, v, r: torch.addr(s, v, v), 36),
    (lambda s, q, w, v, r: F.bilinear(s, q, w[None], v[:1]), 2 * 216),
    (lambda s, q, w, v, r: F.bilinear(r, s, w[None]), 2 * 216),
    (lambda s, q, w, v, r: F.conv1d(r[None], w[..., None], s[0]), 216)])
def test_spikes_that_are_no_factor_of_a_synapse(form, function, macs):
    x, r = inputs(6, 6)
    found = run(function, form, x, r)
    assert not any(k.spiking for k in found)
    assert sum(k.macs for k in found) == 2 * macs


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('mask', [None, 'causal', 'bool', 'float'])
def test_attention_in_one_op(form, mask):
    """Spikes of q select columns of k, those of v rows of the weights."""
    kinds = dict(
        bool=torch.ones(6, 6, dtype=torch.bool).tril(),
        float=torch.zeros(6, 6, dtype=torch.float64))

    def function(s, q, w, v, r):
        more = dict(is_causal=True) if mask == 'causal' else dict(
            attn_mask=kinds.get(mask))
        return F.scaled_dot_product_attention(s[None], q[None], s[None],
                                              **more)

    x, r = inputs(6, 6)
    first, second = [k for k in run(function, form, x, r) if k.spiking]
    sops = sum((spikes_of(f * x)[:, None] * (spikes_of(r) > 0)).sum()
               for f in (1, 0.5))
    assert first.sops == sops
    spikes = spikes_of(x).sum() + spikes_of(0.5 * x).sum()
    assert second.sops == 6 * spikes


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('double', [False, True])
def test_spikes_into_an_lstm(form, double):
    torch.manual_seed(0)
    model = nn.Sequential(SFANeuron(4), nn.LSTM(6, 3, bidirectional=True))
    model.eval().to(torch.float64 if double else torch.float32)
    x = inputs(4, 2, 6)[0].to(next(model.parameters()).dtype)
    with to_spike_train(model, form) as spiking:
        torch.testing.assert_close(spiking(x)[0], model(x)[0])
    spikes = spikes_of(x.double()).sum()
    # four gates of three states, in both directions
    assert spiking.trace.total('sops') == 2 * 12 * spikes


def test_what_the_table_calls_a_synapse_is_run_and_counted_as_one():
    assert set(SYNAPSES) == SYNAPSE_OPS
