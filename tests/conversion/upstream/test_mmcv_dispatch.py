"""mmcv's compiled ops are seen by dispatch modes, and run as ever."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.conversion.upstream import mmcv_dispatch
from mmsnn.neurons import SFANeuron

ops = pytest.importorskip('mmcv.ops')


class Aligned(nn.Module):
    """A neuron, and RoIAlign of its spikes."""

    def __init__(self, align, rois):
        super().__init__()
        self.neuron = SFANeuron()
        self.align = align
        self.rois = rois

    def forward(self, x):
        return self.align(self.neuron(x), self.rois)


def test_models_side_by_side_in_threads():
    align = ops.RoIAlign(2, 1., 2)

    def run(number):
        rois = torch.tensor([[0., 0, 0, 8, 8]]).repeat(number, 1)
        spiking = to_spike_train(Aligned(align, rois))
        with spiking:
            for _ in range(20):
                spiking(torch.rand(1, 1, 8, 8))
        return sum(r.macs for r in spiking.trace)

    numbers = [1, 2, 3, 4]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, numbers))
    assert found == [20 * number * 4 * 16 for number in numbers]


def test_exposed_once_and_without_effect_outside():
    import mmcv._ext
    mmcv_dispatch.expose_mmcv_ops()
    first = mmcv._ext.nms
    mmcv_dispatch.expose_mmcv_ops()
    assert mmcv._ext.nms is first
    assert not isinstance(first.function, mmcv_dispatch.MmcvOp)
    assert first.__name__ == 'nms' and first.__doc__ == first.function.__doc__
    assert isinstance(mmcv._ext.get_compiler_version(), str)
    boxes = torch.tensor([[20., 20, 30, 30], [0, 0, 10, 10], [0, 0, 10, 9]])
    scores = torch.tensor([0.7, 0.9, 0.8])
    assert ops.nms(boxes, scores, 0.5)[1].tolist() == [1, 0]
    # Gradients too.
    x = torch.rand(1, 1, 4, 4, requires_grad=True)
    ops.RoIAlign(2)(x, torch.tensor([[0., 0, 0, 4, 4]])).sum().backward()
    assert x.grad.sum().item() == pytest.approx(4)


def test_mmcv_without_compiled_ops(monkeypatch):
    monkeypatch.setattr(mmcv_dispatch, 'find_spec', lambda name: None)
    monkeypatch.setattr(mmcv_dispatch, 'import_module', None)
    mmcv_dispatch.expose_mmcv_ops()
    assert to_spike_train(SFANeuron())(torch.ones(2)).spikes == 2
