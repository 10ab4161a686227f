import sys

import numpy as np
import pytest

from mmsnn.hardware.operations.estimate import estimate_operations
from mmsnn.hardware.plots.operations import (
    plot_energy_by_layer,
    plot_energy_totals,
)
from mmsnn.hardware.plots.style import MOST_GROUPS, group_modules
from mmsnn.trace import OpRecord, OpTrace


def widths(axes):
    """Bar lengths of a panel, by legend label."""
    return {
        bars.get_label(): [bar.get_width() for bar in bars]
        for bars in axes.containers
    }


def labels(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def flat_trace(number):
    """A model without nested modules; op i causes i + 1 additions."""
    return OpTrace([
        OpRecord(
            f'op{i}', 'linear', 'linear', spiking=True, dense_ops=100,
            sops=i + 1, in_spikes=1, in_elements=9, max_spikes=4)
        for i in range(number)
    ], images=1)


def test_groups_are_as_deep_as_they_may_be():
    modules = ['a.0.x', 'a.0.y', 'a.1.x', 'b.0']
    assert group_modules(modules, 4) == modules
    assert group_modules(modules, 3) == ['a.0', 'a.0', 'a.1', 'b.0']
    assert group_modules(modules, 2) == ['a', 'a', 'a', 'b']
    assert group_modules(modules, 1) == ['a', 'a', 'a', 'b']


def test_energy_by_layer_shows_each_layer_and_never_mixes_precisions(energy):
    figure = plot_energy_by_layer(energy)
    fp32, int8 = figure.axes
    assert [axes.get_title() for axes in (fp32, int8)] == [
        'FP32 weights', 'INT8 weights']
    assert labels(fp32) == [x.module for x in energy.layers]
    assert widths(fp32) == {
        'spiking form': [x.energy_mj['spiking_fp32'] for x in energy.layers],
        'float twin': [x.energy_mj['float_twin_fp32'] for x in energy.layers]
    }
    assert set(widths(int8)) == {'spiking form', 'quantised twin'}


def test_energy_by_layer_adds_up_groups():
    records = [
        OpRecord(
            f'net.stage{i % 2}.op{i}', 'linear', 'linear', spiking=True,
            dense_ops=100, sops=10, in_spikes=1, in_elements=9, max_spikes=4)
        for i in range(80)
    ]
    figure = plot_energy_by_layer(
        estimate_operations(OpTrace(records, images=1)))
    assert labels(figure.axes[0]) == ['net.stage0', 'net.stage1']
    assert widths(figure.axes[0])['spiking form'] == pytest.approx(
        [40 * 10 * 0.9e-9] * 2)


def test_energy_by_layer_of_a_flat_model_shows_the_costliest():
    figure = plot_energy_by_layer(estimate_operations(flat_trace(30)))
    assert labels(figure.axes[0]) == [
        f'op{i}' for i in range(30 - MOST_GROUPS, 30)]
    assert figure.get_supxlabel() == 'the 24 costliest of 30 layers'


@pytest.mark.parametrize('sops, scale', [(100, 'linear'), (1, 'log')])
def test_energy_by_layer_is_logarithmic_where_values_are_far_apart(
        sops, scale):
    trace = flat_trace(1)
    next(iter(trace)).sops = sops
    axes = plot_energy_by_layer(estimate_operations(trace)).axes[0]
    assert axes.get_xscale() == scale
    assert scale in axes.get_xlabel()


def test_energy_totals_stack_causes(energy):
    fp32, int8 = plot_energy_totals(energy).axes
    stacked = np.sum(list(widths(fp32).values()), axis=0)
    assert stacked == pytest.approx([
        energy[key].energy_mj
        for key in ('spiking_fp32', 'formula_fp32', 'float_twin_fp32')
    ])
    assert widths(int8)['synapse ACs'] == pytest.approx([9e-9, 0])
    texts = [text.get_text() for text in fp32.texts]
    assert f'{energy.comparisons[0].ratio:.2g} x twin' in texts[0]
    assert 'twin' not in texts[1] + texts[2]


def test_bars_are_the_upper_end_of_ranges(trace):
    energy = estimate_operations(trace, 'cmos45_memory')
    axes = plot_energy_totals(energy).axes[0]
    total = energy['spiking_fp32'].energy_mj
    assert f'{total:.3g} mJ' in axes.texts[0].get_text()
    assert np.sum(list(widths(axes).values()), axis=0)[0] == pytest.approx(
        total.high)


def test_plots_leave_pyplot_alone(energy):
    def figures():
        pyplot = sys.modules.get('matplotlib.pyplot')
        return pyplot.get_fignums() if pyplot else []

    before = figures()
    plot_energy_totals(energy)
    plot_energy_by_layer(energy)
    assert figures() == before
