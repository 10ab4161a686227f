"""Whether the bytes of an image file are a whole image."""

import re
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps

import numpy as np

#: Whether what is decoded are labels, which are read as bytes.
READS_LABELS: ContextVar[bool] = ContextVar('READS_LABELS', default=False)

_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
# The next marker in the data of a JPEG: no stuffed byte, no restart.
_JPEG_MARKER = re.compile(rb'\xff[\x01-\xcf\xd8-\xfe]', re.DOTALL)
_PNG_START = b'\x89PNG\r\n\x1a\n'
_PNG_END = b'\x00\x00\x00\x00IEND\xaeB`\x82'


class ImageFileError(ValueError):
    """An image file that can not be read; the message names it."""


def fault_of(content: bytes) -> str:
    r"""What is wrong with the bytes of an image file, if that is seen.

    Args:
        content (bytes): The whole file.

    Returns:
        str: Nothing for an image that goes to its end, and for one of a
        format that does not say where that is.

    Example:
        >>> fault_of(b'')
        'it has 0 bytes'
        >>> fault_of(b'\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR')
        'it is cut off'
    """
    if not content:
        return 'it has 0 bytes'
    if content.startswith(_JPEG_START):
        whole = content.endswith(_JPEG_END) or _jpeg_ends(content)
    elif content.startswith(_PNG_START):
        whole = content.endswith(_PNG_END) or _png_ends(content)
    elif content.startswith(b'BM'):
        whole = int.from_bytes(content[2:6], 'little') <= len(content)
    elif content.startswith(b'RIFF') and content[8:12] == b'WEBP':
        whole = int.from_bytes(content[4:8], 'little') + 8 <= len(content)
    else:
        whole = True
    return '' if whole else 'it is cut off'


def _jpeg_ends(content: bytes) -> bool:
    """Whether the end of a JPEG comes, which something may lie behind."""
    at = 2
    while found := _JPEG_MARKER.search(content, at):
        marker, at = found[0][1], found.end()
        if marker == _JPEG_END[1]:
            return True
        if 0xc0 <= marker <= 0xfe and marker != 0xd8:  # has a length
            at += int.from_bytes(content[at:at + 2], 'big')
    return False


def _png_ends(content: bytes) -> bool:
    """Whether the last chunk of a PNG comes, and is whole."""
    at = len(_PNG_START)
    while at + 12 <= len(content):
        if content[at:at + 12] == _PNG_END:
            return True
        at += 12 + int.from_bytes(content[at:at + 4], 'big')
    return False


def checking_images(imfrombytes: Callable) -> Callable:
    """A decoder that refuses what is no whole image.

    Args:
        imfrombytes (Callable): ``mmcv.imfrombytes``, which gives None or half
            an image instead.

    Returns:
        Callable: The same, but for an :class:`ImageFileError`.

    Example:
        >>> import mmcv
        >>> checking_images(mmcv.imfrombytes)(b'no image')
        Traceback (most recent call last):
        mmsnn.data_files.images.ImageFileError: it is no image that can be
        decoded
    """
    import cv2
    refused = 'it is no image that can be decoded'

    @wraps(imfrombytes)
    def checked(content, *args, **kwargs):
        fault = fault_of(bytes(content))
        if fault:
            raise ImageFileError(fault)
        try:
            image = imfrombytes(content, *args, **kwargs)
        except (cv2.error, EOFError, OSError, SyntaxError) as error:
            raise ImageFileError(refused) from error
        if image is None:
            raise ImageFileError(refused)
        if READS_LABELS.get():
            _check_bytes(image)
        return image

    return checked


def _check_bytes(labels: np.ndarray) -> None:
    if labels.dtype != np.uint8 and labels.size and not (
            0 <= labels.min() and labels.max() <= 255):
        raise ImageFileError(
            f'its labels go from {labels.min()} to {labels.max()}, but are '
            'read as 0 to 255')
