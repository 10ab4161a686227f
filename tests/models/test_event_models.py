"""Whole models of events over time as spike trains: D sub-steps in each of T
time steps, between which the chosen reset and decay are at work."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.conversion.spikes.forms import SpikingForm
from mmsnn.hardware import estimate
from mmsnn.neurons import is_spiking

SFA = 'mmsnn.SFANeuron'
#: T x D, with each reset, IF and LIF.
NEURONS = {
    'sfa-2x3-soft': dict(type=SFA, max_spikes=3, timesteps=2),
    'sfa-4x2-hard-leaky': dict(type=SFA, max_spikes=2, timesteps=4,
                               reset='hard', decay=0.75),
    'sfa-4x1-soft': dict(type=SFA, max_spikes=1, timesteps=4),
    'lif-4x1-hard': dict(type='mmsnn.LIFNeuron', timesteps=4),
    'lif-2x3-soft': dict(type='mmsnn.LIFNeuron', max_spikes=3, timesteps=2,
                         reset='soft', surrogate='rectangle'),
}
BACKBONES = ('ESpikeFormer', 'MetaSpikeFormer')


def awake(model, frames, gain):
    """Norms under which every neuron fires now and then."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(.7 * gain, 1.5 * gain)
            module.bias.data.uniform_(0, 1.5 * gain)
            module.momentum = None  # the mean over all batches
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model.backbone(frames)
    return model.eval()


def events_of(timesteps, n=2, side=(20, 24)):
    """Frames of events: counts, most of them 0."""
    return torch.poisson(torch.full((n, timesteps, 2, *side), .4)).double()


@pytest.fixture
def build():
    """``build(backbone, neuron)``: a tiny classifier of events in float64,
    and frames."""

    def get(backbone, neuron):
        torch.manual_seed(0)
        model = MODELS.build(dict(
            type='mmpretrain.ImageClassifier',
            data_preprocessor=dict(type='mmsnn.EventDataPreprocessor'),
            backbone=dict(
                type=f'mmsnn.{backbone}', in_channels=2, neuron=neuron,
                arch=dict(embed_dims=[8, 8, 16, 16], num_heads=2,
                          depths=[0, 1, 1, 1, 1])),
            neck=dict(type='mmpretrain.GlobalAveragePooling'),
            head=dict(
                type='mmsnn.SpikingModule', mean_over_time=True,
                neuron=dict(neuron, scale=1.),
                module=dict(type='mmpretrain.LinearClsHead', num_classes=5,
                            in_channels=16))))
        frames = events_of(neuron['timesteps'])
        gain = 2. if neuron['type'].endswith('LIFNeuron') else 1.
        return awake(model.double(), frames, gain), frames

    return get


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('name', NEURONS)
@pytest.mark.parametrize('backbone', BACKBONES)
def test_no_count_differs(build, backbone, name, form):
    model, frames = build(backbone, NEURONS[name])
    check = EqualityCheck(model, to_spike_train(model, form))
    expected, actual = check.compare(frames)
    assert expected.shape == (len(frames), 5)  # a mean over time
    assert check.report.total_differences == 0, check.report
    assert [row.module for row in check.report.rows] == [
        k for k, m in model.named_modules() if is_spiking(m)]
    assert sum(row.training_spikes > 0 for row in check.report.rows) >= (
        0.9 * len(check.report.rows))
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


def trains_by_hand(neuron, inputs):
    """Spikes in each time step and sub-step, (T, D, N, ...): one IF neuron
    with soft reset within a time step, the reset of the config between."""
    state, trains = torch.zeros_like(inputs[:, 0]), []
    half = .5 if type(neuron).__name__ == 'SFANeuron' else 0.
    for u in inputs.unbind(1):
        if neuron.decay_input:
            v = state + (u - state) * (1 - neuron.decay)
        else:
            v = neuron.decay * state + u
        left, fired = v / neuron.threshold + half, torch.zeros_like(v)
        steps = []
        for _ in range(neuron.max_spikes):
            spike = (left >= 1).double()
            left = left - spike
            fired = fired + spike
            steps.append(spike)
        trains.append(torch.stack(steps))
        if neuron.reset == 'soft':
            state = v - neuron.threshold * fired
        else:
            state = torch.where(fired > 0, torch.zeros_like(v), v)
    return torch.stack(trains)


@pytest.mark.parametrize('name', NEURONS)
def test_every_neuron_fires_the_train_worked_out_by_hand(build, name):
    model, frames = build('ESpikeFormer', NEURONS[name])
    timesteps, depth = frames.shape[1], model.backbone.stages[1].blocks[
        0].sep_conv.expand.conv.neuron.max_spikes
    spiking = to_spike_train(model)
    compared = []

    def watch(form, args, out):
        membranes = torch.as_tensor(args[0]).unflatten(0, (-1, timesteps))
        expected = trains_by_hand(form.neuron, membranes)
        actual = torch.stack([s.unflatten(0, (-1, timesteps))
                              for s in out.parts])  # (D, N, T, ...)
        assert len(out.parts) == depth
        assert torch.equal(actual.movedim(2, 0), expected), form.path
        compared.append(form.path)

    for module in spiking.module.modules():
        if isinstance(module, SpikingForm):
            module.register_forward_hook(watch)
    spiking(frames)
    assert len(compared) == sum(map(is_spiking, model.modules()))


