"""E-SpikeFormer that sees the visible patches of an image only."""

from collections.abc import Callable

import torch
from torch import nn

from mmsnn.layers import (
    MaskContext,
    SparseConv2d,
    SpikeConv2d,
    SpikeSparseConv2d,
    hide,
)
from mmsnn.registry import MODELS

from .base import FIRST_TRANSFORMER
from .e_spikeformer import ESpikeFormer


@MODELS.register_module()
class MaskedESpikeFormer(ESpikeFormer):
    """E-SpikeFormer that sees the visible patches of an image only.

    The encoder of masked pre-training. All its convolutions are sparse
    (:mod:`mmsnn.layers.masked`): activations exist at visible positions only,
    from the image to the last block, and so do the statistics of norms. Its
    state dict is that of :class:`ESpikeFormer` with the same keys. Without a
    mask, or with all patches visible, it is that backbone.

    Args:
        *args: As in :class:`ESpikeFormer`.
        ssc (bool): Spike sparse convolutions. False runs ordinary ones on the
            image with zeros at masked pixels: what is visible leaks into
            masked positions and zeros into visible ones (the ablation of the
            paper). Defaults to True.
        drop_masked (bool, optional): Drop masked tokens before the
            transformer stages. False lets them enter these stages as zeros,
            after which nothing is hidden any more, as in the published
            encoder. Defaults to None, which is ``ssc``: ordinary convolutions
            keep all tokens.
        layer_scale_init_value (float, optional): As in
            :class:`ESpikeFormer`, but it defaults to None: pre-training has
            no layer scale.
        channels_last (bool): As in :class:`ESpikeFormer`, but it defaults to
            True: decoders of mmsnn work in that layout.
        **kwargs: As in :class:`ESpikeFormer`.

    Raises:
        ValueError: If ``drop_masked`` is True where ``ssc`` is False, or as
            in :class:`ESpikeFormer`.

    Example:
        >>> model = MaskedESpikeFormer(
        ...     dict(embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 1, 1]))
        >>> mask = torch.tensor([[[True, False], [False, True]]])
        >>> out, = model(torch.rand(1, 3, 32, 32), mask)
        >>> out.shape, (out != 0).any(1)[0].tolist()
        (torch.Size([1, 32, 2, 2]), [[True, False], [False, True]])
    """

    #: Read where a config says ``compile``.
    why_not_compiled = 'what is computed depends on the values of the mask'

    def __init__(self,
                 *args,
                 ssc: bool = True,
                 drop_masked: bool | None = None,
                 layer_scale_init_value: float | None = None,
                 channels_last: bool = True,
                 **kwargs) -> None:
        super().__init__(
            *args,
            layer_scale_init_value=layer_scale_init_value,
            channels_last=channels_last,
            **kwargs)
        if drop_masked and not ssc:
            raise ValueError('drop_masked must be False (or left out) where '
                             'ssc is False: ordinary convolutions leave no '
                             'position that could be dropped')
        self.ssc = ssc
        self.drop_masked = ssc if drop_masked is None else drop_masked
        self.context = MaskContext()
        if ssc:
            _replace(self, self._sparse)

    @property
    def patch_multiple(self) -> int:
        """The side of a patch (pixels) must be a multiple of this, the
        stride of the last map."""
        return self.out_strides[-1]

    def forward(self,
                x: torch.Tensor,
                mask: torch.Tensor | None = None
                ) -> tuple[torch.Tensor, ...]:
        """Extract feature maps of what is visible.

        Args:
            x (Tensor): Images (N, in_channels, H, W) or frames
                (N, T, in_channels, H, W).
            mask (Tensor, optional): (N, h, w), bool, True where a patch is
                visible, as many in each image. Patches are squares whose side
                H / h = W / w is a multiple of :attr:`patch_multiple`.
                Defaults to None: nothing is hidden.

        Returns:
            tuple[Tensor]: Maps as of :class:`ESpikeFormer`, with zeros at
            masked positions; there are none from the transformer stages on
            where tokens are kept, and nowhere without ``ssc``.

        Raises:
            ValueError: If the mask does not fit the images, shows nothing, or
                another number of patches of some images.
        """
        if mask is None:
            return super().forward(x)
        self._check_mask(mask, x)
        mask = mask.to(x.device)
        if mask.all():
            return super().forward(x)
        if not self.ssc:
            return super().forward(hide(x, mask))
        with self.context.visible(mask):
            return super().forward(x)

    def _run_stages(self, x: torch.Tensor, repeats: int) -> list[torch.Tensor]:
        patches = self.context.patches(len(x))
        if patches is None:
            return super()._run_stages(x, repeats)
        return super()._run_stages(patches.pack(x), repeats)

    def _run_stage(self, index: int, x: torch.Tensor,
                   repeats: int) -> torch.Tensor:
        if (index < FIRST_TRANSFORMER or self.drop_masked
                or self.context.patches(len(x)) is None):
            return super()._run_stage(index, x, repeats)
        stage = self.stages[index]
        x = self._on_grid(stage.downsample(x))
        self.context.reveal()
        return stage.run_blocks(x, self._context)

    def _on_grid(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.context.patches(len(x))
        return x if patches is None else patches.unpack(x)

    def _context(self):
        return self.context.now()

    def switch_to_dense(self) -> None:
        """Replace sparse convolutions by ordinary ones, in place. No weight
        changes; the model is then that with ``ssc=False``."""
        _replace(self, _dense)
        self.ssc = self.drop_masked = False

    def _sparse(self, conv: nn.Conv2d) -> nn.Conv2d:
        kind = (
            SpikeSparseConv2d
            if isinstance(conv, SpikeConv2d) else SparseConv2d)
        return kind.from_dense(conv, self.context)

    def _check_mask(self, mask: torch.Tensor, x: torch.Tensor) -> None:
        if mask.dtype != torch.bool:
            raise ValueError('mask must be a bool tensor, True where a patch '
                             f'is visible, but is {mask.dtype}')
        unit = self.patch_multiple
        height, width = x.shape[-2:]
        fits = mask.dim() == 3 and len(mask) == len(x) and all(mask.shape[1:])
        if fits:
            side = height // mask.shape[1]
            fits = side and side % unit == 0 and (height, width) == (
                mask.shape[1] * side, mask.shape[2] * side)
        if not fits:
            raise ValueError(
                f'mask of shape {tuple(mask.shape)} does not fit images of '
                f'shape {tuple(x.shape)}: it must be (N, H / p, W / p) with '
                f'a patch side p that is a multiple of {unit}, the stride of '
                'the last stage, and divides H and W')
        if len(mask) and not mask.any():
            raise ValueError('mask must leave something visible, but is False '
                             'everywhere')


def _dense(conv: nn.Conv2d) -> nn.Conv2d:
    return conv.to_dense() if hasattr(conv, 'to_dense') else conv


def _replace(module: nn.Module,
             make: Callable[[nn.Conv2d], nn.Conv2d]) -> None:
    """Replace each convolution inside of a module by what ``make`` gives."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            setattr(module, name, make(child))
        else:
            _replace(child, make)
