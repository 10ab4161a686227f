"""Upstream code runs in float64."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.conversion.upstream.double import DoublePrecision, in_its_precision
from mmsnn.conversion.upstream.mmcv_dispatch import expose_mmcv_ops
from mmsnn.neurons import SFANeuron

ops = pytest.importorskip('mmcv.ops')
# The last two overlap, the first stands apart.
BOXES = torch.tensor([[20., 20, 30, 30], [0, 0, 10, 10], [0, 0, 10, 9]])
SCORES = torch.tensor([0.7, 0.9, 0.8])


def test_float64_reaches_ops_that_refuse_it_as_float32():
    boxes, scores = BOXES.double(), SCORES.double()
    expose_mmcv_ops()
    with pytest.raises(RuntimeError, match='expected scalar type Float'):
        ops.nms(boxes, scores, 0.5)
    with DoublePrecision():
        dets, kept = ops.nms(boxes, scores, 0.5)
        soft, order = ops.soft_nms(boxes, scores, 0.5)
        # Others get what they are given.
        rois = torch.tensor([[0., 0, 0, 4, 4]], dtype=torch.float64)
        pooled = ops.RoIAlign(2)(torch.rand(1, 1, 4, 4).double(), rois)
    assert kept.tolist() == [1, 0] and dets.dtype == torch.float64
    assert pooled.dtype == torch.float64
    expected, indices = ops.soft_nms(BOXES, SCORES, 0.5)
    assert torch.equal(order, indices) and soft.dtype == torch.float64
    torch.testing.assert_close(soft.float(), expected)


class Positions(nn.Module):
    """Makes tensors as upstream's positional encodings and heads do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.fc = nn.Linear(4, 2)
        self.held = torch.ones(1, 2, 1, 1)  # no buffer: stays float32

    def forward(self, x):
        rows = torch.ones(1, 1, 3, 3, dtype=torch.float32)
        rows = rows.cumsum(2, dtype=torch.float32)
        factor = 10**(torch.arange(2, dtype=torch.float32) / 2)
        y = self.conv((x + rows).float()) * self.held
        table = torch.zeros(3, 4)
        table[:, 0] = x[0, 0, :, 0] / 3
        table = torch.cat([table, x.new_ones(3, 4).half()])
        written = torch.empty(6, 2)
        written.copy_(self.fc(table.to(torch.float32)))
        return y.mean((2, 3)) / factor, written.softmax(1, dtype=torch.float32)


def test_tensors_that_upstream_makes_follow():
    torch.manual_seed(0)
    model = Positions().eval().double()
    x = torch.rand(1, 1, 3, 3).double()
    with in_its_precision(model), torch.no_grad():
        given = model(x)
    assert [y.dtype for y in given] == [torch.float64] * 2
    # The same written in float64 from the start, to its last digit.
    rows = torch.arange(1., 4).double().view(1, 1, 3, 1).expand(1, 1, 3, 3)
    with torch.no_grad():
        y = model.conv(x + rows).mean((2, 3))
        table = torch.zeros(6, 4, dtype=torch.float64)
        table[:3, 0], table[3:] = x[0, 0, :, 0] / 3, 1
        expected = (y / torch.tensor([1., 10**0.5]).double(),
                    model.fc(table).softmax(1))
    torch.testing.assert_close(given[0], expected[0], rtol=1e-7, atol=0)
    torch.testing.assert_close(given[1], expected[1], rtol=1e-15, atol=0)


def test_what_is_written_into_keeps_its_type():
    kept = torch.zeros(3)
    with DoublePrecision():
        kept[torch.tensor([0, 2])] = torch.ones(2).double() / 3
        kept.add_(torch.ones(3).double())
    assert kept.dtype == torch.float32
    torch.testing.assert_close(kept, torch.tensor([4 / 3, 1., 4 / 3]))


def test_outside_nothing_changes():
    model = Positions().eval()
    with in_its_precision(model):
        assert torch.ones(2).dtype == torch.float32
    with in_its_precision(model.double()):
        assert torch.ones(2).float().dtype == torch.float64
        assert torch.tensor([0.5]).dtype == torch.float64
        assert torch.tensor([1]).dtype == torch.int64
    assert torch.ones(2).float().dtype == torch.float32


def rounding():
    return (torch.backends.cudnn.allow_tf32,
            torch.get_float32_matmul_precision())


@pytest.fixture
def tf32():
    """TF32 is allowed everywhere."""
    before = rounding()
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision('high')
    yield
    torch.backends.cudnn.allow_tf32 = before[0]
    torch.set_float32_matmul_precision(before[1])


def test_both_forms_run_without_tf32(tf32):
    seen = []

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron()

        def forward(self, x):
            seen.append(rounding())
            return self.neuron(x)

    model = Net().eval()
    check = EqualityCheck(model, to_spike_train(model))
    check.compare(torch.rand(1, 3))
    assert set(seen) == {(False, 'highest')} and len(seen) >= 2
    assert rounding() == (True, 'high')
    with pytest.raises(KeyError), in_its_precision(model):
        raise KeyError
    assert rounding() == (True, 'high')


def test_a_compiled_op_gets_one_type():
    expose_mmcv_ops()
    features = torch.rand(1, 1, 4, 4).double()
    rois = torch.tensor([[0., 0, 0, 4, 4]])  # float32, from outside
    with DoublePrecision():
        pooled = ops.RoIAlign(2)(features, rois)
    expected = ops.RoIAlign(2)(features, rois.double())
    assert pooled.dtype == torch.float64
    torch.testing.assert_close(pooled, expected, rtol=1e-15, atol=0)


def test_the_proof_runs_on_a_model_that_makes_float32():

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 3, 1)
            self.fire = SFANeuron(4)
            self.fc = nn.Linear(3, 2)

        def forward(self, x):
            place = torch.linspace(0, 1, 5, dtype=torch.float32)
            x = self.fire(3 * self.stem(x.float()) + place)
            return self.fc(x.mean((2, 3)).to(torch.float32))

    torch.manual_seed(0)
    model = Net().eval().double()
    check = EqualityCheck(model, to_spike_train(model))
    check.compare(torch.rand(2, 1, 5, 5))
    assert check.report.equal and check.report.total_neurons == 150
    assert not check.report.silent
