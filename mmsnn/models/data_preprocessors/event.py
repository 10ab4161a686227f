"""Preprocessors of frames of events."""

from mmengine.model import BaseDataPreprocessor
from mmpretrain.models.utils import ClsDataPreprocessor

from mmsnn.registry import MODELS

from .folded import FoldedFrames


@MODELS.register_module()
class EventDataPreprocessor(FoldedFrames, ClsDataPreprocessor):
    """mmpretrain's preprocessor on frames of events, (N, T, C, H, W).

    Counts of events are not normalised: the norm behind a model's first
    convolution does that. Mixup, CutMix and ResizeMix of mmpretrain treat all
    time steps of a sample alike, so that CutMix is the mixing of NDA
    (Li et al., ECCV 2022).

    Args:
        pad_size_divisor (int): Height and width are padded with zeros, at the
            bottom and on the right, to a multiple of this. Defaults to 1.
        num_classes (int, optional): Number of classes; needed by mixing.
        batch_augments (dict, optional): ``augments`` and ``probs`` of
            mmpretrain's ``RandomBatchAugment``. Models take it as
            ``train_cfg``.
        to_onehot (bool): Give samples one-hot labels. Defaults to False;
            mixing turns it on.

    Example:
        >>> import torch
        >>> prepare = EventDataPreprocessor(pad_size_divisor=16)
        >>> frames = torch.ones(3, 8, 2, 34, 34)
        >>> prepare(dict(inputs=frames))['inputs'].shape
        torch.Size([3, 8, 2, 48, 48])
    """

    def __init__(self,
                 pad_size_divisor: int = 1,
                 num_classes: int | None = None,
                 batch_augments: dict | None = None,
                 to_onehot: bool = False) -> None:
        super().__init__(
            pad_size_divisor=pad_size_divisor,
            num_classes=num_classes,
            batch_augments=batch_augments,
            to_onehot=to_onehot)


@MODELS.register_module(name='EventDetDataPreprocessor')
def event_det_data_preprocessor(**kwargs) -> BaseDataPreprocessor:
    """Build mmdet's preprocessor for frames of events.

    Args:
        **kwargs: Of :class:`.event_mmdet.EventDetDataPreprocessor`.

    Returns:
        BaseDataPreprocessor: The preprocessor.

    Raises:
        ModuleNotFoundError: mmdet is not installed.

    Example:
        In the config of a detector::

            data_preprocessor=dict(
                type='mmsnn.EventDetDataPreprocessor', pad_size_divisor=32)
    """
    from .event_mmdet import EventDetDataPreprocessor
    return EventDetDataPreprocessor(**kwargs)