def test_another_reset_is_reported(build):
    """The proof can fail: a neuron that forgets between time steps."""
    model, frames = build('ESpikeFormer', NEURONS['sfa-2x3-soft'])
    spiking = to_spike_train(model)
    for module in spiking.module.modules():
        if isinstance(module, SpikingForm):
            module.neuron.discharge = lambda v, counts: 0 * v
    check = EqualityCheck(model, spiking)
    check.compare(frames)
    assert check.report.total_differences > 0


def test_trace_and_energy_with_time(build):
    model, frames = build('ESpikeFormer', NEURONS['sfa-2x3-soft'])
    with to_spike_train(model) as spiking, torch.no_grad():
        spiking(frames)
    trace = spiking.trace
    assert len(trace.firing_rate()) == 2 * 3
    neuron = next(r for r in trace if r.kind == 'neuron')
    counts = 3 * model.backbone.stages[1].downsample.conv.neuron(
        model.backbone.stages[0](frames.flatten(0, 1)))
    # Spikes of both time steps, in the sub-steps up to each count.
    by_hand = [int((x >= d).sum())
               for x in counts.unflatten(0, (-1, 2)).unbind(1)
               for d in (1, 2, 3)]
    assert neuron.spikes == by_hand
    # Two frames of two samples through 7x7 weights, 2 to 4 channels, 10 x 12
    # places: real counts of events, so multiply-accumulates.
    stem = next(r for r in trace if r.kind == 'conv')
    assert (stem.macs, stem.sops) == (2 * 2 * 49 * 2 * 4 * 120, 0)
    # 16 inputs of the head: each spike adds to 5 outputs.
    last = next(r for r in trace if r.module == 'head.fc')
    assert last.sops == 5 * last.in_spikes > 0
    # An addition is 0.9 pJ, a multiply-accumulate 4.6 pJ.
    energy = estimate(trace)['spiking_fp32'].energy_mj
    synapses = (.9 * trace.total('sops') + 4.6 * trace.total('macs')) / 2e9
    assert synapses < energy < 1.5 * synapses


def test_logits_are_a_mean_over_time_and_learn(build):
    model, frames = build('ESpikeFormer', NEURONS['sfa-2x3-soft'])
    samples = [DataSample().set_gt_label(i) for i in range(2)]
    batch = model.data_preprocessor(
        dict(inputs=frames, data_samples=samples), training=True)
    assert model.extract_feat(frames)[0].shape == (4, 16)
    assert len(model.double().predict(frames, samples)) == 2
    loss = model(batch['inputs'].double(), samples, mode='loss')['loss']
    loss.backward()
    assert model.backbone.stages[0].downsample.conv.weight.grad.abs().sum() > 0


def test_another_number_of_frames_is_named(build):
    model, _ = build('ESpikeFormer', NEURONS['sfa-2x3-soft'])
    with pytest.raises(ValueError, match='has 3 time steps, but neuron.time'):
        model.backbone(events_of(3))
    with pytest.raises(ValueError, match=r'frames \(N, T, C, H, W\)'):
        model.backbone(events_of(2)[0, 0])


@pytest.mark.parametrize('name', ['sfa-2x3-soft', 'lif-4x1-hard'])
def test_a_detector_of_events(name):
    pytest.importorskip('mmdet')
    from mmdet.structures import DetDataSample
    neuron = NEURONS[name]
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(
        type='mmdet.FCOS',
        data_preprocessor=dict(type='mmsnn.EventDetDataPreprocessor',
                               pad_size_divisor=16),
        backbone=dict(
            type='mmsnn.ESpikeFormer', in_channels=2, neuron=neuron,
            arch=dict(embed_dims=[8, 8, 16, 16], num_heads=2,
                      depths=[0, 0, 0, 1, 0]), out_indices=(2, 4)),
        neck=dict(type='mmsnn.SpikingModule', neuron=neuron,
                  module=dict(type='mmdet.FPN', in_channels=[8, 16],
                              out_channels=8, num_outs=2)),
        bbox_head=dict(
            type='mmsnn.SpikingModule', neuron=neuron, mean_over_time=True,
            module=dict(type='mmdet.FCOSHead', num_classes=2, in_channels=8,
                        feat_channels=8, stacked_convs=1, strides=[8, 16],
                        regress_ranges=((-1, 24), (24, 1e8)),
                        norm_cfg=dict(type='GN', num_groups=2))),
        test_cfg=dict(nms_pre=50, score_thr=0., max_per_img=5,
                      nms=dict(type='nms', iou_threshold=.5))))
    timesteps = neuron['timesteps']
    frames = events_of(timesteps, side=(30, 40))
    awake(model.double(), frames, 2. if 'lif' in name else 1.)
    samples = [DetDataSample(metainfo=dict(
        img_shape=(30, 40), ori_shape=(30, 40), scale_factor=(1., 1.)))
        for _ in range(2)]
    batch = model.data_preprocessor(
        dict(inputs=list(frames), data_samples=samples))
    assert batch['inputs'].shape == (2, timesteps, 2, 32, 48)
    inputs = batch['inputs'].double()
    check = EqualityCheck(model, to_spike_train(model))
    (scores, *_), _ = check.compare(inputs)
    assert scores[0].shape == (2, 2, 4, 6)  # of samples, not of frames
    assert check.report.total_differences == 0, check.report
    assert sum(row.training_spikes for row in check.report.rows) > 0
    found = model.float().predict(inputs.float(), samples)
    assert [len(sample.pred_instances) for sample in found] == [5, 5]
