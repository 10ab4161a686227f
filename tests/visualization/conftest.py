from types import SimpleNamespace

import pytest

from mmsnn.hardware import estimate
from mmsnn.trace import OpRecord, OpTrace


def spiking(module, kind='conv', op='convolution', **changes):
    fields = {
        'spiking': True,
        'dense_ops': 1000,
        'sops': 200,
        'in_spikes': 20,
        'in_elements': 100,
        'max_spikes': 4
    }
    fields.update(changes)
    return OpRecord(module, kind, op, **fields)


@pytest.fixture
def trace():
    """A stem, two blocks with an attention product, and an interpolation."""
    return OpTrace([
        OpRecord(
            'net.stem', 'conv', 'convolution', dense_ops=500, macs=500,
            note='the input is the image'),
        OpRecord(
            'net.neuron', 'neuron', 'neuron', neurons=100, max_spikes=4,
            spikes=[20, 10, 5, 5]),
        spiking('net.0.conv'),
        spiking('net.1.fc', 'linear', 'linear', in_spikes=130),
        spiking(
            'net.1.attn', 'matmul', 'bmm', accumulator_max=1000,
            note='additions of integers'),
        OpRecord('head.up', 'interpolate', 'bilinear', macs=64),
    ], images=2)


@pytest.fixture
def energy(trace):
    return estimate(trace)


@pytest.fixture
def equality():
    """Makes an equality report of one row."""

    def build(dtype='float64', differences=0, neurons=1000,
              output_error=0.):
        row = SimpleNamespace(
            module='net.neuron',
            neurons=neurons,
            differences=differences,
            max_difference=min(differences, 1),
            training_spikes=400,
            spike_train_spikes=400 + differences)
        return SimpleNamespace(
            dtype=dtype,
            images=2,
            rows=[row],
            total_neurons=neurons,
            total_differences=differences,
            never_ran=[],
            silent=[],
            output_error=output_error,
            outputs_agree=output_error <= 1e-9)

    return build
