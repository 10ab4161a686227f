"""Products with factors, in place, and into ``out``, on real values and on
spikes."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.neurons import SFANeuron

# 5 x 4 values by a 4 x 4 matrix: 80 products, and 20 results.
REAL = {
    'factors': (lambda x, w: torch.addmm(x, x, w, beta=.5, alpha=2),
                80 + 20 + 20, 20),
    'no sum': (lambda x, w: torch.addmm(x, x, w, beta=0), 80, 0),
    'factor of a row': (lambda x, w: torch.addmm(x[0], x, w, beta=3),
                        80 + 4, 20),
    'in place': (lambda x, w: x.clone().addmm_(x, w), 80, 20),
    'in place, factor': (lambda x, w: x.clone().addmm_(x, w, alpha=2),
                         80 + 20, 20),
    'out, factor': (lambda x, w: torch.addmm(
        x, x, w, alpha=2, out=torch.empty(5, 4)), 80 + 20, 20),
    'out': (lambda x, w: torch.mm(x, w, out=torch.empty(0)), 80, 0),
}
SPIKES = {
    'mm': lambda x, s, w: torch.mm(s, w, out=torch.empty(5, 4)),
    'bmm': lambda x, s, w: torch.bmm(s[None], w[None],
                                     out=torch.empty(0))[0],
    'addmm': lambda x, s, w: torch.addmm(x, s, w, out=torch.empty(5, 4)),
    'addmm, factor': lambda x, s, w: torch.addmm(
        x, s, w, beta=2, out=torch.empty(5, 4)),
}


class Net(nn.Module):

    def __init__(self, product):
        super().__init__()
        self.product = product
        self.neuron = SFANeuron()
        self.register_buffer('weight', torch.randn(4, 4))

    def forward(self, x):
        return self.product(x, self.neuron(x), self.weight)


@pytest.mark.parametrize('name', REAL)
def test_real(name):
    product, macs, adds = REAL[name]
    net = Net(lambda x, s, w: product(x, w)).eval()
    with to_spike_train(net, 'counts') as spiking:
        spiking(torch.randn(5, 4))
    assert spiking.trace.total('macs') == macs
    assert spiking.trace.total('adds') == adds


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('name', SPIKES)
def test_spikes(name, form):
    torch.manual_seed(0)
    net = Net(SPIKES[name]).double().eval()
    x = 3 * torch.randn(5, 4, dtype=torch.float64)
    torch.set_default_dtype(torch.float64)
    try:
        spiking = to_spike_train(net, form)
        check = EqualityCheck(net, spiking)
        with spiking:
            check.compare(x)
    finally:
        torch.set_default_dtype(torch.float32)
    assert check.report.equal
    # Each spike reaches the four results of its row.
    assert spiking.trace.total('sops') == 4 * spiking.trace.total('emitted')
    assert spiking.trace.total('sops') > 0
