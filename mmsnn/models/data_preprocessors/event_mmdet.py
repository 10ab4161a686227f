"""mmdet's preprocessor on frames of events. This module needs mmdet."""

from mmdet.models.data_preprocessors import DetDataPreprocessor

from .folded import FoldedFrames


class EventDetDataPreprocessor(FoldedFrames, DetDataPreprocessor):
    """mmdet's preprocessor on frames of events, (T, C, H, W).

    mmdet's own takes the second and third side for height and width: it
    notes a ``pad_shape`` of (C, H), by which heads leave out most anchors,
    and with a ``pad_size_divisor`` it pads channels.

    Args:
        pad_size_divisor (int): Height and width are padded with zeros, at the
            bottom and on the right, to a multiple of this. Defaults to 1.
        boxtype2tensor (bool): As in mmdet. Defaults to True.
        non_blocking (bool): As in mmdet. Defaults to False.

    Example:
        >>> import torch
        >>> from mmdet.structures import DetDataSample
        >>> prepare = EventDetDataPreprocessor(pad_size_divisor=32)
        >>> batch = dict(inputs=[torch.ones(5, 2, 240, 304)],
        ...              data_samples=[DetDataSample()])
        >>> batch = prepare(batch)
        >>> batch['inputs'].shape, batch['data_samples'][0].pad_shape
        (torch.Size([1, 5, 2, 256, 320]), (256, 320))
    """

    def __init__(self,
                 pad_size_divisor: int = 1,
                 boxtype2tensor: bool = True,
                 non_blocking: bool = False) -> None:
        super().__init__(
            pad_size_divisor=pad_size_divisor,
            boxtype2tensor=boxtype2tensor,
            non_blocking=non_blocking)
