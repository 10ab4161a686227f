"""Pictures and videos of frames of events."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mmsnn.visualization.event_frames import (
    BOX,
    BRIGHTER,
    DARKER,
    colour_frames,
    draw_boxes,
    plot_event_frames,
    write_picture,
    write_video,
)

FRAMES = np.zeros((3, 2, 6, 9), np.float32)
FRAMES[1, 0, 2, 3] = 2
FRAMES[1, 1, 4, 8] = 2
FRAMES[2, 1, 0, 0] = 1


def test_colours():
    images = colour_frames(FRAMES, full=2.)
    assert images.shape == (3, 6, 9, 3) and images.dtype == np.uint8
    assert (images[0] == 255).all()
    assert tuple(images[1, 2, 3]) == DARKER
    assert tuple(images[1, 4, 8]) == BRIGHTER
    # Half of full colour, between white and red.
    assert images[2, 0, 0].tolist() == [round(255 - (255 - c) / 2)
                                        for c in BRIGHTER]
    signed = FRAMES[:, 1:] - FRAMES[:, :1]
    assert (colour_frames(signed, full=2.) == images).all()
    assert (colour_frames(FRAMES * 0) == 255).all()
    with pytest.raises(ValueError, match=r'1 or 2 channels, got \(3, 3'):
        colour_frames(np.zeros((3, 3, 6, 9)))


def test_boxes():
    images = colour_frames(FRAMES)
    draw_boxes(images, [[1, 1, 4, 5]])
    drawn = (images[0] == BOX).all(-1)
    assert drawn.sum() == 10 and drawn[1:5, 1:4].sum() == 10


def test_sheet(tmp_path):
    figure = plot_event_frames(colour_frames(FRAMES), 'a digit', list('abc'))
    assert figure.get_suptitle() == 'a digit'
    assert [axes.get_title() for axes in figure.axes] == ['a', 'b', 'c']
    write_picture(tmp_path / 'new' / 'a.png', colour_frames(FRAMES))
    assert Image.open(tmp_path / 'new' / 'a.png').size[0] > 400
    many = plot_event_frames(colour_frames(np.tile(FRAMES, (4, 1, 1, 1))))
    assert sum(axes.get_visible() for axes in many.axes) == 12


def test_videos(tmp_path):
    images = colour_frames(FRAMES)
    write_picture(tmp_path / 'a.gif', images, 'digit')
    with Image.open(tmp_path / 'a.gif') as video:
        assert video.n_frames == 3 and video.info['duration'] == 100
        # 43 times as large, below a line of text, and even.
        assert video.size == (43 * 9 + 1, 43 * 6 + 24)
    write_video(tmp_path / 'a.mp4', images, fps=20.)
    video = cv2.VideoCapture(str(tmp_path / 'a.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert video.get(cv2.CAP_PROP_FPS) == 20
    page = [video.read()[1] for _ in range(3)][1]
    middle = page[24 + int(2.5 * 43), int(3.5 * 43), ::-1].astype(int)
    assert np.abs(middle - DARKER).max() < 30
    with pytest.raises(ValueError, match='videos are .mp4, .gif'):
        write_video(tmp_path / 'a.avi', images)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.gif', 'a.mp4']
