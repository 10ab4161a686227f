import pytest

from mmsnn.trace import OpTrace
from mmsnn.visualization import (
    plot_energy_accuracy,
    plot_firing_rate,
    plot_rate_by_layer,
)


def test_firing_rate():
    axes, = plot_firing_rate([0.4, 0.2]).axes
    line, = axes.lines
    assert line.get_xydata().tolist() == [[1, 0.4], [2, 0.2]]
    assert axes.get_ylim()[0] == 0


def test_firing_rates_by_name():
    axes, = plot_firing_rate({'SFA': [0.4, 0.2], 'LIF': [0.3] * 4}).axes
    assert [line.get_label() for line in axes.lines] == ['SFA', 'LIF']
    assert list(axes.get_xticks()) == [1, 2, 3, 4]


@pytest.mark.parametrize('rates', [[], {}, {'SFA': []}])
def test_no_firing_rate(rates):
    with pytest.raises(ValueError, match='no firing rates'):
        plot_firing_rate(rates)


def test_rate_by_layer_shows_spiking_synapses_only(trace):
    axes, = plot_rate_by_layer(trace).axes
    heights = {
        bars.get_label(): [bar.get_height() for bar in bars]
        for bars in axes.containers
    }
    assert heights == {'conv': [0.2], 'linear': [1.3], 'matmul': [0.2]}
    assert axes.get_ylim()[1] == pytest.approx(1.3 * 1.1)


def test_rate_by_layer_without_spikes():
    with pytest.raises(ValueError, match='no spiking synapse'):
        plot_rate_by_layer(OpTrace(images=1))


def test_points_of_several_chips_are_not_joined():
    points = [dict(label='D=4', chip=chip, energy_mj=1., metric='top1',
                   value=70.) for chip in ('cmos45', 'mine')]
    with pytest.raises(ValueError, match='need one chip in common, got '
                       r"\['cmos45', 'mine'\]"):
        plot_energy_accuracy(points)
    axes = plot_energy_accuracy(points[:1]).axes[0]
    assert axes.get_xlabel() == 'mJ per image (cmos45)'
