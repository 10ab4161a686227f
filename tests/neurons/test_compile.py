"""Neurons under torch.compile: the same bits, no graph break, few bytes."""

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.library import opcheck

from mmsnn.neurons import (
    LIFNeuron,
    SFANeuron,
    SpikingNeuron,
    native,
    over_time,
)

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


@pytest.mark.parametrize('name, kept', [
    ('sfa', 1), ('threshold', 1), ('sfa_time', 1), ('classical', 1),
    ('lif', 4)])
def test_bytes_kept_per_element(name, kept, compiler):
    """A byte, behind what is not worth to be computed again. A smooth
    surrogate needs its input."""
    neuron, x = NEURONS[name], inputs(torch.float32).requires_grad_()
    weight = torch.eye(x.shape[1])
    compiled = torch.compile(lambda x: neuron(x @ weight), fullgraph=True,
                             backend='aot_eager_decomp_partition')
    kept_bytes = {}

    def pack(saved):
        storage = saved.untyped_storage()
        kept_bytes[storage.data_ptr()] = storage.nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        compiled(x).sum().backward()
    assert kept_bytes.pop(weight.data_ptr()) == 4 * weight.numel()
    assert sum(kept_bytes.values()) == kept * x.numel()


def test_a_graph_does_not_grow_with_time(compiler):
    sizes = []

    def count(graph, _):
        sizes.append(len(graph.graph.nodes))
        return graph

    for timesteps in (2, 16):
        torch._dynamo.reset()  # else sizes become variables
        neuron = SFANeuron(max_spikes=4, timesteps=timesteps)
        compiled = torch.compile(neuron, fullgraph=True, backend=count)
        x = torch.rand(2 * timesteps, 3)
        assert torch.equal(compiled(x), neuron(x))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize('name', ['threshold', 'sfa_time', 'lif'])
def test_sizes_that_change(name):
    neuron, counter = NEURONS[name], CompileCounter()
    compiled = torch.compile(neuron, fullgraph=True, backend=counter,
                             dynamic=True)
    for rows in (4, 8, 12):
        x = inputs(torch.float32, rows)
        torch.testing.assert_close(compiled(x), neuron(x), rtol=0, atol=0,
                                   equal_nan=True)
    assert counter.frame_count == 1


@pytest.mark.parametrize('layout', ['last', 'transposed'])
def test_layouts_are_kept(layout):
    x = torch.rand(4, 3, 5, 6) * 4
    x = (x.to(memory_format=torch.channels_last)
         if layout == 'last' else x.mT)
    neuron = NEURONS['sfa_time']
    compiled = torch.compile(neuron, fullgraph=True, backend='aot_eager')
    found, expected = compiled(x), neuron(x)
    assert torch.equal(found, expected)
    assert found.stride() == expected.stride() == x.stride()


def test_a_state_and_its_gradient(compiler):
    neuron = LIFNeuron(timesteps=2, learn_decay=True)
    x, state = torch.rand(4, 3) * 2, torch.rand(2, 3)
    found = []
    for call in (neuron.run, torch.compile(neuron.run, fullgraph=True,
                                           backend='aot_eager')):
        leaves = [x.clone().requires_grad_(), state.clone().requires_grad_()]
        out, left = call(*leaves)
        # Of the state alone, of the output alone.
        found.append([
            out.detach(), left.detach(),
            *torch.autograd.grad(left.sum(), [*leaves, neuron.decay_logit],
                                 retain_graph=True),
            *torch.autograd.grad(out.sum(), [*leaves, neuron.decay_logit])])
    assert all(map(torch.equal, *found))
    assert all(grad.any() for grad in found[0][2:])


def test_without_kernels(monkeypatch):
    """The neuron is unrolled, in operations that inductor knows."""
    monkeypatch.setattr(native, 'load', lambda: None)
    names = []

    def note(graph, _):
        names.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    neuron, x = NEURONS['sfa_time'], inputs(torch.float32)
    compiled = torch.compile(neuron, fullgraph=True, backend=note)
    torch.testing.assert_close(compiled(x), neuron(x), rtol=0, atol=0,
                               equal_nan=True)
    assert not any('fire_over_time' in name for name in names)


def test_an_equation_of_its_own():

    class Shifted(SpikingNeuron):

        def charge(self, inputs, state):
            return super().charge(inputs + 0.25, state)

    neuron, x = Shifted(timesteps=2), torch.tensor([0.75, 0.5])
    compiled = torch.compile(neuron, fullgraph=True, backend='aot_eager')
    assert compiled(x).tolist() == [1., 0.]


@pytest.mark.parametrize('name', ['threshold', 'sfa_time'])
def test_an_export_needs_no_mmsnn(name):
    x = inputs(torch.float32)
    with torch.no_grad():
        program = torch.export.export(NEURONS[name], (x, ), strict=True)
    assert 'mmsnn' not in program.graph_module.code


@pytest.mark.parametrize('grad', [True, False])
def test_operations_keep_their_promises(grad, compiler):
    """Shapes, layouts, aliases, gradients, as PyTorch checks them."""
    x = torch.rand(4, 3).requires_grad_(grad)
    state, learnt = torch.rand(2, 3), torch.tensor(0.5)
    opcheck(torch.ops.mmsnn.divide.default, (x, 0.7))
    lif = over_time.options_of(LIFNeuron(learn_decay=True))
    opcheck(torch.ops.mmsnn.fire_over_time.default,
            (x, state, learnt.requires_grad_(grad), 2, *lif, False, True))
    sfa = over_time.options_of(SFANeuron(timesteps=2))
    opcheck(torch.ops.mmsnn.fire_over_time.default,
            (x, None, None, 2, *sfa, True, False))
