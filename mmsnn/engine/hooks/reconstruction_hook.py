"""Pictures of what masked pre-training reconstructs."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from mmsnn.files import whole_file
from mmsnn.registry import HOOKS
from mmsnn.visualization import plot_reconstructions

from .fixed_images_hook import FixedImagesHook


def to_pictures(images: torch.Tensor, preprocessor: nn.Module) -> np.ndarray:
    """Undo the normalisation of mmengine's ``ImgDataPreprocessor``.

    Args:
        images (Tensor): Images as the model sees them, (N, C, H, W), where C
            is 3 or 1.
        preprocessor (nn.Module): The model's data preprocessor.

    Returns:
        np.ndarray: (N, H, W, 3), uint8, RGB.
    """
    if preprocessor._enable_normalize:
        images = images * preprocessor.std + preprocessor.mean
    pictures = images.permute(0, 2, 3, 1).round().clamp(0, 255)
    pictures = pictures.to(torch.uint8).cpu().numpy()
    if pictures.shape[-1] == 1:
        return pictures.repeat(3, -1)
    # Images are read as BGR.
    return pictures if preprocessor._channel_conversion else (
        pictures[..., ::-1])


@HOOKS.register_module()
class ReconstructionHook(FixedImagesHook):
    """Writes pictures of masked pre-training: image, masked image and
    reconstruction, a row for each image.

    They are ``WORK_DIR/reconstructions/epoch_10.png``, or ``iter_10.png``.

    Args:
        interval (int): Epochs or iterations between two pictures. Defaults
            to 10.
        by_epoch (bool): Whether the interval counts epochs. Defaults to True.
        images (int): Number of images. Defaults to 6.
        out_dir (str | Path, optional): Folder of the pictures. Defaults to
            None, which means ``WORK_DIR/reconstructions``.
        seed (int): Of the pipeline and the mask. Defaults to 0.

    Raises:
        ValueError: If an argument is out of range, or the model is not one of
            masked pre-training.

    Example:
        >>> custom_hooks = [dict(type='mmsnn.ReconstructionHook', images=4)]
    """

    def __init__(self,
                 interval: int = 10,
                 by_epoch: bool = True,
                 images: int = 6,
                 out_dir: str | Path | None = None,
                 seed: int = 0) -> None:
        super().__init__(interval, by_epoch, images, seed)
        self.out_dir = out_dir

    def look(self, runner, model: nn.Module, inputs: torch.Tensor,
             mask: torch.Tensor) -> None:
        """Write the picture."""
        found = model.reconstruct(inputs, mask)
        columns = [
            to_pictures(images, model.data_preprocessor)
            for images in (found.image, found.masked, found.reconstruction)
        ]
        folder = Path(self.out_dir or Path(runner.work_dir) /
                      'reconstructions')
        name = (f'epoch_{runner.epoch + 1}'
                if self.by_epoch else f'iter_{runner.iter + 1}')
        with whole_file(folder / f'{name}.png') as part:
            plot_reconstructions(list(zip(*columns))).savefig(part, dpi=120)
