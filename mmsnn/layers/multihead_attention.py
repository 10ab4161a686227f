"""Softmax attention whose linear layers stand behind neurons."""

import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.neurons import build_neuron
from mmsnn.neurons.saving import apply_to_spikes
from mmsnn.registry import MODELS

from .mixing import mixed_form
from .synapse import SpikeLinear, SpikingSynapse, recast


@MODELS.register_module()
class SpikeMultiheadAttention(nn.MultiheadAttention):
    """``nn.MultiheadAttention`` with neurons in front of its linear layers.

    Query, key and value each fire (once where they are one tensor), and the
    projections add weights of spikes. What follows works on real values, as
    in the layer itself: ``softmax(q k^T / sqrt(d)) v``. Its result fires in
    front of the output projection. Parameters keep their names, and PyTorch's
    fused kernels, which would pass the neurons, are not used.

    Args:
        *args: As in ``nn.MultiheadAttention``.
        neuron (dict): Config of the neurons.
        **kwargs: As in ``nn.MultiheadAttention``.

    Example:
        >>> layer = SpikeMultiheadAttention(
        ...     4, 2, batch_first=True, neuron=dict(type='mmsnn.SFANeuron'))
        >>> x = torch.rand(1, 3, 4)
        >>> out, weights = layer(x, x, x)
        >>> out.shape, weights.shape
        (torch.Size([1, 3, 4]), torch.Size([1, 3, 3]))
        >>> sorted(layer.state_dict())[:2]
        ['in_proj_bias', 'in_proj_weight']
    """

    def __init__(self, *args, neuron: dict, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._place(neuron)

    @classmethod
    def from_plain(cls, layer: nn.MultiheadAttention,
                   neuron: dict) -> 'SpikeMultiheadAttention':
        """The spiking form of an attention layer, with its parameters.

        Args:
            layer (nn.MultiheadAttention): The layer; it is left as it is.
            neuron (dict): Config of the neurons.

        Returns:
            SpikeMultiheadAttention: An instance of this class.
        """
        new = recast(layer, cls)
        new._place(neuron)
        return new

    def _place(self, neuron: dict) -> None:
        self.neuron = build_neuron(neuron)
        if not isinstance(self.out_proj, SpikingSynapse):
            form = mixed_form(SpikeLinear, type(self.out_proj), 'Spike')
            self.out_proj = form.from_plain(self.out_proj, neuron)

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend, with the arguments of ``nn.MultiheadAttention``.

        Args:
            query (Tensor): (L, N, E), or (N, L, E) with ``batch_first``, or
                (L, E).
            key (Tensor): (S, N, E_k), (N, S, E_k) or (S, E_k).
            value (Tensor): (S, N, E_v), (N, S, E_v) or (S, E_v).
            key_padding_mask (Tensor, optional): (N, S) or (S,). Bool: True
                where a key is left out; float: added to the scores.
            need_weights (bool): Return the weights, too. Defaults to True.
            attn_mask (Tensor, optional): (L, S) or (N * heads, L, S), bool
                or float as above.
            average_attn_weights (bool): Average them over the heads. Defaults
                to True.
            is_causal (bool): Only a hint that ``attn_mask`` is causal.

        Returns:
            tuple[Tensor, Tensor | None]: The result, like ``query``, and the
            weights, (N, L, S) or (N, heads, L, S), without N where ``query``
            has none.

        Raises:
            ValueError: If ``is_causal`` is set without ``attn_mask``, or a
                mask has no valid shape.
        """
        if is_causal and attn_mask is None:
            raise ValueError('is_causal is only a hint: give the causal mask '
                             'as attn_mask, too')
        batched = query.dim() == 3
        if not batched and key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        query, key, value = self._project(
            *self._fire((query, key, value), batched))
        mask = self._mask(attn_mask, key_padding_mask, query, key)
        key, value = self._lengthen(key, value)

        scores = query * self.head_dim**-0.5 @ key.transpose(-2, -1)
        if mask is not None:
            scores = scores + F.pad(mask, (0, key.shape[2] - mask.shape[-1]))
        weights = F.dropout(scores.softmax(-1), self.dropout, self.training)
        out = self.out_proj((weights @ value).transpose(1, 2).flatten(2))

        if not batched:
            out = out.squeeze(0)
        elif not self.batch_first:
            out = out.transpose(0, 1)
        if not need_weights:
            return out, None
        weights = weights.mean(1) if average_attn_weights else weights
        return out, weights if batched else weights.squeeze(0)

    def _fire(self, inputs: tuple[torch.Tensor, ...],
              batched: bool) -> list[torch.Tensor]:
        """Spikes of each input, (N, length, E)."""
        fired = []
        for i, x in enumerate(inputs):
            before = [j for j in range(i) if inputs[j] is x]
            if before:
                fired.append(fired[before[0]])
                continue
            if not batched:
                x = x.unsqueeze(0)
            elif not self.batch_first:
                x = x.transpose(0, 1)
            fired.append(self.neuron(x))
        return fired

    def _project(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        """Queries, keys and values, (N, heads, length, head_dim)."""
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        if self.in_proj_weight is not None:
            weights = self.in_proj_weight.chunk(3)
        biases = (None, ) * 3
        if self.in_proj_bias is not None:
            biases = self.in_proj_bias.chunk(3)
        found = []
        for x, weight, bias in zip(inputs, weights, biases):
            found.append(
                self._split(apply_to_spikes(F.linear, x, weight, bias)))
        return found

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def _lengthen(self, key, value):
        """Append the learnt key and value, and those that are zero."""
        if self.bias_k is not None:
            key, value = (
                torch.cat([x, self._split(b).expand(len(x), -1, -1, -1)], 2)
                for x, b in ((key, self.bias_k), (value, self.bias_v)))
        if self.add_zero_attn:
            key, value = (F.pad(x, (0, 0, 0, 1)) for x in (key, value))
        return key, value

    def _mask(self, attn_mask: torch.Tensor | None,
              key_padding_mask: torch.Tensor | None, query: torch.Tensor,
              key: torch.Tensor) -> torch.Tensor | None:
        """Both masks as one that is added to (N, heads, L, S)."""
        samples, heads, length = query.shape[:3]
        source = key.shape[2]
        shapes = dict(
            attn_mask=[(length, source), (samples * heads, length, source)],
            key_padding_mask=[(samples, source)])
        masks = dict(attn_mask=attn_mask, key_padding_mask=key_padding_mask)
        found = []
        for name, mask in masks.items():
            if mask is None:
                continue
            if tuple(mask.shape) not in shapes[name]:
                raise ValueError(
                    f'{name} must have the shape '
                    f'{" or ".join(map(str, shapes[name]))}, but has '
                    f'{tuple(mask.shape)}')
            if name == 'key_padding_mask':
                mask = mask[:, None, None]
            elif mask.dim() == 3:
                mask = mask.unflatten(0, (samples, heads))
            found.append(_added(mask, query.dtype))
        if len(found) == 2:
            return found[0] + found[1]
        return found[0] if found else None


def _added(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A mask to add: minus infinity where a bool one is True."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros_like(
        mask, dtype=dtype).masked_fill_(mask, float('-inf'))
