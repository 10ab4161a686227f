"""Masked image modelling with a spiking encoder."""

from typing import NamedTuple

import torch
from mmcv.cnn import build_norm_layer
from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.structures import DataSample

from mmsnn.layers import VisiblePatches, enlarge_mask, hide, mean_over_time
from mmsnn.registry import MODELS

from ..backbones import MaskedESpikeFormer
from .patches import unpatchify


class Reconstruction(NamedTuple):
    """Images before and after masking and reconstruction.

    Attributes:
        image (Tensor): (N, C, H, W), normalised by the data preprocessor.
        masked (Tensor): The same with zeros at masked patches.
        reconstruction (Tensor): The same with predictions at masked patches.
        mask (Tensor): (N, h, w), bool, True where a patch is visible.
    """

    image: torch.Tensor
    masked: torch.Tensor
    reconstruction: torch.Tensor
    mask: torch.Tensor


def random_mask(shape: tuple[int, int, int],
                ratio: float,
                generator: torch.Generator | None = None) -> torch.Tensor:
    """A mask of random patches, as many in each image.

    Args:
        shape (tuple[int]): N, h, w.
        ratio (float): Part of the patches that is masked; their number is
            rounded.
        generator (torch.Generator, optional): Of the CPU. Defaults to None:
            PyTorch's own.

    Returns:
        Tensor: (N, h, w), bool, True where a patch is visible; on CPU.

    Raises:
        ValueError: If nothing would be visible, or nothing masked.

    Example:
        >>> random_mask((2, 4, 6), 0.75).flatten(1).sum(1)
        tensor([6, 6])
    """
    n, h, w = shape
    masked = round(h * w * ratio)
    if not 0 < masked < h * w:
        least, most = 0.5 / (h * w), 1 - 0.5 / (h * w)
        raise ValueError(
            f'mask_ratio = {ratio} leaves {"nothing" if masked else "all"} '
            f'of {h} x {w} patches visible: choose a ratio above {least:.3g} '
            f'and below {most:.3g}, or images with more patches')
    order = torch.rand(n, h * w, generator=generator).argsort(1)
    mask = torch.ones(n, h * w, dtype=torch.bool)
    return mask.scatter_(1, order[:, :masked], False).view(n, h, w)


