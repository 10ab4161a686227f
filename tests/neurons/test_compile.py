"""Neurons under torch.compile: the same bits, no graph break, few bytes."""

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.library import opcheck

from mmsnn.neurons import LIFNeuron, SFANeuron, SpikingNeuron, native

INFINITY, NAN = float('inf'), float('nan')
#: Halves, what lies next to them, and what is no usual number; at last what
#: fires at a threshold of 0.7 if it is divided, not multiplied by 1 / 0.7.
EDGES = [-1., -0., 0., 0.25, 0.49999997, 0.5, 0.50000006, 1., 1.4999999, 1.5,
         2.5, 3.5, 3.9999998, 4., 4.0000005, 4.5, 9., INFINITY, -INFINITY,
         NAN, 1e-40, 3e38, 1.0499999523162842]
NEURONS = dict(
    sfa=SFANeuron(max_spikes=4),
    threshold=SFANeuron(max_spikes=3, threshold=0.7),
    doubled=SFANeuron(max_spikes=4, threshold=2., scale=1., inplace=True),
    classical=SpikingNeuron(max_spikes=2),
    sfa_time=SFANeuron(max_spikes=4, timesteps=4, decay=0.3, threshold=0.7),
    lif=LIFNeuron(timesteps=4),
    lif_still=LIFNeuron(),
    arctan=LIFNeuron(timesteps=2, surrogate='arctan', reset='soft',
                     detach_reset=False),
    learnt=LIFNeuron(timesteps=2, learn_decay=True))
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


@pytest.fixture(autouse=True)
def _forget():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def inputs(dtype, rows=8):
    edges = torch.tensor(EDGES, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(17, generator=generator, dtype=torch.float64) * 6 - 1
    row = torch.cat([edges, drawn])
    return torch.stack([row.roll(t) for t in range(rows)]).to(dtype)


class Together(nn.Module):
    """All neurons on the same input, to be compiled at once."""

    def __init__(self):
        super().__init__()
        self.neurons = nn.ModuleList(NEURONS.values())

    def forward(self, x):
        # Something to fuse with, that rounds nothing.
        return torch.stack([neuron(x * 2) for neuron in self.neurons])


def results(call, model, x):
    """Output without and with gradient, and gradients by each neuron."""
    with torch.no_grad():
        found = [call(x.clone())]
    leaf = x.clone().requires_grad_()
    out = call(leaf)
    weights = (torch.arange(x.numel()).view(x.shape) % 7).to(x)
    for part in out:
        found += torch.autograd.grad((part * weights).sum(), leaf,
                                     retain_graph=True)
    found += torch.autograd.grad((out * weights).sum(), model.parameters())
    return [*found, out.detach()]


@pytest.mark.parametrize('backend, dtype', [
    *(('aot_eager', dtype) for dtype in DTYPES),
    *(('inductor', dtype) for dtype in (torch.float32, torch.bfloat16))])
def test_the_same_bits(backend, dtype, compiler):
    """No half is fused away, and no division is made a product."""
    model, x = Together(), inputs(dtype) / 2
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    expected = results(model, model, x)
    assert all(part.nan_to_num().std() > 0.1 for part in expected[0])
    for one, other in zip(results(compiled, model, x), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_a_type_is_fired_in_as_it_is_stored():
    """0.35 of the threshold 0.7 is a half in bfloat16 when rounded, less
    before."""
    neuron = SFANeuron(max_spikes=4, threshold=0.7)
    x = torch.tensor([0.349609375], dtype=torch.bfloat16)
    assert x.item() / 0.7 < 0.5 and (x / 0.7).item() == 0.5
    compiled = torch.compile(neuron, fullgraph=True, backend='aot_eager')
    assert compiled(x).tolist() == neuron(x).tolist() == [0.25]
