"""The head of a classifier that learns from a teacher."""

import torch
from mmpretrain.models.heads import LinearClsHead
from mmpretrain.registry import MODELS as LOSSES
from mmpretrain.structures import DataSample

from mmsnn.layers import SpikeLinear, mean_over_time
from mmsnn.neurons import build_neuron, is_spiking
from mmsnn.registry import MODELS


@MODELS.register_module()
class DistillationClsHead(LinearClsHead):
    """Two linear heads, one for the labels, one for a teacher's choice.

    ``fc`` reads the mean membrane (its inputs are real values), ``fc_kd``
    reads a neuron whose output is the spike count itself. What counts is the
    mean of both. In training each has its own loss (hard distillation)::

        (1 - kd_weight) * loss(fc, label)
            + kd_weight * loss_kd(fc_kd, argmax of the teacher)

    Over time, the scores are averaged over the time steps of the neuron.

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Channels of the input.
        neuron (dict): Config of the neuron in front of ``fc_kd``. Defaults to
            SFA with 4 spikes.
        loss_kd (dict): Config of the loss against the teacher's choice.
            Defaults to ``dict(type='CrossEntropyLoss')``.
        kd_weight (float): Part of it in the whole loss. Defaults to 0.5.
        **kwargs: Keys of mmpretrain's ``LinearClsHead``.

    Raises:
        ValueError: If ``kd_weight`` is not in 0..1.

    Example:
        >>> head = DistillationClsHead(num_classes=5, in_channels=8)
        >>> head((torch.rand(2, 8), )).shape
        torch.Size([2, 5])
    """

    #: ``SpikingModule`` leaves it as it is: ``fc`` has no neuron.
    neurons_placed = True
    #: The scores are averaged over time.
    mean_over_time = True

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 neuron: dict = dict(type='mmsnn.SFANeuron', max_spikes=4),
                 loss_kd: dict = dict(type='CrossEntropyLoss'),
                 kd_weight: float = 0.5,
                 **kwargs) -> None:
        super().__init__(num_classes, in_channels, **kwargs)
        if not 0 <= kd_weight <= 1:
            raise ValueError(f'kd_weight must be in 0..1, but is {kd_weight}')
        self.fc_kd = SpikeLinear(in_channels, num_classes, neuron=neuron)
        self.fc_kd.neuron = build_neuron(neuron, scale=1.0)
        self.timesteps = (
            self.fc_kd.neuron.timesteps
            if is_spiking(self.fc_kd.neuron) else 1)
        self.loss_kd_module = LOSSES.build(loss_kd)
        self.kd_weight = kd_weight

    def scores(
            self,
            feats: tuple[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of both heads, averaged over time.

        Args:
            feats (tuple[Tensor]): Mean membranes; the last is used,
                (N * T, in_channels).

        Returns:
            tuple[Tensor, Tensor]: Those of ``fc`` and of ``fc_kd``,
            (N, num_classes).
        """
        x = self.pre_logits(feats)
        return mean_over_time((self.fc(x), self.fc_kd(x)), self.timesteps)

    def forward(self, feats: tuple[torch.Tensor]) -> torch.Tensor:
        """Mean of both heads' scores, in training too.

        Args:
            feats (tuple[Tensor]): Mean membranes; the last is used,
                (N * T, in_channels).

        Returns:
            Tensor: (N, num_classes).
        """
        score, score_kd = self.scores(feats)
        return (score + score_kd) / 2

    def loss(self,
             feats: tuple[torch.Tensor],
             data_samples: list[DataSample],
             teacher_score: torch.Tensor | None = None) -> dict:
        """Losses of both heads.

        Args:
            feats (tuple[Tensor]): Mean membranes; the last is used,
                (N * T, in_channels).
            data_samples (list[DataSample]): With labels or label scores.
            teacher_score (Tensor): Scores of the teacher, (N, num_classes).

        Returns:
            dict[str, Tensor]: ``loss`` and ``loss_kd``, weighted.

        Raises:
            ValueError: If there is no ``teacher_score``.
        """
        if teacher_score is None:
            raise ValueError(
                'DistillationClsHead has no teacher to learn from: train it '
                "in a classifier of type='mmsnn.DistilledImageClassifier', "
                'with the key teacher')
        score, score_kd = self.scores(feats)
        losses = self._get_loss(score, data_samples)
        losses['loss'] = (1 - self.kd_weight) * losses['loss']
        losses['loss_kd'] = self.kd_weight * self.loss_kd_module(
            score_kd, teacher_score.argmax(1), avg_factor=len(score_kd))
        return losses