@MODELS.register_module()
class SpikeSparK(BaseSelfSupervisor):
    """Masked image modelling with a spiking encoder (paper, section 3.4).

    Random patches of an image are masked. The encoder sees the others only;
    the decoder, with a mask token in each masked place, predicts the pixels
    of the masked patches, normalised by mean and standard deviation of their
    patch (eq. 14). Encoder's and target's view are complementary::

        image -> mask -> backbone -> norm -> neck (decoder) -> head (loss)

    Args:
        backbone (dict): Config of a :class:`MaskedESpikeFormer`.
        neck (dict, optional): Config of the decoder, :class:`PlainDecoder`,
            :class:`MultiScaleDecoder` or any with ``forward(maps, mask)``.
            Defaults to None: a plain decoder of 4 blocks, width 256, 4 heads.
        head (dict, optional): Config of the loss. Defaults to None:
            mmpretrain's ``SparKPretrainHead`` with the mean squared error.
        patch_size (int): Side of a patch in pixels, a multiple of the
            backbone's stride. Defaults to 16.
        mask_ratio (float): Part of the patches that is masked. Defaults to
            0.5.
        norm_cfg (dict): Norm of the encoder's output. Its statistics are over
            visible tokens, or over all where the backbone keeps them.
            Defaults to ``dict(type='BN')``.
        data_preprocessor (dict, optional): As in ``BaseSelfSupervisor``.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        ValueError: If a key is out of range; the message names it and what is
            valid.

    Example:
        >>> tiny = dict(embed_dims=[8, 16, 24, 32], depths=[1] * 5)
        >>> model = SpikeSparK(
        ...     dict(type='mmsnn.MaskedESpikeFormer', arch=tiny))
        >>> losses = model.loss(torch.rand(2, 3, 32, 64), None)
        >>> losses['loss'].shape
        torch.Size([])
    """

    #: It averages the maps of its encoder over time.
    mean_over_time = True

    def __init__(self,
                 backbone: dict,
                 neck: dict | None = None,
                 head: dict | None = None,
                 patch_size: int = 16,
                 mask_ratio: float = 0.5,
                 norm_cfg: dict = dict(type='BN'),
                 data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(
            backbone, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if not isinstance(self.backbone, MaskedESpikeFormer):
            raise ValueError('backbone must be a mmsnn.MaskedESpikeFormer, '
                             f'but is a {type(self.backbone).__name__}')
        unit = self.backbone.patch_multiple
        if not isinstance(patch_size, int) or patch_size < 1 or (
                patch_size % unit):
            raise ValueError(f'patch_size must be a multiple of {unit}, the '
                             'stride of the last stage of the backbone, but '
                             f'is {patch_size!r}')
        if not 0 < mask_ratio < 1:
            raise ValueError('mask_ratio must be above 0 and below 1, so that '
                             'something is visible and something masked, but '
                             f'is {mask_ratio!r}')
        self.patch_size = patch_size
        self.mask_ratio = mask_ratio
        stem, *_, last = self.backbone.stages[:max(self.backbone.out_indices) +
                                              1]
        channels = last.downsample.conv.out_channels
        self.norm = build_norm_layer(norm_cfg, channels)[1]
        self.neck = MODELS.build(
            neck or dict(
                type='mmsnn.PlainDecoder',
                in_channels=channels,
                stride=unit,
                out_channels=stem.downsample.conv.in_channels))
        self.head = MODELS.build(
            head or dict(
                type='mmpretrain.SparKPretrainHead',
                loss=dict(
                    type='mmpretrain.PixelReconstructionLoss', criterion='L2'),
                patch_size=patch_size))
        if self.head.patch_size != patch_size:
            raise ValueError(
                f'head.patch_size = {self.head.patch_size} must be '
                f'patch_size = {patch_size}')

    def random_mask(
            self,
            inputs: torch.Tensor,
            generator: torch.Generator | None = None) -> torch.Tensor:
        """A mask for images, see :func:`random_mask`.

        Args:
            inputs (Tensor): Images (N, C, H, W).
            generator (torch.Generator, optional): Of the CPU.

        Returns:
            Tensor: (N, H / patch_size, W / patch_size), bool, True where
            visible, on the device of the images.

        Raises:
            ValueError: If ``patch_size`` does not divide H and W, or the
                ratio leaves nothing visible or nothing masked.
        """
        size = self.patch_size
        if inputs.dim() != 4 or inputs.shape[2] % size or (
                inputs.shape[3] % size):
            raise ValueError(
                f'patch_size = {size} must divide both sides of the images '
                f'(N, C, H, W), but they are of shape {tuple(inputs.shape)}')
        n, _, height, width = inputs.shape
        mask = random_mask((n, height // size, width // size),
                           self.mask_ratio, generator)
        return mask.to(inputs.device)

    def encode(self, inputs: torch.Tensor,
               mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode what is visible, for the decoder.

        Args:
            inputs (Tensor): Images (N, C, H, W).
            mask (Tensor): (N, h, w), bool, True where a patch is visible.

        Returns:
            tuple[Tensor]: Maps of ``backbone.out_indices``, averaged over
            time, the last one behind the norm.
        """
        maps = self._maps(inputs, mask)
        *others, last = maps
        if self.backbone.drop_masked:
            patches = VisiblePatches(mask)
            last = patches.unpack(self.norm(patches.pack(last)))
        else:
            last = self.norm(last)
        return (*others, last)

    def encoder_output(self,
                       inputs: torch.Tensor,
                       mask: torch.Tensor | None = None,
                       normed: bool = False) -> torch.Tensor:
        """Output of the encoder as a matrix, e.g. for its effective rank.

        Args:
            inputs (Tensor): Images (N, C, H, W).
            mask (Tensor, optional): (N, h, w), bool. Defaults to None: a
                random one.
            normed (bool): Behind the norm. Defaults to False: the membrane
                potentials of the last stage.

        Returns:
            Tensor: (N * positions, C), of the visible positions, or of all
            where the backbone keeps masked tokens.
        """
        mask = self.random_mask(inputs) if mask is None else mask
        last = (self.encode if normed else self._maps)(inputs, mask)[-1]
        rows = last.permute(0, 2, 3, 1)
        if self.backbone.drop_masked:
            return rows[enlarge_mask(mask, last.shape[-1] // mask.shape[-1])]
        return rows.flatten(0, 2)

    def loss(self, inputs: torch.Tensor,
             data_samples: list[DataSample] | None,
             **kwargs) -> dict[str, torch.Tensor]:
        """Mask at random and reconstruct.

        Args:
            inputs (Tensor): Preprocessed images (N, C, H, W).
            data_samples (list[DataSample], optional): Not read.
            **kwargs: Not read.

        Returns:
            dict[str, Tensor]: ``loss``, over masked patches.

        Raises:
            ValueError: As :meth:`random_mask`, or if the decoder predicts
                another shape than that of the images.
        """
        mask = self.random_mask(inputs)
        prediction = self._predict(inputs, mask)
        return dict(loss=self.head(prediction, inputs, mask.unsqueeze(1)))

    @torch.no_grad()
    def reconstruct(self,
                    inputs: torch.Tensor,
                    mask: torch.Tensor | None = None) -> Reconstruction:
        """Images with their masked patches as the model imagines them.

        Args:
            inputs (Tensor): Preprocessed images (N, C, H, W).
            mask (Tensor, optional): (N, h, w), bool. Defaults to None: a
                random one.

        Returns:
            Reconstruction: ``image``, ``masked`` (zeros at masked patches),
            ``reconstruction`` (predicted at masked patches, the image at
            visible ones) and ``mask``. A head with ``norm_pix`` predicts
            patches normalised by their own mean and deviation, which are
            taken from the image.
        """
        mask = self.random_mask(inputs) if mask is None else mask
        prediction = self._predict(inputs, mask)
        if self.head.norm_pix:
            rows = self.head.patchify(inputs)
            mean = rows.mean(-1, keepdim=True)
            deviation = (rows.var(-1, keepdim=True) + 1e-6).sqrt()
            rows = self.head.patchify(prediction) * deviation + mean
            prediction = unpatchify(rows, mask.shape[1:], self.patch_size)
        masked = hide(inputs, mask)
        return Reconstruction(inputs, masked, masked + hide(prediction, ~mask),
                              mask)

    def _predict(self, inputs, mask) -> torch.Tensor:
        prediction = self.neck(self.encode(inputs, mask), mask)
        if prediction.shape != inputs.shape:
            raise ValueError(
                f'neck predicts the shape {tuple(prediction.shape)} for '
                f'images of shape {tuple(inputs.shape)}: see its channels and '
                'its stride')
        return prediction

    def _maps(self, inputs, mask) -> tuple[torch.Tensor, ...]:
        maps = self.backbone(inputs, mask)
        steps = len(maps[-1]) // len(inputs) if len(inputs) else 1
        return mean_over_time(maps, steps)
