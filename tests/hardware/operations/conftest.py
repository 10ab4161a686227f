import pytest

from mmsnn.conversion import to_spike_train


@pytest.fixture
def record():
    """``record(model, *batches)``: the op trace of what a model ran."""

    def run(model, *batches):
        with to_spike_train(model.eval(), 'counts') as spiking:
            for x in batches:
                spiking(x)
        return spiking.trace

    return run
