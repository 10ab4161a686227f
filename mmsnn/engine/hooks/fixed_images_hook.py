"""What hooks that look at the same images again and again share."""

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from torch import nn

from mmsnn.conversion.upstream.random_numbers import own_random_numbers
from mmsnn.engine.whole_model import unwrapped


class FixedImagesHook(Hook):
    """Looks at masked pre-training now and then, always at the same images
    with the same mask.

    The images are spread over the training set and go once through its
    pipeline; neither this nor what is looked at changes the training, whose
    random numbers stay what they are. The model is in eval mode meanwhile.
    Of several processes the main one works. Subclasses say in :meth:`look`
    what they look at.

    Args:
        interval (int): Epochs or iterations between two looks. Defaults to 1.
        by_epoch (bool): Whether the interval counts epochs. Defaults to True.
        images (int): Number of images; all of the training set if it has
            less.
        seed (int): Of the pipeline and the mask. Defaults to 0.

    Raises:
        ValueError: If an argument is out of range, or the model is not one of
            masked pre-training; the message names the key.
    """

    # Before the hook that logs.
    priority = 55

    def __init__(self, interval: int, by_epoch: bool, images: int,
                 seed: int) -> None:
        for key, value in dict(interval=interval, images=images).items():
            if value < 1:
                raise ValueError(f'{key} of mmsnn.{type(self).__name__} must '
                                 f'be at least 1, but is {value!r}')
        self.interval = interval
        self.by_epoch = by_epoch
        self.images = images
        self.seed = seed

    def look(self, runner, model: nn.Module, inputs: torch.Tensor,
             mask: torch.Tensor) -> None:
        """Look at the model, without gradient.

        Args:
            runner (Runner): The runner.
            model (nn.Module): The model in eval mode, out of its wrapper.
            inputs (Tensor): Preprocessed images (N, C, H, W).
            mask (Tensor): (N, h, w), bool, True where a patch is visible.
        """
        raise NotImplementedError

    def before_train(self, runner) -> None:
        """Take the images."""
        model = unwrapped(runner.model)
        if not hasattr(model, 'encoder_output'):
            raise ValueError(
                f'custom_hooks: mmsnn.{type(self).__name__} needs a model of '
                'masked pre-training (mmsnn.SpikeSparK), but model.type is '
                f'{type(model).__name__}')
        if not is_main_process():
            return
        loader = runner.train_dataloader
        number = min(self.images, len(loader.dataset))
        chosen = np.linspace(0, len(loader.dataset) - 1, number).round()
        with own_random_numbers(self.seed):
            self._batch = loader.collate_fn(
                [loader.dataset[int(i)] for i in chosen])

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        """Look, if the interval counts iterations."""
        if not self.by_epoch and self.every_n_train_iters(
                runner, self.interval):
            self._look(runner)

    def after_train_epoch(self, runner) -> None:
        """Look, if the interval counts epochs."""
        if self.by_epoch and self.every_n_epochs(runner, self.interval):
            self._look(runner)

    @torch.no_grad()
    def _look(self, runner) -> None:
        if not is_main_process():
            return
        model = unwrapped(runner.model)
        was_training = model.training
        model.eval()
        inputs = model.data_preprocessor(self._batch)['inputs']
        generator = torch.Generator().manual_seed(self.seed)
        self.look(runner, model, inputs, model.random_mask(inputs, generator))
        model.train(was_training)
