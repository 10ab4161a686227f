"""Effective rank and firing rates during masked pre-training."""

import torch
from torch import nn

from mmsnn.conversion import firing_rates
from mmsnn.engine.effective_rank import effective_rank
from mmsnn.registry import HOOKS

from .fixed_images_hook import FixedImagesHook


@HOOKS.register_module()
class EffectiveRankHook(FixedImagesHook):
    """Logs the effective rank of the encoder's output and the firing rate of
    each of its stages, during masked pre-training.

    The rank (:func:`mmsnn.engine.effective_rank.effective_rank`) is that of
    the matrix (N * positions, C) of ``model.encoder_output``, at visible
    positions where masked tokens are dropped. It can't be more than C or the
    number of rows. Scalars ``train/effective_rank`` and, for each stage of
    the backbone that has neurons, ``train/firing_rate_stage0`` and so on, in
    spikes per neuron and sub-step.

    Args:
        interval (int): Epochs or iterations between two looks. Defaults to 1.
        by_epoch (bool): Whether the interval counts epochs. Defaults to True.
        images (int): Number of images. Defaults to 64.
        normed (bool): Take the output behind the norm. Defaults to False: the
            membrane potentials of the last stage.
        seed (int): Of the pipeline and the mask. Defaults to 0.

    Raises:
        ValueError: If an argument is out of range, the model is not one of
            masked pre-training, or its output is not finite.

    Example:
        >>> custom_hooks = [dict(type='mmsnn.EffectiveRankHook', interval=10)]
    """

    def __init__(self,
                 interval: int = 1,
                 by_epoch: bool = True,
                 images: int = 64,
                 normed: bool = False,
                 seed: int = 0) -> None:
        super().__init__(interval, by_epoch, images, seed)
        self.normed = normed

    def look(self, runner, model: nn.Module, inputs: torch.Tensor,
             mask: torch.Tensor) -> None:
        """Log the scalars."""
        stages = model.backbone.stages
        with firing_rates({f'firing_rate_stage{i}': stage
                           for i, stage in enumerate(stages)}) as rates:
            output = model.encoder_output(inputs, mask, normed=self.normed)
        scalars = {
            f'train/{name}': value
            for name, value in dict(
                effective_rank=effective_rank(output), **rates).items()
        }
        for name, value in scalars.items():
            runner.message_hub.update_scalar(name, value)
        # An iteration is counted when its hooks are through.
        done = runner.iter + (not self.by_epoch)
        runner.visualizer.add_scalars(scalars, step=done)
        runner.logger.info(
            f'effective rank {scalars["train/effective_rank"]:.2f} of '
            f'{tuple(output.shape)}; firing rates of the stages: ' +
            ', '.join(f'{rate:.3f}' for rate in rates.values()))
