import numpy as np
import pytest

from mmsnn.visualization import plot_image_result


def test_image_energy_and_texts(energy):
    drawn = np.zeros((20, 30, 3), np.uint8)
    drawn[5] = 255
    long = ' '.join(['sub-step'] * 40)
    figure = plot_image_result(
        drawn, energy, {'time': ['7 ms', long], 'size': ['small']}, 'cat.png')
    image, fp32, int8 = [
        axes for part in (figure, *figure.subfigs) for axes in part.axes
    ][:3]
    assert image.get_title() == 'cat.png'
    assert np.array_equal(image.images[0].get_array(), drawn)
    # The formula has no bar; the bars of a form sum to its energy.
    for axes, keys in ((fp32, ('spiking_fp32', 'float_twin_fp32')),
                       (int8, ('spiking_int8', 'quantised_twin_int8'))):
        sums = [
            sum(bars[y].get_width() for bars in axes.containers)
            for y in range(2)
        ]
        assert sums == pytest.approx([energy[key].energy_mj for key in keys])
    lines = figure.subfigs[1].subfigs[1].texts[0].get_text().split('\n')
    assert lines[:2] == ['Time', '  7 ms']
    assert lines[2].startswith('  sub-step sub-step')
    assert max(map(len, lines)) <= 104
    assert ' '.join(' '.join(lines).split()) == f'Time 7 ms {long} Size small'


def test_an_image_of_another_shape_is_refused(energy):
    with pytest.raises(ValueError, match=r'\(H, W, 3\), but has \(20, 30\)'):
        plot_image_result(np.zeros((20, 30)), energy, {})
