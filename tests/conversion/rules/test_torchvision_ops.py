"""torchvision's compiled ops cost what mmcv's own forms do."""

import pytest
import torch
import torchvision.ops as ops
from torch import nn

from mmsnn.conversion import UnclassifiedOpError, to_spike_train
from mmsnn.neurons import SFANeuron

BOXES = torch.tensor([[20., 20, 30, 30], [0, 0, 10, 10], [0, 0, 10, 9]])
SCORES = torch.tensor([0.7, 0.9, 0.8])
ROIS = torch.tensor([[0., 0, 0, 8, 12]])


class Then(nn.Module):

    def __init__(self, function):
        super().__init__()
        self.neuron = SFANeuron()
        self.function = function

    def forward(self, x):
        return self.function(self.neuron(x))


def records(function):
    """The op's records in two calls of each form, without the neuron's."""
    net, x = nn.Sequential(Then(function)).eval(), torch.rand(1, 2, 8, 8)
    found = []
    for form in ('spikes', 'counts'):
        with to_spike_train(net, form) as spiking:
            for _ in range(2):
                torch.testing.assert_close(spiking(x), net(x))
        found.append([r for r in spiking.trace if r.kind != 'neuron'])
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize('function,expected', [
    # 2 x 3 bins of 2 x 2 points, 2 channels: 48 points; 12 outputs
    (lambda x: ops.roi_align(x, ROIS, (2, 3), 0.5, 2),
     dict(kind='pool', macs=192, other=12)),
    # bins of 3 x 4/3 pixels: 3 x 2 points each, 72 in all
    (lambda x: ops.roi_align(x, ROIS, (2, 3), 0.5, -1),
     dict(kind='pool', macs=288, other=12)),
    # 7 rows and 5 columns in 2 x 3 bins: 4 x 2 elements each
    (lambda x: ops.roi_pool(x, ROIS, (2, 3), 0.5),
     dict(kind='pool', comparisons=7 * 6 * 2)),
    # as mmcv's nms: 2 pairs, 3 areas, a sort of 3
    (lambda x: ops.nms(BOXES, SCORES, 0.5),
     dict(kind='real', macs=5, adds=14, comparisons=20, other=2))])
def test_costs_by_hand(function, expected):
    record, = records(function)
    assert record.calls == 2 and not record.spiking
    for name in ('macs', 'adds', 'comparisons', 'other'):
        assert getattr(record, name) == 2 * expected.get(name, 0), name
    assert record.kind == expected['kind']


def test_a_replay_sees_other_boxes():
    def align(x):
        side = 4 + 8 * x.mean()  # the spikes decide how many points there are
        rois = torch.stack([side.new_zeros(3).sum(), *[side * 0] * 2,
                            *[side] * 2])[None]
        return ops.roi_align(x, rois, (1, 1), 1., -1)

    net = nn.Sequential(Then(align)).eval()
    with to_spike_train(net, 'counts') as spiking:
        for value in (0., 1.):  # sides of 4, and of 12 pixels: one bin
            spiking(torch.full((1, 2, 16, 16), 4 * value))
    record, = (r for r in spiking.trace if r.op == 'roi_align')
    assert record.macs == 4 * 2 * (4**2 + 12**2)


def test_what_has_no_rule_is_refused_by_name():
    net = nn.Sequential(Then(lambda x: ops.ps_roi_pool(x, ROIS, 1))).eval()
    with pytest.raises(UnclassifiedOpError, match=r'0: no rule says what '
                       r'torchvision.ps_roi_pool.default costs: .*'
                       r"add_rule\('torchvision::ps_roi_pool'"):
        with to_spike_train(net, 'counts') as spiking:
            spiking(torch.rand(1, 2, 8, 8))
