"""Events of an image before a moving camera.

An ideal sensor, as in ESIM (Rebecq et al., "ESIM: an Open Event Camera
Simulator", CoRL 2018): a pixel fires an event whenever the logarithm of its
brightness has changed by a threshold since its last event.
"""

from dataclasses import asdict, dataclass

import cv2
import numpy as np

from mmsnn.datasets.events import make_events

# Added to the brightness, 0 to 255, before the logarithm is taken: dark greys
# are then hardly told apart.
_DARKNESS = 20.
# Blur of the optics, pixels.
_BLUR = 0.7
# Corners of the path, fractions of the amplitude: N-MNIST's triangle.
_CORNERS = np.array([[0., 0.], [0.5, 1.], [1., 0.], [0., 0.]])


@dataclass(frozen=True)
class SaccadeSpec:
    """The parameters of the camera: its movement and its pixels.

    The camera makes three saccades, along a triangle back to where it
    began, as it did for N-MNIST (Orchard et al., "Converting Static Image
    Datasets to Spiking Neuromorphic Datasets Using Saccades", 2015).

    Args:
        amplitude (float): Sides of the square around the triangle, pixels.
            Defaults to 4.
        duration (int): Length of a saccade, us. Defaults to 100,000.
        threshold (float): Least change of the logarithm of the brightness
            that is an event. Defaults to 0.35.
        mismatch (float): Standard deviation of the pixels' thresholds,
            fraction of ``threshold``. Defaults to 0.05.
        noise_rate (float): Events of noise per second and pixel. Defaults to
            0.5.

    Raises:
        ValueError: A value is out of range.

    Example:
        >>> SaccadeSpec(amplitude=2.).total
        300000
    """

    amplitude: float = 4.
    duration: int = 100_000
    threshold: float = 0.35
    mismatch: float = 0.05
    noise_rate: float = 0.5

    def __post_init__(self):
        for key, least, most in (('amplitude', 0, 64),
                                 ('duration', 1000, 2_000_000),
                                 ('threshold', 0.01, 5), ('mismatch', 0, 0.3),
                                 ('noise_rate', 0, 1000)):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(
                    value, (int, float)) or not least <= value <= most:
                raise ValueError(f'{key} of the saccades must be a number '
                                 f'from {least} to {most}, got {value!r}')
        object.__setattr__(self, 'duration', int(self.duration))

    @property
    def total(self) -> int:
        """Length of a recording, us."""
        return self.duration * (len(_CORNERS) - 1)

    def to_dict(self) -> dict:
        """Give the fields as JSON values.

        Returns:
            dict: Each field by its name.
        """
        return asdict(self)

    def path(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the camera is, every quarter of a pixel or finer.

        Returns:
            tuple[np.ndarray, np.ndarray]: Times (us), (K,), and places (x and
            y, pixels), (K, 2); the corners of the triangle are among them.
        """
        steps = max(2, int(np.ceil(self.amplitude * 5)))
        share = np.arange(1, steps + 1)[:, None] / steps
        places = [_CORNERS[:1]] + [
            a + share * (b - a) for a, b in zip(_CORNERS, _CORNERS[1:])]
        places = np.concatenate(places) * self.amplitude
        return np.linspace(0, self.total, len(places)), places


def record(image: np.ndarray, spec: SaccadeSpec,
           rng: np.random.Generator) -> np.ndarray:
    """Record an image with a moving camera.

    Args:
        image (np.ndarray): RGB, (H, W, 3), uint8.
        spec (SaccadeSpec): The parameters.
        rng (np.random.Generator): For mismatch and noise.

    Returns:
        np.ndarray: Events in order of time, (N,), 0 <= t < ``spec.total``.

    Example:
        >>> image = np.zeros((8, 8, 3), np.uint8)
        >>> still = SaccadeSpec(amplitude=0, noise_rate=0)
        >>> len(record(image, still, np.random.default_rng(0)))
        0
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), _BLUR)
    threshold = spec.threshold * np.maximum(
        1 + spec.mismatch * rng.standard_normal(grey.shape), 0.2)
    times, places = spec.path()
    before = reference = _seen(grey, places[0])
    found = []
    for k in range(1, len(times)):
        now = _seen(grey, places[k])
        found.append(crossings(before, now, reference, threshold,
                               times[k - 1], times[k]))
        reference = found[-1][-1]
        before = now
    t, pixel, p = (np.concatenate([f[i] for f in found]) for i in range(3))
    extra = rng.poisson(spec.noise_rate * spec.total / 1e6 * grey.size)
    t = np.concatenate([t, rng.uniform(0, spec.total, extra)])
    pixel = np.concatenate([pixel, rng.integers(0, grey.size, extra)])
    p = np.concatenate([p, rng.integers(0, 2, extra)])
    t = np.minimum(t.astype('i8'), spec.total - 1)
    order = np.argsort(t, kind='stable')
    y, x = np.divmod(pixel[order], grey.shape[1])
    return make_events(t[order], x, y, p[order])


def crossings(before: np.ndarray, now: np.ndarray, reference: np.ndarray,
              threshold: np.ndarray, start: float, stop: float) -> tuple:
    """Events of all pixels while their values change linearly.

    Args:
        before (np.ndarray): Values at ``start``, (H, W).
        now (np.ndarray): Values at ``stop``, (H, W).
        reference (np.ndarray): Values at each pixel's last event, (H, W).
        threshold (np.ndarray): Changes that are an event, (H, W).
        start (float): Time, us.
        stop (float): Time, us.

    Returns:
        tuple: Times (us), pixels (indices into the flat image) and
        polarities, (N,) each, and the new ``reference``.

    Example:
        >>> one = np.ones((1, 1))
        >>> t, pixel, p, reference = crossings(
        ...     0 * one, 2.5 * one, 0 * one, one, 0., 100.)
        >>> t.tolist(), p.tolist(), reference.tolist()
        ([40.0, 80.0], [1, 1], [[2.0]])
    """
    number = np.trunc((now - reference) / threshold).astype(int)
    flat = np.abs(number).ravel()
    pixel = np.repeat(np.arange(flat.size), flat)
    # The number of each event among those of its pixel, from 1 on.
    nth = np.arange(1, len(pixel) + 1) - np.repeat(
        np.cumsum(flat) - flat, flat)
    sign = np.sign(number).ravel()[pixel]
    level = reference.ravel()[pixel] + sign * nth * threshold.ravel()[pixel]
    first, change = before.ravel()[pixel], (now - before).ravel()[pixel]
    share = np.clip((level - first) / change, 0, 1)
    return (start + share * (stop - start), pixel, (sign > 0).astype(int),
            reference + number * threshold)


def _seen(grey: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Logarithm of the brightness, the camera moved by ``place``."""
    height, width = grey.shape
    matrix = np.array([[1, 0, -place[0]], [0, 1, -place[1]]])
    moved = cv2.warpAffine(grey, matrix, (width, height),
                           flags=cv2.INTER_LINEAR,
                           borderMode=cv2.BORDER_REFLECT_101)
    return np.log(moved + _DARKNESS).astype(np.float64)
