"""Spike-driven self-attention: one forward, three variants."""

import torch
from mmengine.model import BaseModule
from torch import nn

from mmsnn.neurons import build_neuron, is_spiking
from mmsnn.neurons.packed import cast
from mmsnn.neurons.saving import apply_to_spikes, saved_as_bytes

from .exact_products import linear_attention
from .layout import is_channels_last
from .reparam import LinearPair, RepConv
from .synapse import conv_norm


def _counts_per_unit(scale: float) -> float:
    """One over a scale; whole where that is 1 / D, rounded to float32."""
    whole = round(1 / scale)
    rounded = torch.tensor(
        1 / max(whole, 1), dtype=torch.float32, device='cpu').item()
    return whole if rounded == scale else 1 / scale


class SpikeAttention(BaseModule):
    """Spike-driven self-attention; its subclasses are the variants.

    Behind a neuron, projections make queries and keys (C->C) and values
    (C->rC), and a neuron fires on each. Each head computes ``(q k^T) v`` times
    a factor; behind one more neuron, a projection leads back (rC->C). The
    factor and the scales of q, k, v are in the threshold of the last neuron,
    so that nothing is multiplied at inference.

    A variant says how a projection is made (:meth:`_projection`), and its
    ``value_ratio``, ``factor`` and ``threshold_ratio``.

    Args:
        channels (int): C.
        neuron (dict): Config of the neurons.
        num_heads (int): Defaults to 8.
        value_ratio (int, optional): r. Defaults to None, the variant's own.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.

    Raises:
        ValueError: If ``num_heads`` does not divide ``channels``.
    """

    #: r, width of the values over that of queries and keys.
    value_ratio = 1
    #: Factor on ``(q k^T) v``.
    factor = 1 / 8
    #: Threshold of the last neuron over that of the others.
    threshold_ratio = 1.0

    def __init__(self,
                 channels: int,
                 neuron: dict,
                 num_heads: int = 8,
                 value_ratio: int | None = None,
                 norm_cfg: dict = dict(type='BN')) -> None:
        super().__init__()
        if num_heads < 1 or channels % num_heads:
            raise ValueError(f'arch.num_heads = {num_heads} does not divide '
                             f'the {channels} channels of embed_dims')
        self.num_heads = num_heads
        wide = channels * (value_ratio or self.value_ratio)
        self.neuron = build_neuron(neuron)
        self.query = self._projection(channels, channels, norm_cfg)
        self.key = self._projection(channels, channels, norm_cfg)
        self.value = self._projection(channels, wide, norm_cfg)
        counts = dict(scale=1.0, inplace=True)
        self.query_neuron = build_neuron(neuron, **counts)
        self.key_neuron = build_neuron(neuron, **counts)
        self.value_neuron = build_neuron(neuron, **counts)
        self.max_spikes = 0
        options = {}
        if is_spiking(self.neuron):
            self.max_spikes = self.neuron.max_spikes
            ratio = self.threshold_ratio
            # A smooth surrogate has its slope over the membrane potential,
            # not over that potential in units of the lower threshold.
            options = dict(
                threshold=ratio * self.neuron.threshold *
                _counts_per_unit(self.neuron.scale)**3 / self.factor,
                slope=ratio * self.neuron.slope)
        self.attention_neuron = build_neuron(neuron, inplace=True, **options)
        self.proj = self._projection(wide, channels, norm_cfg)

    @staticmethod
    def _projection(in_channels: int, out_channels: int,
                   norm_cfg: dict) -> nn.Module:
        """Make a projection; a variant says how.

        Args:
            in_channels (int): C_in.
            out_channels (int): C_out.
            norm_cfg (dict): Config of the norms.

        Returns:
            nn.Module: Maps spikes (N, C_in, H, W) to membrane potentials
            (N, C_out, H, W).
        """
        raise NotImplementedError

    def _split_heads(self, x: torch.Tensor,
                     like: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W), laid out as ``like``, to (N, heads, H * W, C / heads).
        Its gradient has that layout again."""
        n, channels, height, width = x.shape
        tokens, each = height * width, channels // self.num_heads
        if is_channels_last(like):
            x = x.permute(0, 2, 3, 1)
            return x.reshape(n, tokens, self.num_heads, each).transpose(1, 2)
        return x.reshape(n, self.num_heads, each, tokens).transpose(-2, -1)

    def _join_heads(self, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """(N, heads, H * W, c) to (N, heads * c, H, W), laid out as ``like``,
        so that the layers behind keep their memory format."""
        n, _, height, width = like.shape
        channels = x.shape[1] * x.shape[3]
        if is_channels_last(like):
            x = x.transpose(1, 2).reshape(n, height, width, channels)
            return x.permute(0, 3, 1, 2)
        return x.transpose(-2, -1).reshape(n, channels, height, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Let each position attend to all positions.

        Args:
            x (Tensor): Membrane potentials of shape (N, C, H, W).

        Returns:
            Tensor: Membrane potentials of shape (N, C, H, W).
        """
        membrane, spikes = x, self.neuron(x)
        counts = [
            neuron(apply_to_spikes(projection, spikes))
            for projection, neuron in ((self.query, self.query_neuron),
                                       (self.key, self.key_neuron),
                                       (self.value, self.value_neuron))
        ]
        with saved_as_bytes(*counts):
            x = linear_attention(
                *(self._split_heads(y, membrane) for y in counts),
                self.max_spikes)
        x = self._join_heads(x, membrane)
        if not self.max_spikes:
            x = x * self.factor
        x = cast(self.attention_neuron(x), membrane.dtype)
        return apply_to_spikes(self.proj, x)


