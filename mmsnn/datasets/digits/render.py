"""Scenes of real handwritten digits on cluttered backgrounds.

The digits are the 1,797 images of 8x8 pixels inside scikit-learn
(``sklearn.datasets.load_digits``). They are enlarged with cubic
interpolation, slightly rotated and sheared, coloured, and laid over a
darker background of gradients, noise, blobs and strokes.
"""

from dataclasses import asdict, dataclass

import cv2
import numpy as np

SPLITS = ('train', 'val')
CLASSES = tuple(str(digit) for digit in range(10))
#: A colour of each class, for pictures.
PALETTE = ((230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200),
           (245, 130, 48), (145, 30, 180), (70, 240, 240), (240, 50, 230),
           (210, 245, 60), (250, 190, 212))

# Ink above this share of full ink belongs to the digit's mask.
_INK = 0.42
# Soft edge: opacity rises from 0 to 1 over this range of ink around _INK.
_EDGE = 0.3
# A digit keeps at least this share of its mask visible under later ones.
_VISIBLE = 0.95
# A digit is brighter than what is under it by at least this much, 0..255.
_CONTRAST = 70
# Range of each channel of the background and of the digits: light on dark.
_DARK = (10, 120)
_LIGHT = (90, 255)
_LUMA = np.array([0.299, 0.587, 0.114])
_PLACE_ATTEMPTS = 40


@dataclass(frozen=True)
class SceneSpec:
    """The parameters of a set of digit scenes.

    Args:
        seed (int): Seed of everything random. Defaults to 0.
        size (int): Height and width of a scene, in pixels. Defaults to 64.
        train (int): Number of training scenes. Defaults to 6000.
        val (int): Number of validation scenes. Defaults to 200.
        max_digits (int): A scene holds 1 to this many digits, fewer where
            there is no room. Defaults to 4.
        digit_height (tuple[int, int]): Least and greatest height of a
            digit's 8x8 box, in pixels. Defaults to (30, 46).
        cls_size (int): Height and width of an image of the classification
            set, which holds one digit. Defaults to 32.

    Raises:
        ValueError: A value is out of range.

    Example:
        >>> SceneSpec(size=48, digit_height=(20, 30)).train
        6000
    """

    seed: int = 0
    size: int = 64
    train: int = 6000
    val: int = 200
    max_digits: int = 4
    digit_height: tuple[int, int] = (30, 46)
    cls_size: int = 32

    def __post_init__(self):
        for key, least in dict(
                seed=0, size=16, train=1, val=1, max_digits=1,
                cls_size=16).items():
            value = getattr(self, key)
            if type(value) is not int or value < least:
                raise ValueError(f'{key} of the digit scenes must be an '
                                 f'integer of at least {least}, got '
                                 f'{value!r}')
        heights = self.digit_height
        if not (isinstance(heights, (tuple, list)) and len(heights) == 2
                and all(type(height) is int for height in heights)
                and 8 <= heights[0] <= heights[1] <= self.size):
            raise ValueError(
                'digit_height of the digit scenes must be two integers with '
                f'8 <= least <= greatest <= size ({self.size}), got '
                f'{heights!r}')
        object.__setattr__(self, 'digit_height', tuple(heights))

    def to_dict(self) -> dict:
        """Give the fields as JSON values.

        Returns:
            dict: Each field by its name.
        """
        return dict(asdict(self), digit_height=list(self.digit_height))


@dataclass(frozen=True)
class Scene:
    """A scene: its image, and where its digits are.

    Args:
        image (np.ndarray): RGB, (H, W, 3), uint8.
        instances (np.ndarray): (H, W), uint8: 0 where no digit is visible,
            i + 1 where the i-th digit is.
        labels (tuple[int, ...]): The digit, 0..9, of each instance.
        digits (tuple[int, ...]): The index of each instance's handwritten
            digit in ``load_digits``.
    """

    image: np.ndarray
    instances: np.ndarray
    labels: tuple[int, ...]
    digits: tuple[int, ...]


class DigitPool:
    """The handwritten digits, split into disjoint training and validation.

    Four fifths of each class are for training.

    Args:
        seed (int): Seed of the split.

    Example:
        >>> pool = DigitPool(seed=0)
        >>> len(pool.indices['train']), len(pool.indices['val'])
        (1438, 359)
    """

    def __init__(self, seed: int):
        # Needed only where scenes are generated, not where they are read.
        from sklearn.datasets import load_digits
        digits = load_digits()
        self.bitmaps = (digits.images / 16).astype(np.float32)
        self.labels = digits.target
        rng = np.random.default_rng([seed, 2])
        parts = dict(train=[], val=[])
        for label in range(10):
            order = rng.permutation(np.flatnonzero(self.labels == label))
            cut = round(len(order) * 0.8)
            parts['train'].extend(order[:cut])
            parts['val'].extend(order[cut:])
        self.indices = {
            split: np.sort(np.array(part)) for split, part in parts.items()
        }

    def render(self, spec: SceneSpec, split: str, number: int) -> Scene:
        """Draw the scene of a number.

        A scene depends only on the seed, the split, its number and the
        sizes, not on how many scenes are drawn.

        Args:
            spec (SceneSpec): The parameters.
            split (str): ``'train'`` or ``'val'``.
            number (int): Number of the scene within its split.

        Returns:
            Scene: The scene, with at least one digit.
        """
        rng = np.random.default_rng([spec.seed, SPLITS.index(split), number])
        count = rng.integers(1, spec.max_digits + 1)
        chosen = rng.choice(self.indices[split], count, replace=False)
        return self._compose(rng, spec.size, spec.digit_height, chosen)

    def render_single(self, spec: SceneSpec, digit: int) -> np.ndarray:
        """Draw a classification image.

        Args:
            spec (SceneSpec): The parameters.
            digit (int): Index of the handwritten digit.

        Returns:
            np.ndarray: RGB, (cls_size, cls_size, 3), uint8.
        """
        rng = np.random.default_rng([spec.seed, 3, digit])
        heights = (round(spec.cls_size * 0.7), round(spec.cls_size * 0.95))
        return self._compose(rng, spec.cls_size, heights, [digit]).image

    def _compose(self, rng, size, heights, chosen) -> Scene:
        image = _background(rng, size)
        instances = np.zeros((size, size), np.uint8)
        areas, placed = [], []
        for digit in chosen:
            glyph = _enlarge(rng, self.bitmaps[digit], heights, size)
            ink = _place(rng, glyph, instances, areas)
            if ink is None:
                continue
            opacity = np.clip((ink - _INK) / _EDGE + 0.5, 0, 1)[..., None]
            under = (image * opacity).sum((0, 1)) / opacity.sum()
            colour = _contrasting(rng, under)
            shade = 1 + 0.15 * _smooth_noise(rng, size, 3)
            image = image * (1 - opacity) + colour * shade * opacity
            placed.append(int(digit))
            instances[ink >= _INK] = len(placed)
            areas.append(int((ink >= _INK).sum()))
        noise = rng.normal(0, rng.uniform(2, 8), image.shape)
        image = np.clip(image + noise, 0, 255).round().astype(np.uint8)
        labels = tuple(int(self.labels[digit]) for digit in placed)
        return Scene(image, instances, labels, tuple(placed))


