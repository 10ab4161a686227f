from typing import Sequence, Tuple, Union

import torch
from mmengine.model import BaseModule
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn

from mmsnn.layers import (
    ConvBlock,
    TransformerBlock,
    conv_norm,
    keep_freed_memory,
)
from mmsnn.registry import MODELS

#: Keys of an arch dict, with the defaults of the optional ones.
ARCH_DEFAULTS = dict(depths=(1, 1, 2, 6, 2), num_heads=8)


@MODELS.register_module()
class ESpikeFormer(BaseModule):
    """E-SpikeFormer backbone, base family (paper, section 3.3, Fig. 4).

    Stages 1a, 1b, 2, 3, 4 have strides 2, 4, 8, 16, 16 and widths C0/2, C0,
    C1, C2, C3. The first three are convolutional, the last two transformers::

        image -> stem 7x7/2 -> conv blocks (1a) -> 3x3/2 -> conv blocks (1b)
              -> 3x3/2 -> conv blocks (2) -> 3x3/2 -> transformer blocks (3)
              -> 3x3/1 -> transformer blocks (4)

    Args:
        arch (str | dict): ``'2.7m'``, ``'5m'``, ``'10m'`` or ``'19m'``, or a
            dict with ``embed_dims`` (C0..C3) and, optionally, ``depths``
            (blocks of the five stages, default 1, 1, 2, 6, 2) and
            ``num_heads`` (default 8). Defaults to ``'10m'``.
        in_channels (int): Channels of the image. Defaults to 3.
        neuron (dict): Config of every neuron. ``dict(type='ReLU')`` gives the
            ReLU twin. Defaults to SFA with 4 spikes.
        out_indices (Sequence[int] | int): Stages whose output is returned,
            counted from 0 (1a) to 4. Defaults to (4, ).
        drop_path_rate (float): Stochastic depth rate of the last block; it
            grows linearly from 0. Defaults to 0.
        frozen_stages (int): Stages up to this one are frozen; -1 freezes
            none. Defaults to -1.
        norm_eval (bool): Keep norms in eval mode. Defaults to False.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        keep_freed_memory (bool): On CPU, let the process reuse freed memory
            (:func:`mmsnn.layers.keep_freed_memory`), which is faster, most
            of all for large images. False leaves the C library's settings
            alone. Defaults to True.
        init_cfg (dict | list[dict], optional): Defaults to Kaiming for
            convolutions and 1 for norms.

    Raises:
        ValueError: If a key of the config is out of range; the message names
            the key and what is valid.

    Example:
        >>> model = ESpikeFormer(
        ...     dict(embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 1, 1]),
        ...     out_indices=(1, 2, 3, 4))
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 48))]
        [(1, 8, 16, 12), (1, 16, 8, 6), (1, 24, 4, 3), (1, 32, 4, 3)]
    """

    arch_zoo = {
        '2.7m': dict(embed_dims=(24, 48, 96, 128)),
        '5m': dict(embed_dims=(32, 64, 128, 192)),
        '10m': dict(embed_dims=(48, 96, 192, 240)),
        '19m': dict(embed_dims=(64, 128, 256, 360)),
    }
    num_stages = 5

    def __init__(
        self,
        arch: Union[str, dict] = '10m',
        in_channels: int = 3,
        neuron: dict = dict(type='mmsnn.SFANeuron', max_spikes=4),
        out_indices: Union[Sequence[int], int] = (4, ),
        drop_path_rate: float = 0.,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        norm_cfg: dict = dict(type='BN'),
        keep_freed_memory: bool = True,
        init_cfg: Union[dict, Sequence[dict], None] = (
            dict(type='Kaiming', layer=['Conv2d']),
            dict(type='Constant', val=1., layer=['_BatchNorm', 'GroupNorm'])),
    ) -> None:
        super().__init__(
            list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg)
        dims, depths, heads = self._read_arch(arch)
        if isinstance(out_indices, int):
            out_indices = (out_indices, )
        if not out_indices or any(i not in range(self.num_stages)
                                  for i in out_indices):
            raise ValueError('out_indices must name stages 0..4, '
                             f'but is {out_indices!r}')
        if frozen_stages not in range(-1, self.num_stages):
            raise ValueError('frozen_stages must be -1 (none) or a stage '
                             f'0..4, but is {frozen_stages!r}')
        if not 0 <= drop_path_rate < 1:
            raise ValueError('drop_path_rate must be in [0, 1), '
                             f'but is {drop_path_rate!r}')
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.keep_freed_memory = keep_freed_memory

        options = dict(neuron=neuron, norm_cfg=norm_cfg)
        widths = (dims[0] // 2, *dims)
        rates = torch.linspace(0, drop_path_rate, sum(depths)).tolist()
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, depths)):
            stage = nn.Sequential()
            stage.add_module(
                'downsample',
                conv_norm(
                    widths[i - 1] if i else in_channels,
                    width,
                    kernel_size=3 if i else 7,
                    stride=2 if i < 4 else 1,
                    bias=True,
                    norm_cfg=norm_cfg,
                    neuron=neuron if i else None))
            blocks = nn.Sequential()
            for _ in range(depth):
                rate = rates.pop(0)
                blocks.append(
                    ConvBlock(width, drop_path=rate, **options) if i < 3 else
                    TransformerBlock(
                        width, num_heads=heads, drop_path=rate, **options))
            stage.add_module('blocks', blocks)
            self.stages.append(stage)
        self._freeze_stages()

    @classmethod
    def _read_arch(cls, arch) -> Tuple[tuple, tuple, int]:
        if isinstance(arch, str):
            if arch not in cls.arch_zoo:
                raise ValueError(
                    f'arch {arch!r} is unknown: choose from '
                    f'{", ".join(cls.arch_zoo)}, or give a dict with the '
                    'keys embed_dims, depths, num_heads')
            arch = cls.arch_zoo[arch]
        elif not isinstance(arch, dict):
            raise ValueError('arch must be a name or a dict, '
                             f'but is {arch!r}')
        unknown = set(arch) - {'embed_dims', *ARCH_DEFAULTS}
        if unknown or 'embed_dims' not in arch:
            raise ValueError(
                'an arch dict has the key embed_dims and optionally depths '
                f'and num_heads, but has {sorted(arch)}')
        arch = {**ARCH_DEFAULTS, **arch}
        for key, number, least in (('embed_dims', 4, 2), ('depths', 5, 0)):
            values = arch[key]
            if not isinstance(values, (list, tuple)) or len(
                    values) != number or any(
                        not isinstance(v, int) or v < least for v in values):
                raise ValueError(
                    f'arch.{key} must be {number} integers of at least '
                    f'{least}, but is {values!r}')
        dims, heads = tuple(arch['embed_dims']), arch['num_heads']
        if not isinstance(heads, int) or heads < 1:
            raise ValueError('arch.num_heads must be a positive integer, '
                             f'but is {heads!r}')
        for i in (2, 3):
            if arch['depths'][i + 1] and dims[i] % heads:
                raise ValueError(
                    f'arch.num_heads = {heads} does not divide '
                    f'arch.embed_dims[{i}] = {dims[i]}')
        return dims, tuple(arch['depths']), heads

    def forward(self, x: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        """Extract feature maps.

        Args:
            x (Tensor): Images of shape (N, in_channels, H, W), any H and W.

        Returns:
            tuple[Tensor]: Membrane potentials after each stage of
            ``out_indices``, in the order of the stages.
        """
        if x.device.type == 'cpu':
            # Convolutions on CPU are faster so; the layers keep the format.
            x = x.contiguous(memory_format=torch.channels_last)
            if self.keep_freed_memory:
                keep_freed_memory()
        outs = []
        for i, stage in enumerate(self.stages[:max(self.out_indices) + 1]):
            x = stage(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def train(self, mode: bool = True):
        """Set the mode; frozen stages stay in eval mode, norms may."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze_stages(self) -> None:
        for stage in self.stages[:self.frozen_stages + 1]:
            stage.eval()
            for parameter in stage.parameters():
                parameter.requires_grad = False
