"""A classifier that learns from a teacher."""

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
    buffers and checkpoints. It is used in training only, and built when
    training begins (by :meth:`init_weights`, or the first :meth:`loss`): for
    inference nothing of it has to be there.

    Args:
        backbone (dict): As in ``ImageClassifier``.
        teacher (dict): Config of any classifier of mmpretrain, e.g.
            ``dict(type='mmpretrain.TimmClassifier', pretrained=True,
            model_name='caformer_b36.sail_in22k_ft_in1k')``.
        **kwargs: Other keys of ``ImageClassifier``. The head must be a
            :class:`DistillationClsHead`.

    Raises:
        ValueError: If the head is of another type; or, once it is built, if
            the teacher knows another number of classes.

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
        self._teacher_config = teacher
        self._teacher = ()  # in a tuple it is no submodule

    @property
    def teacher(self) -> nn.Module:
        """The teacher, which is no submodule of the model."""
        if not self._teacher:
            built = CLASSIFIERS.build(self._teacher_config)
            self._check_classes(_num_classes(built))
            # What a teacher has loaded by itself would be lost otherwise.
            if any(map(_has_checkpoint, built.modules())):
                built.init_weights()
            own = next(self.parameters())
            self._teacher = (built.eval().requires_grad_(False).to(own), )
        return self._teacher[0]

    def __getstate__(self) -> dict:
        """A copy (an average of weights, a converted model) builds its own
        teacher if it ever needs one."""
        return dict(self.__dict__, _teacher=())

    def _check_classes(self, number: int | None) -> None:
        if number not in (None, self.head.num_classes):
            raise ValueError(f'teacher knows {number} classes, but '
                             f'head.num_classes is {self.head.num_classes}')

    def _apply(self, fn, *args, **kwargs):
        """What moves the model moves the teacher."""
        for teacher in self._teacher:
            teacher._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def init_weights(self) -> None:
        """Initialise the model, and build the teacher."""
        super().init_weights()
        _ = self.teacher  # what is wrong with it is said before training

    def loss(self, inputs: torch.Tensor,
             data_samples: list[DataSample]) -> dict:
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


def _num_classes(classifier: nn.Module) -> int | None:
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
