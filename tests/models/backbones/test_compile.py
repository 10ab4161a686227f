"""Backbones under torch.compile: one graph, and the same features."""

import copy

import pytest
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorMode,
)

from mmsnn.models import ESpikeFormer, MetaSpikeFormer

BASE = dict(embed_dims=[4, 4, 4, 8], depths=[1, 1, 1, 1, 1], num_heads=2)
LARGE = dict(
    family='large', embed_dims=[4, 8, 16], depths=[1, 1, 1, 1], num_heads=2,
    linear_pair=True)
MAKE = dict(
    base=lambda: ESpikeFormer(BASE, out_indices=(2, 4), drop_path_rate=0.1),
    large=lambda: ESpikeFormer(LARGE, drop_path_rate=0.1),
    meta=lambda: MetaSpikeFormer(BASE),
    learnt=lambda: MetaSpikeFormer(
        BASE, neuron=dict(type='mmsnn.LIFNeuron', timesteps=2,
                          learn_decay=True)))


@pytest.fixture(autouse=True)
def _forget():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def training_step(call, model, image):
    """Features, gradients and running statistics."""
    torch.manual_seed(0)  # of the branches that are dropped
    outs = call(image)
    sum(out.square().sum() for out in outs).backward()
    return [
        *(out.detach() for out in outs),
        *(p.grad for p in model.parameters()), *model.buffers()
    ]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.stride() == other.stride()
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('name', ['base', 'meta'])
def test_one_graph(name):
    torch.manual_seed(0)
    model = MAKE[name]().double()
    image = torch.rand(2, 3, 32, 48, dtype=torch.float64)
    other = copy.deepcopy(model)
    compiled = torch.compile(model, fullgraph=True, backend='aot_eager')
    assert_same(training_step(compiled, model, image),
                training_step(other, other, image))
    for net in model, other:
        net.eval()
    with torch.no_grad():
        found, expected = compiled(image), other(image)
    assert all(out.any() for out in expected)
    assert_same(found, expected)


@pytest.mark.parametrize('name', MAKE)
@pytest.mark.parametrize('train', [True, False])
def test_no_value_is_waited_for(name, train):
    """Fake tensors have no values: whatever would read one, as a GPU's host
    does when it waits, and as CUDA graphs forbid, is an error."""
    with FakeTensorMode():
        model = MAKE[name]().train(train)
        outs = model(torch.rand(2, 3, 32, 32))
        with pytest.raises(DataDependentOutputException):
            outs[0].sum().item()
        if train:
            sum(out.sum() for out in outs).backward()
            assert all(p.grad is not None for p in model.parameters())