class ESDSA(SpikeAttention):
    """E-SDSA of E-SpikeFormer's base family (paper, section 3.3).

    Projections are 1x1 convolutions with a norm, the values are four times as
    wide, the factor is ``2 / sqrt(C / heads)``.

    Args:
        channels (int): C.
        neuron (dict): Config of the neurons.
        num_heads (int): Defaults to 8.
        **kwargs: Other keys of :class:`SpikeAttention`.

    Raises:
        ValueError: If ``num_heads`` does not divide ``channels``.

    Example:
        >>> attention = ESDSA(16, dict(type='mmsnn.SFANeuron'), num_heads=4)
        >>> attention(torch.rand(1, 16, 3, 5)).shape
        torch.Size([1, 16, 3, 5])
        >>> attention.attention_neuron.threshold  # D^3 over a factor of 1
        64.0
    """

    value_ratio = 4

    def __init__(self, channels: int, neuron: dict, num_heads: int = 8,
                 **kwargs) -> None:
        if num_heads > 0:
            self.factor = 2 * (channels // num_heads)**-0.5
        super().__init__(channels, neuron, num_heads, **kwargs)

    @staticmethod
    def _projection(in_channels, out_channels, norm_cfg):
        return conv_norm(in_channels, out_channels, 1, norm_cfg=norm_cfg)


class LinearPairESDSA(SpikeAttention):
    """E-SDSA of E-SpikeFormer's large family.

    Projections are linear pairs, 1.5 times as wide between, with one more
    norm behind; the values are as wide as the queries; the factor is 1/8.

    Example:
        >>> attention = LinearPairESDSA(16, dict(type='mmsnn.SFANeuron'))
        >>> attention(torch.rand(1, 16, 3, 5)).shape
        torch.Size([1, 16, 3, 5])
    """

    @staticmethod
    def _projection(in_channels, out_channels, norm_cfg):
        return LinearPair(
            in_channels,
            out_channels,
            expand_ratio=1.5,
            outer_norm=True,
            norm_cfg=norm_cfg)


class SDSA3(SpikeAttention):
    """SDSA-3 of Meta-SpikeFormer.

    Projections are :class:`RepConv` with one more norm behind; the values are
    as wide as the queries; the factor is 1/8; the last neuron has half the
    threshold of the others.

    Example:
        >>> attention = SDSA3(16, dict(type='mmsnn.SFANeuron', max_spikes=2))
        >>> attention.attention_neuron.threshold  # 2^3 * 8 / 2
        32.0
    """

    threshold_ratio = 0.5

    @staticmethod
    def _projection(in_channels, out_channels, norm_cfg):
        return RepConv(
            in_channels, out_channels, outer_norm=True, norm_cfg=norm_cfg)
