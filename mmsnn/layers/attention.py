"""Spike-driven self-attention: one forward, three variants."""

import torch
from mmengine.model import BaseModule
from torch import nn

from mmsnn.neurons import build_neuron, is_spiking
from mmsnn.neurons.packed import cast
from mmsnn.neurons.saving import as_autocast_does, saved_as_bytes

from .reparam import LinearPair, RepConv
from .synapse import conv_norm

#: Integers up to here are exact in float32.
EXACT_FLOAT32 = 2**24


def linear_attention(query: torch.Tensor, key: torch.Tensor,
                     value: torch.Tensor, max_spikes: int) -> torch.Tensor:
    """``Q (K^T V)`` of spike counts: linear in tokens, and exact.

    The product of integers does not depend on the order, so the one that is
    linear in the tokens is taken. Sums stay integers; where they could pass
    2^24 (more than ``tokens x head_dim x D^3``) they are computed in float64.
    Autocast is off inside.

    Args:
        query (Tensor): Spike counts of shape (N, heads, tokens, head_dim).
        key (Tensor): Spike counts, same shape.
        value (Tensor): Spike counts, (N, heads, tokens, value_dim).
        max_spikes (int): D; 0 when the operands are not spike counts.

    Returns:
        Tensor: (N, heads, tokens, value_dim), float32 or float64.

    Example:
        >>> q = k = torch.tensor([[[[2., 1.], [0., 3.]]]])
        >>> v = torch.tensor([[[[1.], [4.]]]])
        >>> linear_attention(q, k, v, max_spikes=4).flatten().tolist()
        [17.0, 39.0]
    """
    tokens, head_dim = query.shape[-2:]
    bound = tokens * head_dim * max_spikes**3
    dtype = torch.float64 if (query.dtype == torch.float64
                              or bound > EXACT_FLOAT32) else torch.float32
    with torch.autocast(query.device.type, enabled=False):
        query, key, value = (x.to(dtype) for x in (query, key, value))
        return query @ (key.transpose(-2, -1) @ value)


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

    def _split_heads(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, heads, H * W, C / heads)."""
        n, channels, height, width = x.shape
        return x.reshape(n, self.num_heads, channels // self.num_heads,
                         height * width).transpose(-2, -1)

    def _join_heads(self, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """(N, heads, H * W, c) to (N, heads * c, H, W), laid out as ``like``,
        so that the layers behind keep their memory format."""
        n, _, height, width = like.shape
        channels = x.shape[1] * x.shape[3]
        if like.is_contiguous(memory_format=torch.channels_last):
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
        membrane = x
        x = as_autocast_does(self.neuron(x))
        with saved_as_bytes(x):
            query = self._split_heads(self.query_neuron(self.query(x)))
            key = self._split_heads(self.key_neuron(self.key(x)))
            value = self._split_heads(self.value_neuron(self.value(x)))
        x = linear_attention(query, key, value, self.max_spikes)
        x = self._join_heads(x, membrane)
        if not self.max_spikes:
            x = x * self.factor
        x = as_autocast_does(cast(self.attention_neuron(x), membrane.dtype))
        with saved_as_bytes(x):
            return self.proj(x)


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
