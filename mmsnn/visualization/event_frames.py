"""Pictures and videos of frames of events."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from mmsnn.files import whole_file

#: Events that are darker and brighter, on white; apart for colour-blind
#: readers and in grey print.
DARKER, BRIGHTER = (27, 109, 143), (209, 90, 30)
#: Boxes.
BOX = (40, 140, 60)
#: Suffixes of videos.
VIDEOS = ('.mp4', '.gif')
#: Times of a sheet next to each other.
_COLUMNS = 8
#: Pixels of the shorter side of a video, at least.
_VIDEO_SIDE = 256
_GAP = 24


def colour_frames(frames: np.ndarray,
                  full: float | None = None) -> np.ndarray:
    """Colour frames: brighter events red, darker ones blue, none white.

    Args:
        frames (np.ndarray): (T, C, H, W). Two channels are darker and
            brighter; one is signed.
        full (float, optional): The value that has full colour. By default
            the 99th percentile of those that are not 0.

    Returns:
        np.ndarray: Images, (T, H, W, 3), uint8, RGB.

    Raises:
        ValueError: There are neither one nor two channels.

    Example:
        >>> frames = np.array([[[[0., 4.]], [[2., 0.]]]])
        >>> colour_frames(frames, full=4.)[0, 0].tolist()
        [[232, 172, 142], [27, 109, 143]]
    """
    if frames.ndim != 4 or frames.shape[1] not in (1, 2):
        raise ValueError('frames must be (T, C, H, W) with 1 or 2 channels, '
                         f'got {tuple(frames.shape)}')
    if frames.shape[1] == 1:
        frames = np.concatenate([-frames, frames], 1).clip(0)
    if full is None:
        some = frames[frames > 0]
        full = float(np.percentile(some, 99)) if len(some) else 1.
    share = np.clip(frames / full, 0, 1)[..., None]
    ink = 255 - np.array([DARKER, BRIGHTER])[:, None, None]
    return (255 - (share * ink).sum(1)).clip(0, 255).round().astype(np.uint8)


def plot_event_frames(images: np.ndarray,
                      title: str = '',
                      labels: Sequence[str] | None = None) -> Figure:
    """Show all times of a sample side by side.

    Args:
        images (np.ndarray): (T, H, W, 3), uint8, RGB.
        title (str): Stands above, e.g. the class.
        labels (Sequence[str], optional): Stand above each image; its number
            by default.

    Returns:
        Figure: Up to eight images in a row.

    Example:
        >>> images = np.zeros((2, 4, 4, 3), np.uint8)
        >>> figure = plot_event_frames(images, title='a hand')
        >>> [axes.get_title() for axes in figure.axes]
        ['t = 0', 't = 1']
    """
    columns = min(len(images), _COLUMNS)
    rows = -(-len(images) // columns)
    height, width = images.shape[1:3]
    side = max(1.4, 5 / columns)
    figure = Figure(
        figsize=(columns * side, rows * (side * height / width + .3) + .4),
        layout='constrained')
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for i, axes in enumerate(panels):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color('#dddddd')
        axes.set_visible(i < len(images))
        if i < len(images):
            axes.imshow(images[i], interpolation='nearest')
            axes.set_title(labels[i] if labels else f't = {i}', fontsize=7)
    figure.suptitle(title, fontsize=9)
    return figure


def draw_boxes(images: np.ndarray, boxes: Sequence) -> None:
    """Draw boxes onto images, in place.

    Args:
        images (np.ndarray): (T, H, W, 3), uint8.
        boxes (Sequence): Left, top, right and bottom, pixels, of N boxes.

    Example:
        >>> images = np.zeros((1, 4, 4, 3), np.uint8)
        >>> draw_boxes(images, [(1, 1, 4, 4)])
        >>> images[0, :, :, 1].tolist()
        [[0, 0, 0, 0], [0, 140, 140, 140], [0, 140, 0, 140], \
[0, 140, 140, 140]]
    """
    for image in images:
        for box in boxes:
            left, top, right, bottom = (round(float(side)) for side in box)
            cv2.rectangle(image, (left, top), (right - 1, bottom - 1), BOX, 1)


def write_picture(path: Path,
                  images: np.ndarray,
                  title: str = '',
                  labels: Sequence[str] | None = None,
                  fps: float = 10.) -> None:
    """Write a picture of all times, or a video, whole or not at all.

    Args:
        path (Path): A suffix among :data:`VIDEOS` means a video
            (:func:`write_video`), any other a picture
            (:func:`plot_event_frames`).
        images (np.ndarray): (T, H, W, 3), uint8, RGB.
        title (str): Stands above, e.g. the class.
        labels (Sequence[str], optional): Stand above each image; its number
            by default.
        fps (float): Images a second, of a video. Defaults to 10.

    Raises:
        OSError: OpenCV cannot write MP4 here.
    """
    if path.suffix.lower() in VIDEOS:
        write_video(path, images, fps, title, labels)
        return
    with whole_file(path) as part:
        plot_event_frames(images, title, labels).savefig(part, dpi=200)


def write_video(path: Path,
                images: np.ndarray,
                fps: float = 10.,
                title: str = '',
                labels: Sequence[str] | None = None) -> None:
    """Write images as MP4 (OpenCV) or GIF (Pillow), whole or not at all.

    Args:
        path (Path): The suffix tells which, see :data:`VIDEOS`.
        images (np.ndarray): (T, H, W, 3), RGB; small ones are enlarged.
        fps (float): Images a second. Defaults to 10.
        title (str): Written above all images.
        labels (Sequence[str], optional): Written above each image.

    Raises:
        ValueError: Another suffix.
        OSError: OpenCV cannot write MP4 here.
    """
    if path.suffix.lower() not in VIDEOS:
        raise ValueError(f'{path}: videos are {", ".join(VIDEOS)}')
    scale = -(-_VIDEO_SIDE // min(images.shape[1:3]))
    pages = []
    for i, image in enumerate(images):
        image = image.repeat(scale, 0).repeat(scale, 1)
        height, width = image.shape[:2]
        # Codecs want even sides.
        page = np.full((height + _GAP + height % 2, width + width % 2, 3), 255,
                       np.uint8)
        page[_GAP:_GAP + height, :width] = image
        text = f'{title} {labels[i] if labels else f"t = {i}"}'.strip()
        pages.append(cv2.putText(page, text, (4, 17), cv2.FONT_HERSHEY_SIMPLEX,
                                 .45, (60, 60, 60), 1, cv2.LINE_AA))
    with whole_file(path) as part:
        if path.suffix.lower() == '.gif':
            first, *rest = (Image.fromarray(page) for page in pages)
            first.save(part, save_all=True, append_images=rest,
                       duration=1000 / fps, loop=0)
            return
        writer = cv2.VideoWriter(
            str(part), cv2.VideoWriter_fourcc(*'mp4v'), fps,
            pages[0].shape[1::-1])
        if not writer.isOpened():
            raise OSError(f'{path}: this build of OpenCV cannot write MP4; '
                          'choose .gif')
        for page in pages:
            writer.write(page[..., ::-1])
        writer.release()