def _smooth_noise(rng, size: int, cells: int, channels: int = 1):
    """Draw noise of about unit deviation, smooth over size / cells pixels."""
    coarse = rng.normal(size=(cells, cells, channels)).astype(np.float32)
    fine = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return fine.reshape(size, size, channels)


def _background(rng, size: int) -> np.ndarray:
    """Draw a gradient with texture, blobs and strokes, (size, size, 3)."""
    angle = rng.uniform(0, 2 * np.pi)
    grid = np.mgrid[:size, :size] / size - 0.5
    ramp = grid[0] * np.sin(angle) + grid[1] * np.cos(angle) + 0.5
    ends = rng.uniform(*_DARK, (2, 3))
    image = ends[0] + ramp[..., None] * (ends[1] - ends[0])
    for cells in (3, 6, 12):
        image += rng.uniform(2, 9) * _smooth_noise(rng, size, cells, 3)
    image = np.ascontiguousarray(image, dtype=np.float32)
    for _ in range(rng.integers(0, 4)):
        layer = image.copy()
        centre = rng.integers(0, size, 2)
        axes = rng.integers(size // 20 + 1, size // 6 + 2, 2)
        cv2.ellipse(layer, [int(c) for c in centre], [int(a) for a in axes],
                    rng.uniform(0, 180), 0, 360, rng.uniform(*_DARK, 3), -1)
        image += rng.uniform(0.3, 0.7) * (layer - image)
    for _ in range(rng.integers(1, 5)):
        layer = image.copy()
        steps = rng.normal(0, size / 7, (3, 2)).cumsum(0)
        points = (rng.uniform(0, size, 2) + steps).round().astype(np.int32)
        cv2.polylines(layer, [points], False, rng.uniform(0, 160, 3),
                      int(rng.integers(1, max(2, size // 24) + 1)))
        image += rng.uniform(0.4, 0.9) * (layer - image)
    return cv2.GaussianBlur(image, (3, 3), 0)


def _enlarge(rng, bitmap, heights, limit: int) -> np.ndarray:
    """Enlarge an 8x8 digit; return its ink, cropped to where there is any."""
    scale = rng.uniform(*heights) / 8
    angle = rng.normal(0, np.pi / 24)
    turn = np.array([[np.cos(angle), -np.sin(angle)],
                     [np.sin(angle), np.cos(angle)]])
    shape = np.array([[rng.uniform(0.9, 1.15), rng.normal(0, 0.08)],
                      [0, 1]])
    matrix = scale * turn @ shape
    side = 2 * int(np.ceil(scale * 8))
    shift = side / 2 - matrix @ [3.5, 3.5]
    ink = cv2.warpAffine(
        bitmap, np.column_stack([matrix, shift]), (side, side),
        flags=cv2.INTER_CUBIC)
    ink = np.clip(ink, 0, 1)
    rows, columns = np.where(ink >= _INK - _EDGE / 2)
    ink = ink[rows.min():rows.max() + 1, columns.min():columns.max() + 1]
    return ink[:limit, :limit]


def _place(rng, glyph, instances, areas) -> np.ndarray | None:
    """Find room for a digit; return its ink on the scene, None if none."""
    room = np.array(instances.shape) - glyph.shape
    for _ in range(_PLACE_ATTEMPTS):
        top, left = (int(rng.integers(0, limit + 1)) for limit in room)
        ink = np.zeros(instances.shape, np.float32)
        ink[top:top + glyph.shape[0], left:left + glyph.shape[1]] = glyph
        free = instances[ink < _INK]
        if all((free == i + 1).sum() >= _VISIBLE * area
               for i, area in enumerate(areas)):
            return ink
    return None


def _contrasting(rng, under) -> np.ndarray:
    """Draw a colour brighter than the colour underneath, (3,)."""
    colours = rng.uniform(0, 255, (64, 3))
    gains = (colours - under) @ _LUMA
    bright = np.flatnonzero(gains >= _CONTRAST)
    return colours[bright[0] if len(bright) else gains.argmax()]
