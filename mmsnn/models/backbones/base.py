"""The base class of spiking backbones."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from mmengine.model import BaseModule
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn

from mmsnn.layers import (
    conv_norm,
    deploy,
    is_channels_last,
    keep_freed_memory,
    mean_over_time,
    to_channels_last,
)
from mmsnn.neurons import is_spiking
from mmsnn.suggest import did_you_mean, keys_of

from .arch import read_arch
from .stage import Stage
from .strides import read_outputs

#: The first stage that is made of transformer blocks.
FIRST_TRANSFORMER = 3


class SpikingBackbone(BaseModule):
    """What all spiking backbones share: stages, time, freezing.

    Stages 0, 1, 2 (1a, 1b, 2 in the papers) are convolutional, those behind
    are transformers. Each starts with a convolution, of stride 2 in the first
    four stages::

        image -> stem 7x7/2 -> conv blocks (0) -> 3x3/2 -> conv blocks (1)
              -> 3x3/2 -> conv blocks (2) -> 3x3/2 -> transformer blocks (3)
              [-> 3x3/1 -> transformer blocks (4)] [-> extra: 3x3/2 ...]

    A subclass has an ``arch_zoo``, its ``families`` (see
    :func:`.arch.read_arch`), and says what its blocks are made of in
    :meth:`_conv_block` and :meth:`_transformer_block`. It calls
    :meth:`build_stages` at the end of ``__init__``.

    Args:
        arch (str | dict): A name of ``arch_zoo``, or a dict with
            ``embed_dims`` and optional keys.
        neuron (dict): Config of every neuron. Its ``timesteps`` are those of
            the model.
        out_indices (Sequence[int] | int, optional): Stages whose output is
            returned. Defaults to None, the last one, or those that fit
            ``out_strides``.
        out_strides (Sequence[int], optional): Strides of the maps that are
            returned. They are those of ``out_indices`` up to the last, which
            may be doubled, and further ones may follow: ``(8, 16, 32)`` for
            stages of strides 8, 16, 16. The doubled ones come from ``extra``,
            spiking 3x3 convolutions of stride 2 that keep the width, which
            no ``frozen_stages`` freezes and no published checkpoint has.
            Defaults to None: the stages' own.
        drop_path_rate (float): Stochastic depth rate of the last block; it
            grows linearly from 0. Defaults to 0.
        frozen_stages (int): Stages up to this one are frozen; -1 freezes
            none. Defaults to -1.
        norm_eval (bool): Keep norms in eval mode. Defaults to False.
        mean_over_time (bool): Average the outputs over time. Defaults to
            False.
        channels_last (bool): Return maps in the channels-last layout in
            which the backbone runs: necks and heads behind it are then faster
            too, but upstream code that calls ``view`` on its maps raises.
            Defaults to False: the layout of the input.
        with_cp (bool, optional): Save memory in training: keep no activations
            inside of blocks but run each block again in the backward pass.
            Defaults to None, False.
        activation_checkpointing (bool, optional): Another name of
            ``with_cp``.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
        deploy (bool): Build the folded form, for checkpoints of a model that
            was switched by :meth:`switch_to_deploy`. Defaults to False.
        keep_freed_memory (bool): On CPU, let the process reuse freed memory
            (:func:`mmsnn.layers.keep_freed_memory`), which is faster, most
            of all for large images. False leaves the C library's settings
            alone. Defaults to True.
        init_cfg (dict | list[dict], optional): Defaults to Kaiming for
            convolutions and 1 for norms.
        **unknown: Any other key is an error, which names the nearest one.

    Raises:
        TypeError: If there is no such key.
        ValueError: If a key of the config is out of range; the message names
            the key and what is valid.
    """

    arch_zoo: dict[str, dict] = {}
    families: dict[str, dict] = {}
    #: The first stage whose blocks may be dropped.
    first_dropped = 0
    #: ``SpikingModule`` leaves it as it is: the stem has no neuron.
    neurons_placed = True

    def __init__(
        self,
        arch: str | dict,
        neuron: dict,
        out_indices: Sequence[int] | int | None = None,
        out_strides: Sequence[int] | None = None,
        drop_path_rate: float = 0.,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        mean_over_time: bool = False,
        channels_last: bool = False,
        with_cp: bool | None = None,
        activation_checkpointing: bool | None = None,
        norm_cfg: dict = dict(type='BN'),
        deploy: bool = False,
        keep_freed_memory: bool = True,
        init_cfg: dict | Sequence[dict] | None = (
            dict(type='Kaiming', layer=['Conv2d']),
            dict(type='Constant', val=1., layer=['_BatchNorm', 'GroupNorm'])),
        **unknown,
    ) -> None:
        for key in unknown:
            keys = keys_of(type(self))
            raise TypeError(
                f'{type(self).__name__} has no key {key!r}'
                f'{did_you_mean(key, keys)}; its keys are {", ".join(keys)}')
        super().__init__(
            list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg)
        self.arch = read_arch(arch, self.arch_zoo, self.families)
        last = len(self.arch['depths']) - 1
        self.stage_strides = tuple(
            2**min(i + 1, FIRST_TRANSFORMER + 1) for i in range(last + 1))
        self.out_indices, self._doublings = read_outputs(
            out_indices, out_strides, self.stage_strides)
        if frozen_stages not in range(-1, last + 1):
            raise ValueError('frozen_stages must be -1 (none) or a stage '
                             f'0..{last}, but is {frozen_stages!r}')
        if not 0 <= drop_path_rate < 1:
            raise ValueError('drop_path_rate must be in [0, 1), '
                             f'but is {drop_path_rate!r}')
        if None not in (with_cp, activation_checkpointing) and (
                with_cp != activation_checkpointing):
            raise ValueError(
                f'with_cp = {with_cp!r} and activation_checkpointing = '
                f'{activation_checkpointing!r} are two names of one key: give '
                'one of them')
        self.with_cp = bool(with_cp or activation_checkpointing)
        self.channels_last = channels_last
        self.drop_path_rate = drop_path_rate
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.mean_over_time = mean_over_time
        self.deploy = deploy
        self.keep_freed_memory = keep_freed_memory
        self.block_options = dict(neuron=neuron, norm_cfg=norm_cfg)

    def _conv_block(self, width: int, drop_path: float) -> nn.Module:
        """Make a block of stages 0 to 2.

        Args:
            width (int): Channels.
            drop_path (float): Probability to drop a branch.

        Returns:
            nn.Module: Maps (N, width, H, W) to the same shape.
        """
        raise NotImplementedError

    def _transformer_block(self, width: int, drop_path: float) -> nn.Module:
        """Make a block of the later stages; see :meth:`_conv_block`."""
        raise NotImplementedError

    def build_stages(self, in_channels: int) -> None:
        """Build all stages.

        Args:
            in_channels (int): Channels of the image.
        """
        dims, depths = self.arch['embed_dims'], self.arch['depths']
        widths = (in_channels, dims[0] // 2, *dims)
        rates = [0.] * sum(depths[:self.first_dropped])
        dropped = sum(depths) - len(rates)
        rates += [
            self.drop_path_rate * k / max(1, dropped - 1)
            for k in range(dropped)
        ]
        self.stages = nn.ModuleList()
        for i, depth in enumerate(depths):
            stage = Stage()
            stage.with_cp = self.with_cp
            options = dict(self.block_options)
            if i == 0:  # the stem sees an image, not spikes
                options.pop('neuron')
            stage.add_module(
                'downsample',
                conv_norm(
                    widths[i],
                    widths[i + 1],
                    kernel_size=3 if i else 7,
                    stride=2 if i <= FIRST_TRANSFORMER else 1,
                    bias=True,
                    **options))
            make = (
                self._conv_block
                if i < FIRST_TRANSFORMER else self._transformer_block)
            stage.add_module(
                'blocks',
                nn.Sequential(
                    *(make(widths[i + 1], rates.pop(0))
                      for _ in range(depth))))
            self.stages.append(stage)
        width = widths[max(self.out_indices) + 1]
        self.extra = nn.ModuleList(
            conv_norm(width, width, 3, stride=2, bias=True,
                      **self.block_options)
            for _ in range(self._doublings[-1]))
        self.timesteps: int | None = next(
            (m.timesteps for m in self.modules() if is_spiking(m)), None)
        if self.deploy:
            self.switch_to_deploy()
        self._freeze_stages()

    @property
    def out_strides(self) -> tuple[int, ...]:
        """Stride of each map that is returned."""
        *first, last = (
            self.stage_strides[i] for i in sorted(set(self.out_indices)))
        return (*first, *(last * 2**times for times in self._doublings))

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of each map that is returned."""
        *first, last = (
            self.stages[i].downsample.conv.out_channels
            for i in sorted(set(self.out_indices)))
        return (*first, *[last] * len(self._doublings))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Extract feature maps.

        Args:
            x (Tensor): Images of shape (N, in_channels, H, W), any H and W,
                which are shown in each time step; or event frames of shape
                (N, T, in_channels, H, W).

        Returns:
            tuple[Tensor]: Membrane potentials after each stage of
            ``out_indices``, in the order of the stages, and downsampled as
            ``out_strides`` says: (N * T, C, H', W'), all time steps of the
            first sample first, or (N, C, H', W') with ``mean_over_time``.
            They are contiguous, or channels-last where the input is or with
            ``channels_last``. Sides are rounded up.

        Raises:
            ValueError: If the input has another shape, or another T than
                ``neuron.timesteps``.
        """
        timesteps, repeats = self._time_of(x)
        if x.dim() == 5:
            x = x.flatten(0, 1)
        plain = not self.channels_last and not is_channels_last(x)
        # Convolutions are faster so; the layers keep the layout.
        x = to_channels_last(x)
        if self.keep_freed_memory and x.device.type == 'cpu':
            keep_freed_memory()
        outs = tuple(self._run_stages(x, repeats))
        if self.mean_over_time:
            outs = mean_over_time(outs, timesteps)
        return tuple(out.contiguous() for out in outs) if plain else outs

    def _run_stages(self, x: torch.Tensor, repeats: int) -> list[torch.Tensor]:
        """Run the stages up to the last of ``out_indices``, and ``extra``.

        Args:
            x (Tensor): Images, (N, C, H, W).
            repeats (int): How often each image is shown.

        Returns:
            list[Tensor]: Maps that are returned, (N * repeats, C', H', W').
        """
        outs, last = [], max(self.out_indices)
        for i in range(last + 1):
            # The stem has no state: its output is what is repeated.
            x = self._run_stage(i, x, 1 if i else repeats)
            if i in self.out_indices and (i < last or 0 in self._doublings):
                outs.append(self._on_grid(x))
        for times, downsample in enumerate(self.extra, 1):
            x = downsample(x)
            if times in self._doublings:
                outs.append(self._on_grid(x))
        return outs

    def _run_stage(self, index: int, x: torch.Tensor,
                   repeats: int) -> torch.Tensor:
        return self.stages[index](x, repeats, self._context)

    def _on_grid(self, x: torch.Tensor) -> torch.Tensor:
        """A map of what the stages work on."""
        return x

    def _context(self) -> AbstractContextManager:
        """Where a block runs again in the backward pass (``with_cp``)."""
        return nullcontext()

    def _time_of(self, x: torch.Tensor) -> tuple[int, int]:
        """T of the input, and how often an image is repeated."""
        if x.dim() == 4:
            timesteps = self.timesteps or 1
            return timesteps, timesteps
        if x.dim() != 5:
            raise ValueError(
                'the input must be images (N, C, H, W) or frames '
                f'(N, T, C, H, W), but has the shape {tuple(x.shape)}')
        if self.timesteps not in (None, x.shape[1]):
            raise ValueError(
                f'the input of shape {tuple(x.shape)} has {x.shape[1]} time '
                f'steps, but neuron.timesteps is {self.timesteps}')
        return x.shape[1], 1

    def switch_to_deploy(self) -> None:
        """Fold re-parameterised convolutions and layer scales, in place."""
        for child in self.children():
            deploy(child)
        self.deploy = True

    def get_layer_depth(self,
                        param_name: str,
                        prefix: str = '') -> tuple[int, int]:
        """Layer of a parameter, for layer-wise learning rate decay.

        The stem is layer 0 and each block is one more; a downsampling
        convolution belongs to the block behind it. What is behind the blocks
        (``extra``, heads) is the last layer.

        Args:
            param_name (str): Name of the parameter.
            prefix (str): Prefix of this backbone's parameters.

        Returns:
            tuple[int, int]: The layer, and the number of layers.

        Example:
            >>> from mmsnn.models import ESpikeFormer
            >>> model = ESpikeFormer('2.7m')  # 1 + 1 + 2 + 6 + 2 blocks
            >>> model.get_layer_depth('stages.2.blocks.1.mixer.expand.weight')
            (4, 14)
        """
        depths = self.arch['depths']
        layers = sum(depths) + 2
        name = param_name[len(prefix):].split('.')
        if not param_name.startswith(prefix) or name[0] != 'stages':
            return layers - 1, layers
        stage = int(name[1])
        block = int(name[3]) if name[2] == 'blocks' else 0
        if stage == 0 and name[2] == 'downsample':
            return 0, layers
        return sum(depths[:stage]) + block + 1, layers

    def train(self, mode: bool = True):
        """Set the mode; frozen stages stay in eval mode, and norms may.

        Args:
            mode (bool): Whether to train. Defaults to True.

        Returns:
            SpikingBackbone: The backbone itself.
        """
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
