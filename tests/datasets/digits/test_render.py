"""Digit scenes: seeded, disjoint between splits, labelled truly."""

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from mmsnn.datasets.digits.render import DigitPool, SceneSpec, _place


@pytest.fixture(scope='module')
def pool():
    return DigitPool(seed=0)


def test_splits_share_no_handwritten_digit(pool):
    train, val = pool.indices['train'], pool.indices['val']
    assert sorted([*train, *val]) == list(range(1797))
    # Four fifths of each class: 178 zeros, so 142 of them are for training.
    zeros = load_digits().target[train] == 0
    assert zeros.sum() == 142
    for number in range(20):
        assert set(pool.render(SceneSpec(), 'val', number).digits) <= set(val)


def test_a_scene_depends_on_seed_split_and_number_only(pool):
    def pixels(spec, split, number):
        return pool.render(spec, split, number).image.tobytes()

    first = pixels(SceneSpec(), 'train', 3)
    assert first == pixels(SceneSpec(train=7, val=1), 'train', 3)
    assert first != pixels(SceneSpec(), 'train', 4)
    assert first != pixels(SceneSpec(), 'val', 3)
    assert first != pixels(SceneSpec(seed=1), 'train', 3)


def test_scenes_hold_one_to_max_digits(pool):
    spec = SceneSpec(size=48, digit_height=(16, 24), max_digits=3)
    counts = []
    for number in range(40):
        scene = pool.render(spec, 'train', number)
        counts.append(len(scene.labels))
        assert scene.image.shape == (48, 48, 3)
        # Every digit is visible, and nothing else is in the map.
        assert np.unique(scene.instances).tolist() == list(
            range(counts[-1] + 1))
        assert len(set(scene.digits)) == counts[-1]
    assert set(counts) == {1, 2, 3}


def test_digits_overlap_little():
    # The left half of a scene of 20x20 is taken by a digit of 200 pixels,
    # of which 190 (95 %) have to stay visible.
    instances = np.zeros((20, 20), np.uint8)
    instances[:, :10] = 1
    rng = np.random.default_rng(0)
    for _ in range(20):
        ink = _place(rng, np.ones((10, 10), np.float32), instances, [200])
        assert ink.sum() == 100
        assert (ink[:, :10] > 0).sum() <= 10
    # Any place of a glyph of 20x12 covers at least 20x2 = 40 pixels of it.
    glyph = np.ones((20, 12), np.float32)
    assert _place(rng, glyph, instances, [200]) is None


def test_labels_match_what_is_drawn(pool):
    # An oracle that knows nothing of the renderer: nearest neighbours on
    # the 8x8 digits, cropped to their ink, recognises the drawn masks.
    def normalise(mask):
        rows, columns = np.where(mask > 0.4)
        crop = mask[rows.min():rows.max() + 1,
                    columns.min():columns.max() + 1]
        return cv2.resize(
            crop.astype(np.float32), (8, 8),
            interpolation=cv2.INTER_AREA).ravel()

    digits = load_digits()
    train = pool.indices['train']
    knn = KNeighborsClassifier(3).fit(
        [normalise(digits.images[i] / 16) for i in train],
        digits.target[train])
    spec = SceneSpec(max_digits=1)
    scenes = [pool.render(spec, 'val', number) for number in range(150)]
    found = knn.predict([normalise(scene.instances) for scene in scenes])
    truth = [scene.labels[0] for scene in scenes]
    assert np.mean(found == truth) > 0.8


def test_a_digit_contrasts_with_what_is_under_it(pool):
    spec = SceneSpec(max_digits=1)
    for number in range(30):
        scene = pool.render(spec, 'train', number)
        mask = (scene.instances == 1).astype(np.uint8)
        core = cv2.erode(mask, np.ones((3, 3)))
        ring = cv2.dilate(mask, np.ones((7, 7))) - cv2.dilate(
            mask, np.ones((3, 3)))
        inside = scene.image[core == 1].mean(0)
        outside = scene.image[ring == 1].mean(0)
        assert np.linalg.norm(inside - outside) > 50


@pytest.mark.parametrize('parameters, words', [
    (dict(size=0), 'size .* at least 16, got 0'),
    (dict(train=1.5), 'train .* integer of at least 1, got 1.5'),
    (dict(max_digits=True), 'max_digits'),
    (dict(seed=-1), 'seed'),
    (dict(digit_height=(10, 70)), r'digit_height .* size \(64\)'),
    (dict(digit_height=30), 'digit_height'),
])
def test_bad_parameters_are_named(parameters, words):
    with pytest.raises(ValueError, match=words):
        SceneSpec(**parameters)
