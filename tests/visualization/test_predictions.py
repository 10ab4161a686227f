import numpy as np
import pytest

from mmsnn.visualization import (
    PictureSample,
    colorize,
    plot_predictions,
)

PALETTE = [(0, 0, 0), (200, 0, 0)]
CLASSES = ['ground', 'digit']
IMAGE = np.full((2, 3, 3), 7, np.uint8)
TRUTH = np.array([[0, 1, 255], [0, 0, 1]])
TRAINING = np.array([[0, 1, 1], [0, 0, 1]])
SPIKES = np.array([[0, 1, 1], [1, 1, 1]])


def sample(**changes):
    fields = {
        'image': IMAGE,
        'truth': TRUTH,
        'training': TRAINING,
        'spike_train': SPIKES,
        'name': 'scene'
    }
    fields.update(changes)
    return PictureSample(**fields)


def shown(axes):
    return np.asarray(axes.images[0].get_array())


def test_rows_of_image_truth_and_both_predictions():
    figure = plot_predictions([sample(), sample(name='other')], CLASSES,
                              PALETTE)
    assert len(figure.axes) == 8
    assert [axes.get_title() for axes in figure.axes[:4]] == [
        'image', 'ground truth', 'training form', 'spike-train form']
    assert figure.axes[4].get_ylabel() == 'other'
    assert np.array_equal(shown(figure.axes[0]), IMAGE)
    assert shown(figure.axes[1])[0].tolist() == [
        [0, 0, 0], [200, 0, 0], [128, 128, 128]]
    assert np.array_equal(shown(figure.axes[3]), colorize(SPIKES, PALETTE))
    assert figure.axes[3].get_xlabel() == 'differing pixels: 2'


def test_legend_names_classes_and_ignored_pixels():
    def entries(figure):
        return [text.get_text() for text in figure.legends[0].get_texts()]

    with_ignored = plot_predictions([sample()], CLASSES, PALETTE)
    assert entries(with_ignored) == ['ground', 'digit', 'ignored']
    without = plot_predictions([sample(truth=TRAINING)], CLASSES, PALETTE)
    assert entries(without) == ['ground', 'digit']


def test_missing_maps_are_named():
    figure = plot_predictions([sample(spike_train=None)], CLASSES, PALETTE)
    texts = [text.get_text() for text in figure.axes[3].texts]
    assert texts == ['not measured']
    assert figure.axes[3].get_xlabel() == ''


def test_another_ignore_index():
    assert colorize(np.array([[0, -1]]), PALETTE, ignore_index=-1).tolist() \
        == [[[0, 0, 0], [128, 128, 128]]]


@pytest.mark.parametrize('value', [2, -1, 254])
def test_class_without_colour(value):
    with pytest.raises(ValueError, match=rf'class map holds \[{value}\]; '
                       'valid are 0 to 1 and 255'):
        colorize(np.array([[0, value]]), PALETTE)


def test_bad_input():
    with pytest.raises(ValueError, match='no samples'):
        plot_predictions([], CLASSES, PALETTE)
    with pytest.raises(ValueError, match='1 classes but 2 colours'):
        plot_predictions([sample()], ['ground'], PALETTE)
    with pytest.raises(
            ValueError,
            match=r"truth map of sample 'scene' has shape \(3, 2\), its "
            r'image \(2, 3\)'):
        plot_predictions([sample(truth=TRUTH.T)], CLASSES, PALETTE)
