from typing import List, Optional

import torch
from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.registry import MODELS as CLASSIFIERS
from mmpretrain.structures import DataSample
from torch import nn

from mmsnn.registry import MODELS

from ..heads import DistillationClsHead


@MODELS.register_module()
class DistilledImageClassifier(ImageClassifier):
    """mmpretrain's ``ImageClassifier``, taught by another classifier.

    The teacher is frozen and in eval mode, sees the same preprocessed images,
    moves to the device of the model, and is in none of its parameters,
    buffers and checkpoints. It is used in training only.

    Args:
        backbone (dict): As in ``ImageClassifier``.
        teacher (dict): Config of any classifier of mmpretrain, e.g.
            ``dict(type='mmpretrain.TimmClassifier', pretrained=True,
            model_name='caformer_b36.sail_in22k_ft_in1k')``.
        **kwargs: Other keys of ``ImageClassifier``. The head must be a
            :class:`DistillationClsHead`.

    Raises:
        ValueError: If the head is of another type, or the teacher knows
            another number of classes.

    Example:
        >>> tiny = dict(embed_dims=[8, 16, 24, 32], depths=[1] * 5)
        >>> backbone = dict(type='mmsnn.ESpikeFormer', arch=tiny)
        >>> head = dict(num_classes=3, in_channels=32)
        >>> neck = dict(type='mmpretrain.GlobalAveragePooling')
        >>> model = DistilledImageClassifier(
        ...     backbone, neck=neck,
        ...     head=dict(type='mmsnn.DistillationClsHead', **head),
        ...     teacher=dict(
        ...         type='mmpretrain.ImageClassifier', backbone=backbone,
        ...         neck=neck,
        ...         head=dict(type='mmpretrain.LinearClsHead', **head)))
        >>> samples = [DataSample().set_gt_label(1)]
        >>> list(model.loss(torch.rand(1, 3, 32, 32), samples))
        ['loss', 'loss_kd']
    """

    def __init__(self, backbone: dict, *, teacher: dict, **kwargs) -> None:
        super().__init__(backbone, **kwargs)
        if not isinstance(self.head, DistillationClsHead):
            raise ValueError('head must be a mmsnn.DistillationClsHead, '
                             f'but is a {type(self.head).__name__}')
        built = CLASSIFIERS.build(teacher).eval().requires_grad_(False)
        # In a tuple it is no submodule.
        self._teacher = (built, )
        self._check_classes(_num_classes(built))

    @property
    def teacher(self) -> nn.Module:
        """The teacher; no submodule of the model."""
        return self._teacher[0]

    def _check_classes(self, number: Optional[int]) -> None:
        if number not in (None, self.head.num_classes):
            raise ValueError(f'teacher knows {number} classes, but '
                             f'head.num_classes is {self.head.num_classes}')

    def _apply(self, fn, *args, **kwargs):
        """What moves the model moves the teacher."""
        self.teacher._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def init_weights(self) -> None:
        """Initialise the model, and load the teacher's checkpoint."""
        super().init_weights()
        # What a teacher has loaded by itself would be lost otherwise.
        if any(map(_has_checkpoint, self.teacher.modules())):
            self.teacher.init_weights()

    def loss(self, inputs: torch.Tensor,
             data_samples: List[DataSample]) -> dict:
        """Losses of both heads.

        Args:
            inputs (Tensor): Preprocessed images of shape (N, C, H, W).
            data_samples (list[DataSample]): With labels or label scores.

        Returns:
            dict[str, Tensor]: ``loss`` and ``loss_kd``.
        """
        with torch.no_grad():
            score = self.teacher(inputs)
        self._check_classes(score.shape[1])
        return self.head.loss(
            self.extract_feat(inputs), data_samples, teacher_score=score)


def _num_classes(classifier: nn.Module) -> Optional[int]:
    """Number of classes that a classifier says it knows."""
    for part in ('head', 'model'):  # mmpretrain's own, and those of timm
        number = getattr(
            getattr(classifier, part, None), 'num_classes', None)
        if isinstance(number, int):
            return number
    return None


def _has_checkpoint(module: nn.Module) -> bool:
    configs = getattr(module, 'init_cfg', None) or []
    configs = [configs] if isinstance(configs, dict) else configs
    return any(c.get('type') == 'Pretrained' for c in configs)
