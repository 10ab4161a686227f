"""Digit scenes in COCO form, against masks worked out by hand."""

import numpy as np
from pycocotools import mask as coco_mask

from mmsnn.datasets.digits.render import DigitPool, Scene, SceneSpec
from mmsnn.datasets.digits.write import coco_annotations, fill_holes

# A ring of 5x4 pixels with a hole of 3x2, and in the hole one pixel of
# another digit.
RING = np.array([
    [0, 0, 0, 0, 0, 0, 0],
    [0, 1, 1, 1, 1, 1, 0],
    [0, 1, 0, 0, 0, 1, 0],
    [0, 1, 0, 2, 0, 1, 0],
    [0, 1, 1, 1, 1, 1, 0],
    [0, 0, 0, 0, 0, 0, 0],
], np.uint8)


def test_holes_are_filled_but_for_other_digits():
    expected = np.zeros_like(RING)
    expected[1:5, 1:6] = 1
    expected[3, 3] = 0
    assert np.array_equal(fill_holes(RING, 1), expected)


def test_annotations_of_a_scene():
    scene = Scene(np.zeros((6, 7, 3), np.uint8), RING, (0, 7), (20, 31))
    ring, dot = coco_annotations(scene)
    assert (ring['category_id'], ring['digit']) == (1, 20)
    assert ring['bbox'] == [1, 1, 5, 4]
    assert ring['area'] == 5 * 4 - 1
    assert ring['iscrowd'] == 0
    assert (dot['category_id'], dot['digit']) == (8, 31)
    assert dot['bbox'] == [3, 3, 1, 1]
    assert dot['area'] == 1


def test_polygons_rasterise_to_the_masks():
    # pycocotools is the oracle: what it draws is what evaluation will see.
    pool = DigitPool(seed=0)
    for number in range(20):
        scene = pool.render(SceneSpec(), 'train', number)
        for i, annotation in enumerate(coco_annotations(scene)):
            shape = scene.instances.shape
            drawn = coco_mask.decode(
                coco_mask.merge(
                    coco_mask.frPyObjects(annotation['segmentation'],
                                          *shape)))
            # Other digits inside a hole stay in the polygon.
            seen = fill_holes(scene.instances, i + 1)
            differ = (drawn != seen) & (scene.instances == 0)
            assert differ.sum() == 0
            assert drawn[scene.instances == i + 1].all()
