"""Firing while input still arrives, and how wrong that is."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import (
    EqualityCheck,
    run_free_running,
    to_spike_train,
)
from mmsnn.layers import SpikeConv2d, SpikeLinear
from mmsnn.neurons import SFANeuron

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=2, scale=1.)


class Two(nn.Module):
    """Two neurons with given weights onto one."""

    def __init__(self, weights, neuron=None):
        super().__init__()
        keys = dict(neuron or {}, max_spikes=2, scale=1.)
        self.first, self.second = SFANeuron(**keys), SFANeuron(**keys)
        self.fc = nn.Linear(2, 1)
        self.fc.weight.data = torch.tensor([weights])
        self.fc.bias.data.zero_()

    def forward(self, x):
        return self.second(self.fc(self.first(x)))


def both(model, x):
    check = EqualityCheck(model.eval(), to_spike_train(model, 'free_running'))
    return (*check.compare(x), check.report)


def test_by_hand():
    # One spike at sub-step 1 brings +1, the second of two, at 2, -0.75 more:
    # lossless 1 * 1 + 2 * -0.75 = -0.5, no spike. Free running sees 0.25 by
    # sub-step 1 (below 1/2), then -0.5: no spike either.
    lossless, free, report = both(Two([1., -0.75]), torch.tensor([[1., 2.]]))
    assert lossless.item() == free.item() == 0 and report.equal
    # With -0.25: 0.75 by sub-step 1 fires; 0.5 at the end would fire too.
    lossless, free, _ = both(Two([1., -0.25]), torch.tensor([[1., 2.]]))
    assert lossless.item() == free.item() == 1
    # With -0.4: 0.6 fires, but only 0.2 have arrived at the end.
    lossless, free, report = both(Two([1., -0.4]), torch.tensor([[1., 2.]]))
    assert (lossless.item(), free.item()) == (0, 1)
    assert report.total_differences == 1
    row = {r.module: r for r in report.rows}['second']
    assert (row.training_spikes, row.spike_train_spikes) == (0, 1)
    assert report.output_error > 0 and report.images == 1


def test_its_trace_by_hand():
    # As above: the second neuron fires once though it should not, which
    # causes 3 additions more.
    model = nn.Sequential(Two([1., -0.4]), nn.Linear(1, 3)).eval()
    run = run_free_running(model, torch.tensor([[1., 2.]]))
    for trace, second in ((run.lossless, 0), (run.trace, 1)):
        found = {r.module: r for r in trace if r.kind == 'neuron'}
        assert found['0.first'].spikes == [2, 1]
        assert found['0.second'].emitted == second
        sops = {r.module: r.sops for r in trace if r.kind == 'linear'}
        assert sops == {'0.fc': 3, '1': 3 * second}
    assert run.equality.total_differences == 1
    # The model itself fires as before.
    assert not model[0](torch.tensor([[1., 2.]])).any()


def test_its_trace_is_the_lossless_one_where_nothing_differs():
    torch.manual_seed(0)
    model = SpikeConv2d(2, 3, 3, padding=1, neuron=NEURON).eval()
    run = run_free_running(model, 3 * torch.rand(2, 2, 6, 6))
    assert list(run.trace) == list(run.lossless)
    assert run.trace.images == 2 and run.trace.total('sops') > 0


def test_too_late_to_fire_twice():
    # 0 by sub-step 1, 2 at the end: two spikes, but one sub-step is left.
    lossless, free, _ = both(Two([-1., 1.5]), torch.tensor([[1., 2.]]))
    assert lossless.item() == 2
    assert free.item() == 2  # 0.5 by sub-step 1 fires
    lossless, free, _ = both(Two([-1.2, 1.6]), torch.tensor([[1., 2.]]))
    assert (lossless.item(), free.item()) == (2, 1)


def test_where_all_input_arrives_at_once_nothing_differs():
    torch.manual_seed(0)
    model = SpikeConv2d(2, 3, 3, neuron=NEURON).double()
    x = 3 * torch.rand(3, 2, 6, 6).double()
    lossless, free, report = both(model, x)
    assert report.equal and report.output_error < 1e-12
    assert free.shape == lossless.shape


def test_membranes_are_kept_between_time_steps():
    model = Two([1., -0.4], dict(timesteps=2))
    # The lossless 0.2 of step 1 stays; free running leaves 0.2 - 1.
    x = torch.tensor([[1., 2.], [1., 0.]])

    class Timed(nn.Module):

        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x.flatten(0, 1).flatten(1))

    timed = Timed().eval()
    spiking = to_spike_train(timed, 'free_running')
    data = x.view(1, 2, 2, 1, 1)
    assert timed(data).flatten().tolist() == [0, 1]
    spiking(data)
    check = EqualityCheck(timed, spiking)
    check.compare(data)
    rows = {r.module: r for r in check.report.rows}
    assert rows['model.first'].differences == 0
    assert rows['model.second'].differences == 2
    assert rows['model.second'].spike_train_spikes == 1


def test_a_classifier(classifiers, make_images):
    model = classifiers(4)
    check = EqualityCheck(model, to_spike_train(model, 'free_running'))
    lossless, free = check.compare(make_images(2))
    report = check.report
    assert free.shape == lossless.shape and report.images == 2
    first = report.rows[0]
    assert first.differences == 0  # the image is there at sub-step 1
    assert report.total_differences > 0.01 * report.total_neurons
    assert 0 < report.output_error < float('inf')


def test_what_has_no_row_per_image(detectors, make_detection_data):
    spiking = to_spike_train(detectors('mask_rcnn'), 'free_running')
    with pytest.raises(ValueError, match=r"roi_head.*'free_running' needs one "
                       'row for each'):
        spiking.test_step(make_detection_data((64, 96)))


def test_a_one_stage_detector(detectors, make_detection_data):
    spiking = to_spike_train(detectors('fcos'), 'free_running')
    samples = spiking.test_step(make_detection_data((64, 96), (64, 96)))
    assert [s.img_id for s in samples] == [0, 1]


def test_no_trace():
    spiking = to_spike_train(SpikeLinear(1, 1, neuron=NEURON), 'free_running')
    with pytest.raises(ValueError, match="records no op trace.*'counts'"):
        spiking.start_recording()
