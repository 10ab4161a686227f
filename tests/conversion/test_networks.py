"""The networks that a mapper gets from whole models."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict

from mmsnn.conversion import to_spike_train
from mmsnn.hardware import network_from_trace


def network(model, batch):
    with to_spike_train(model.eval(), 'counts') as spiking:
        spiking(batch)
    return network_from_trace(spiking.trace), spiking.trace


def test_every_addition_of_a_model_is_in_the_network(classifiers,
                                                     make_images):
    net, trace = network(classifiers(4), make_images(2))
    total = sum(p.total_sops for p in net.projections)
    assert total == pytest.approx(trace.per_image('sops'), rel=1e-12)
    assert sum(p.macs for p in net.projections) == pytest.approx(
        trace.per_image('macs'))
    spikes = sum(p.total_spikes for p in net.populations)
    assert spikes == pytest.approx(sum(r.emitted for r in trace) / 2)
    assert not any(p.name.startswith('unknown') for p in net.populations)


def test_attention(classifiers, make_images):
    net, _ = network(classifiers(4), make_images(1))
    products = [p for p in net.projections if p.op == 'matmul']
    first, second = products[:2]
    at = first.name
    assert (first.source, first.operand, first.target) == (
        f'{at}.key_neuron', f'{at}.value_neuron', at)
    assert (second.source, second.operand, second.target) == (
        f'{at}.query_neuron', at, f'{at}.attention_neuron')
    assert not first.static and 'activations' in first.reason
    held = net[at]
    assert held.kind == 'real' and held.state_bits < 32


def test_a_detector(detectors, make_detection_data):
    with to_spike_train(detectors('mask_rcnn'), 'counts') as spiking:
        spiking.test_step(make_detection_data((64, 96)))
    net, trace = network_from_trace(spiking.trace), spiking.trace
    assert not any('unknown' in p.name for p in net.populations)
    assert sum(p.total_sops for p in net.projections) == pytest.approx(
        trace.per_image('sops'))
    # 20 proposals; what is done with boxes is no part of the network.
    assert net['roi_head.bbox_head.shared_fcs.1.neuron'].shape == (32, 20)
    # Regions depend on what the first head returns.
    assert any(p.source == 'rpn_head.rpn_cls' and
               p.name.startswith('roi_head.bbox_roi_extractor')
               for p in net.projections)


def test_windows_of_a_segmentor(segmentor):
    from mmseg.structures import SegDataSample
    model = copy.deepcopy(segmentor)
    sample = SegDataSample(metainfo=dict(
        ori_shape=(32, 64), img_shape=(32, 64), pad_shape=(32, 64),
        padding_size=[0, 0, 0, 0]))
    image = torch.randint(0, 256, (3, 32, 64), dtype=torch.uint8)

    def run(mode, images):
        model.test_cfg = mode
        with to_spike_train(model, 'counts') as spiking:
            for x in images:
                spiking.test_step(
                    dict(inputs=[x], data_samples=[copy.deepcopy(sample)]))
        return network_from_trace(spiking.trace), spiking.trace

    net, trace = run(
        ConfigDict(mode='slide', crop_size=(32, 32), stride=(16, 16)), [image])
    sample.set_metainfo(dict(
        ori_shape=(32, 32), img_shape=(32, 32), pad_shape=(32, 32)))
    one, _ = run(ConfigDict(mode='whole'),
                 [image[..., x:x + 32] for x in (0, 16, 32)])
    assert (net.runs, one.runs) == (3, 1)
    assert [(p.name, p.kind, p.shape) for p in net.populations] == [
        (p.name, p.kind, p.shape) for p in one.populations]
    for ours, other in zip(net.projections, one.projections):
        assert (ours.name, ours.geometry, ours.synapses) == (
            other.name, other.geometry, other.synapses)
        assert ours.total_sops == pytest.approx(other.total_sops)
    assert 3 * sum(p.total_sops for p in net.projections) == pytest.approx(
        trace.per_image('sops'))
