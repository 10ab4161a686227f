import numpy as np
import pytest

from mmsnn.visualization import Objects, PictureSample, plot_detections

CLASSES = ['ground', 'digit']
PALETTE = [(0, 0, 0), (200, 100, 0)]
IMAGE = np.full((6, 8, 3), 100, np.uint8)
MASK = np.zeros((1, 6, 8), bool)
MASK[0, 1:3, 2:5] = True
ONE = Objects(np.array([[2., 1, 5, 3]]), np.array([1]), np.array([0.87]), MASK)
NONE = Objects(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_boxes_masks_and_labels():
    truth = Objects(ONE.boxes, ONE.labels)
    sample = PictureSample(IMAGE, truth, ONE, ONE, 'scene')
    axes = plot_detections([sample, sample], CLASSES, PALETTE).axes
    assert [a.get_title() for a in axes[:3]] == [
        'ground truth', 'training form', 'spike-train form']
    assert axes[0].get_ylabel() == 'scene' and len(axes) == 6
    assert texts(axes[0]) == ['digit'] and texts(axes[2]) == ['digit 0.87']
    box, = axes[1].patches
    # The box covers exactly the pixels of the mask: columns 2..4, rows 1..2.
    assert box.get_bbox().extents.tolist() == [1.5, 0.5, 4.5, 2.5]
    assert np.allclose(box.get_edgecolor()[:3], np.divide(PALETTE[1], 255))
    shown = np.asarray(axes[1].images[0].get_array())
    assert np.allclose(shown[~MASK[0]], 100 / 255)
    mixed = (0.55 * np.array([100] * 3) + 0.45 * np.array(PALETTE[1])) / 255
    assert np.allclose(shown[MASK[0]], mixed)
    # The annotation has no mask; and the image itself is left as it is.
    assert np.allclose(axes[0].images[0].get_array(), 100 / 255)
    assert (IMAGE == 100).all()
    assert axes[2].get_xlabel() == (
        'boxes differ by up to 0 px, scores by up to 0,\nmasks in 0 pixels')


@pytest.mark.parametrize('training, spikes, words', [
    (ONE, NONE, 'other objects'),
    (NONE, NONE, 'no object in both'),
    (ONE, Objects(ONE.boxes + [0, 0, 0, .25], ONE.labels, ONE.scores - .5),
     'boxes differ by up to 0.25 px, scores by up to 0.5'),
    (ONE, Objects(ONE.boxes, ONE.labels, ONE.scores, MASK[..., ::-1]),
     'boxes differ by up to 0 px, scores by up to 0, masks in 4 pixels'),
    (None, ONE, ''),
])
def test_differences_in_words(training, spikes, words):
    sample = PictureSample(IMAGE, None, training, spikes)
    axes = plot_detections([sample], CLASSES).axes
    assert axes[2].get_xlabel().replace('\n', ' ') == words
    assert texts(axes[0]) == ['not measured']


def test_bad_input():
    with pytest.raises(ValueError, match='no samples'):
        plot_detections([], CLASSES)
    wrong = Objects(ONE.boxes, np.array([2]))
    with pytest.raises(ValueError, match='label 2 is no class; valid are 0 '
                       'to 1'):
        plot_detections([PictureSample(IMAGE, wrong)], CLASSES)
