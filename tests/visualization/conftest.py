from types import SimpleNamespace

import pytest


@pytest.fixture
def equality():
    """Makes an equality report of one row."""

    def build(dtype='float64', differences=0, neurons=1000,
              output_error=0., ties=0):
        row = SimpleNamespace(
            module='net.neuron',
            neurons=neurons,
            differences=differences,
            max_difference=min(differences, 1),
            ties=ties,
            training_spikes=400,
            spike_train_spikes=400 + differences)
        return SimpleNamespace(
            dtype=dtype,
            images=2,
            rows=[row],
            total_neurons=neurons,
            total_differences=differences,
            total_ties=ties,
            not_compared=[],
            never_ran=[],
            silent=[],
            output_error=output_error,
            outputs_agree=output_error <= 1e-9)

    return build
