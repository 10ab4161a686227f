"""Decoders of masked pre-training, made of mmpretrain's blocks.

Both are necks: ``forward(maps, mask)`` gets the maps of the encoder, from the
largest to the smallest, with zeros at masked positions, and gives what is
predicted of each pixel, (N, channels, H, W).
"""

from collections.abc import Sequence

import torch
from mmcv.cnn import build_norm_layer
from mmpretrain.models.necks import MAEPretrainDecoder, SparKLightDecoder
from mmpretrain.models.utils import build_2d_sincos_position_embedding
from torch import nn

from mmsnn.layers import VisiblePatches, enlarge_mask
from mmsnn.registry import MODELS

from .patches import unpatchify


@MODELS.register_module()
class PlainDecoder(MAEPretrainDecoder):
    """A transformer on all tokens, with mask tokens in the masked places
    (paper, section 3.4).

    mmpretrain's decoder of MAE for maps of any height and width, without
    class token. Tokens stay where they are in the image; positions are coded
    by sines and cosines.

    Args:
        in_channels (int): Channels of the encoder's output.
        stride (int): Pixels along the side of what one token predicts, the
            stride of the encoder's output. Defaults to 16.
        out_channels (int): Channels of the image. Defaults to 3.
        embed_dims (int): Width, a multiple of 4. Defaults to 256.
        depth (int): Number of blocks. Defaults to 4.
        num_heads (int): Heads, a divisor of the width. Defaults to 4.
        mlp_ratio (int): Width of the MLPs over that of the tokens. Defaults
            to 4.
        norm_cfg (dict): Defaults to ``dict(type='LN', eps=1e-6)``.
        init_cfg (dict | list[dict], optional): Defaults to Xavier for
            linears and 1 for norms, as in MAE.

    Raises:
        ValueError: If the width is no multiple of 4 or of the heads.

    Example:
        >>> decoder = PlainDecoder(8, embed_dims=16, depth=1, num_heads=2)
        >>> mask = torch.tensor([[[True, False, True]]])
        >>> decoder((torch.rand(1, 8, 1, 3), ), mask).shape
        torch.Size([1, 3, 16, 48])
    """

    def __init__(
        self,
        in_channels: int,
        stride: int = 16,
        out_channels: int = 3,
        embed_dims: int = 256,
        depth: int = 4,
        num_heads: int = 4,
        mlp_ratio: int = 4,
        norm_cfg: dict = dict(type='LN', eps=1e-6),
        init_cfg: dict | Sequence[dict] | None = (
            dict(type='Xavier', layer='Linear', distribution='uniform'),
            dict(type='Constant', layer='LayerNorm', val=1., bias=0.)),
    ) -> None:
        if embed_dims % 4 or num_heads < 1 or embed_dims % num_heads:
            raise ValueError(
                f'neck.embed_dims = {embed_dims} must be a multiple of 4 and '
                f'of neck.num_heads = {num_heads}')
        super().__init__(
            num_patches=0,
            patch_size=stride,
            in_chans=out_channels,
            embed_dim=in_channels,
            decoder_embed_dim=embed_dims,
            decoder_depth=depth,
            decoder_num_heads=num_heads,
            mlp_ratio=mlp_ratio,
            norm_cfg=norm_cfg,
            init_cfg=list(init_cfg)
            if isinstance(init_cfg, tuple) else init_cfg)
        del self.decoder_pos_embed  # that is for one size, and square
        self.stride = stride
        nn.init.normal_(self.mask_token, std=.02)

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says, and the mask token at random."""
        super(MAEPretrainDecoder, self).init_weights()
        nn.init.normal_(self.mask_token, std=.02)

    def tokens(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Make the tokens of the transformer, without positions.

        Args:
            x (Tensor): Output of the encoder, (N, in_channels, H, W).
            mask (Tensor): (N, h, w), bool, True where a patch is visible.

        Returns:
            Tensor: (N, H * W, embed_dims), row by row: the embedded output
            at visible positions, the mask token at masked ones.
        """
        visible = enlarge_mask(mask, x.shape[-1] // mask.shape[-1]).flatten(1)
        return torch.where(
            visible.unsqueeze(-1),
            self.decoder_embed(x.flatten(2).transpose(1, 2)),
            self.mask_token.to(x.dtype))

    def positions(self, height: int, width: int) -> torch.Tensor:
        """Codes of all positions, row by row.

        Args:
            height (int): H.
            width (int): W.

        Returns:
            Tensor: (1, H * W, embed_dims). The first half of the channels
            codes the row, the other the column.
        """
        # Upstream counts column by column where the sides differ.
        return build_2d_sincos_position_embedding(
            (width, height), self.mask_token.shape[-1])

    def forward(self, maps: tuple[torch.Tensor, ...],
                mask: torch.Tensor) -> torch.Tensor:
        """Predict all pixels from the last map.

        Args:
            maps (tuple[Tensor]): The last one is (N, in_channels, H, W).
            mask (Tensor): (N, h, w), bool, True where a patch is visible.

        Returns:
            Tensor: (N, out_channels, H * stride, W * stride).
        """
        height, width = maps[-1].shape[2:]
        x = self.tokens(maps[-1], mask)
        x = x + self.positions(height, width).to(x)
        for block in self.decoder_blocks:
            x = block(x)
        x = self.decoder_pred(self.decoder_norm(x))
        return unpatchify(x, (height, width), self.stride)


@MODELS.register_module()
class MultiScaleDecoder(SparKLightDecoder):
    """SparK's decoder: it starts from the smallest map and adds the larger
    ones on its way up to the image.

    Each map gets its mask token at masked positions and a convolution to the
    decoder's width there (1x1 for the smallest, 3x3 for the others). The
    larger maps get a norm before, with statistics over visible positions; the
    smallest has that of the encoder's output.

    Args:
        in_channels (Sequence[int]): Channels of the maps, from the largest to
            the smallest, as of the backbone's ``out_indices``. Each map is
            twice as large as the next.
        upsample_ratio (int): Stride of the smallest map. Defaults to 16.
        out_channels (int): Channels of the image. Defaults to 3.
        feature_dim (int): Width at the smallest map; it is halved at each
            scale. Defaults to 256.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        **kwargs: As in mmpretrain's ``SparKLightDecoder``.

    Raises:
        ValueError: If there are more maps than scales, or the widths can't be
            halved so often.

    Example:
        >>> decoder = MultiScaleDecoder([8, 16], feature_dim=32)
        >>> mask = torch.tensor([[[True, False, True]]])
        >>> maps = torch.rand(1, 8, 2, 6), torch.rand(1, 16, 1, 3)
        >>> decoder(maps, mask).shape
        torch.Size([1, 3, 16, 48])
    """

    def __init__(self,
                 in_channels: Sequence[int],
                 upsample_ratio: int = 16,
                 out_channels: int = 3,
                 feature_dim: int = 256,
                 norm_cfg: dict = dict(type='BN'),
                 **kwargs) -> None:
        scales = upsample_ratio.bit_length() - 1
        if upsample_ratio != 2**scales or not 1 <= len(in_channels) <= scales:
            raise ValueError(
                'neck.upsample_ratio must be a power of 2, and '
                'neck.in_channels name one map for each of its factors at '
                f'most, but they are {upsample_ratio} and {in_channels!r}')
        if feature_dim % upsample_ratio:
            raise ValueError(
                f'neck.feature_dim = {feature_dim} must be a multiple of '
                f'neck.upsample_ratio = {upsample_ratio}')
        super().__init__(
            feature_dim, upsample_ratio, norm_cfg=norm_cfg, **kwargs)
        if out_channels != self.proj.out_channels:
            self.proj = nn.Conv2d(self.proj.in_channels, out_channels, 1)
        self.norms, self.projections = nn.ModuleList(), nn.ModuleList()
        self.mask_tokens = nn.ParameterList()
        for i, channels in enumerate(reversed(in_channels)):
            self.norms.append(
                build_norm_layer(norm_cfg, channels)[1] if i else nn
                .Identity())
            size = 3 if i else 1
            self.projections.append(
                nn.Conv2d(
                    channels, feature_dim // 2**i, size, padding=size // 2))
            token = nn.Parameter(torch.zeros(1, channels, 1, 1))
            self.mask_tokens.append(nn.init.trunc_normal_(token, std=.02))

    def densify(self, maps: Sequence[torch.Tensor],
                mask: torch.Tensor) -> list[torch.Tensor]:
        """Normalise the maps, and put mask tokens into the masked places.

        Args:
            maps (Sequence[Tensor]): From the largest to the smallest.
            mask (Tensor): (N, h, w), bool, True where a patch is visible.

        Returns:
            list[Tensor]: The same from the smallest to the largest.
        """
        patches, dense = VisiblePatches(mask), []
        for x, norm, token in zip(
                reversed(maps), self.norms, self.mask_tokens):
            if not isinstance(norm, nn.Identity):
                x = patches.unpack(norm(patches.pack(x)))
            visible = enlarge_mask(mask, x.shape[-1] // mask.shape[-1])
            dense.append(torch.where(visible.unsqueeze(1), x, token.to(x)))
        return dense

    def forward(self, maps: Sequence[torch.Tensor],
                mask: torch.Tensor) -> torch.Tensor:
        """Predict all pixels.

        Args:
            maps (Sequence[Tensor]): From the largest to the smallest.
            mask (Tensor): (N, h, w), bool, True where a patch is visible.

        Returns:
            Tensor: (N, out_channels, H, W) of the image.

        Raises:
            ValueError: If the maps are not those of ``in_channels``, each
                twice as large as the next.
        """
        channels = [len(token[0]) for token in self.mask_tokens][::-1]
        smallest = maps[-1].shape[2:]
        sizes = [
            tuple(n * 2**i for n in smallest)
            for i in reversed(range(len(channels)))
        ]
        if [x.shape[1] for x in maps] != channels or [
                tuple(x.shape[2:]) for x in maps
        ] != sizes:
            raise ValueError(
                f'neck.in_channels = {channels} needs maps of the sizes '
                f'{sizes}, but got {[tuple(x.shape[1:]) for x in maps]}: see '
                'backbone.out_indices')
        dense = self.densify(maps, mask)
        return super().forward(
            [layer(x) for layer, x in zip(self.projections, dense)])
