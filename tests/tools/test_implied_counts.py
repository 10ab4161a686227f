"""tools/analysis_tools/implied_counts.py"""

import sys
from pathlib import Path

import pytest

from mmsnn.trace import OpRecord, OpTrace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools' / 'analysis_tools'))
    import implied_counts
    yield implied_counts
    del sys.modules['implied_counts']


def test_a_row_by_hand(tool):
    # 10 MACs of 4.6 pJ, and 45 pJ left: 50 additions on 100 operations. An
    # interpolation does 1000 MACs beside.
    records = [
        OpRecord('stem', 'conv', 'convolution', dense_ops=10, macs=10),
        OpRecord('n', 'neuron', 'neuron', neurons=4, spikes=[1]),
        OpRecord('fc', 'linear', 'mm', spiking=True, dense_ops=100,
                 in_elements=4, max_spikes=4),
        OpRecord('up', 'interpolate', 'upsample', macs=10**9)
    ]
    trace = OpTrace(records, 1)
    keys = list(trace._records)
    trace.connect(keys[0], ['input'])
    trace.connect(keys[1], [keys[0]])
    assert tool.row('mine', trace, 91e-9) == (
        '| mine | 9.1e-08 | 0.50 | 4 | 0.00 | interpolation 4.6 |')


def test_a_config_without_a_reported_energy(tool, monkeypatch):
    config = (ROOT / 'configs' / 'espikeformer' /
              'espikeformer-2.7m_sfa4_8xb256-200e_in1k.py')
    monkeypatch.setattr(sys, 'argv', ['implied_counts.py', str(config)])
    with pytest.raises(SystemExit, match='no power for .*2.7m'):
        tool.main()
