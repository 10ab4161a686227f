"""tools/benchmarks/event_loader.py"""

import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools' / 'benchmarks'


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import event_loader
    yield event_loader
    del sys.modules['event_loader'], sys.modules['timing']


@pytest.mark.parametrize('loading, steps, waited', [
    ([9., 1., 1., 1.], [2., 2., 2., 2.], 0.),
    # Batches at 1, 4, 7; steps end at 1 + 2, then 4 + 2: each waits 1.
    ([1., 3., 3.], [2., 2., 2.], 2.),
    # The second is late by 4; what is saved up serves the slow third.
    ([1., 6., 1., 1., 5.], [2., 4., 4., 4., 4.], 4.)])
def test_waiting_worked_out_by_hand(benchmark, loading, steps, waited):
    assert benchmark.waiting(loading, steps) == waited
