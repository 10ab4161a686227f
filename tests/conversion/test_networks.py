"""The networks that a mapper gets from whole models."""

import pytest

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
