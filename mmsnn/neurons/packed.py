"""Spikes as bytes: all that the backward pass needs of a neuron's output.

A byte holds the spike count of an element in its low seven bits, and in the
highest whether the membrane potential is inside the gradient window. NaN is
the count 127, so that D is :data:`MOST` at most; beyond, the counts are 0 and
only the window means something. Count times scale is rounded as the neuron
rounds it, so that the output comes back bit for bit.

A neuron in training leaves the bytes at its output (:func:`spike_bytes`),
where :func:`.saving.saved_as_bytes` finds them.
"""

from collections import OrderedDict

import torch
from torch.autograd.function import once_differentiable

from . import gpu, native

#: The largest D whose counts are kept.
MOST = 126
#: What stands for the count of NaN, and masks the counts.
NO_NUMBER = 127


def mask(max_spikes: int) -> int:
    """The bits of a byte that count, all of them set.

    Args:
        max_spikes (int): D.

    Returns:
        int: 0 where only the window is kept.

    Example:
        >>> mask(4), mask(255)
        (127, 0)
    """
    return NO_NUMBER if max_spikes <= MOST else 0


class SpikeBytes:
    """The bytes of a neuron's output.

    Args:
        scale (float): Factor on the counts.
        dtype (torch.dtype): In which count times scale is computed.
        version (tuple[int, int]): Of the output when it was fired.
            (:func:`version_of`).
        kept (Tensor, optional): uint8, in the layout of the output. Defaults
            to None: they are made of the output when they are asked for.
    """

    __slots__ = ('scale', 'dtype', 'version', 'kept')

    def __reduce__(self) -> tuple:
        # A tensor that is written to a file goes without its bytes: one read
        # by ``weights_only=True`` may have an empty dict in their place.
        return OrderedDict, ()

    def __init__(self,
                 scale: float,
                 dtype: torch.dtype,
                 version: tuple[int, int],
                 kept: torch.Tensor | None = None) -> None:
        self.scale = scale
        self.dtype = dtype
        self.version = version
        self.kept = kept

    def made_of(self, values: torch.Tensor) -> torch.Tensor | None:
        """The bytes, as they lie in memory.

        Args:
            values (Tensor): The output.

        Returns:
            Tensor | None: uint8, (number of elements,). None if the output
            does not fill one piece of memory.
        """
        if self.kept is None:
            if not _is_dense(values):
                return None
            self.kept = pack(values, self.scale)
        return self.kept.as_strided((self.kept.numel(), ), (1, ))


def mark(values: torch.Tensor,
         max_spikes: int,
         scale: float,
         kept: torch.Tensor | None = None) -> None:
    """Leave the bytes of a neuron's output at it.

    Args:
        values (Tensor): Spike counts times ``scale``, any shape.
        max_spikes (int): D; above :data:`MOST` nothing is done.
        scale (float): Factor on the counts.
        kept (Tensor, optional): Their bytes, uint8, if there are any yet.

    Example:
        >>> values = torch.tensor([0., .5, 1.])
        >>> mark(values, 2, .5)
        >>> spike_bytes(values).made_of(values).tolist()
        [0, 1, 2]
    """
    if (max_spikes <= MOST and type(values) is torch.Tensor
            and not values.storage_offset()):
        values.spike_bytes = SpikeBytes(scale, values.dtype,
                                        _version(values), kept)


def spike_bytes(values: torch.Tensor) -> SpikeBytes | None:
    """The bytes of a neuron's output, if it is as the neuron has made it.

    Args:
        values (Tensor): Any tensor.

    Returns:
        SpikeBytes | None: None if it is no output of a neuron in training,
        or was changed in place since.

    Example:
        >>> values = torch.tensor([0., .5, 1.])
        >>> mark(values, 2, .5)
        >>> spike_bytes(values.mul_(2)) is None
        True
    """
    found = getattr(values, 'spike_bytes', None)
    if type(found) is not SpikeBytes or found.version != _version(values):
        return None
    return found


def cast(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Spikes in another type, with their bytes.

    Args:
        values (Tensor): Any tensor.
        dtype (torch.dtype): The type.

    Returns:
        Tensor: ``values.to(dtype)``.

    Example:
        >>> values = torch.tensor([0., .5, 1.])
        >>> mark(values, 2, .5)
        >>> spike_bytes(cast(values, torch.float64)).dtype
        torch.float32
    """
    found, out = spike_bytes(values), values.to(dtype)
    if (found is not None and out is not values
            and found.made_of(values) is not None):
        out.spike_bytes = SpikeBytes(found.scale, found.dtype,
                                     _version(out), found.kept)
    return out


def fire(membrane: torch.Tensor, max_spikes: int, scale: float,
         offset: float) -> torch.Tensor:
    """:func:`.quantizer.spike_firing` by a C kernel, its bytes kept.

    Args:
        membrane (Tensor): Membrane potential over the threshold, for which
            :func:`.native.usable`.
        max_spikes (int): D.
        scale (float): Factor on the counts.
        offset (float): 1/2 (SFA) or 0 (classical neurons).

    Returns:
        Tensor: Spike counts times ``scale``, same shape, dtype and layout.

    Example:
        >>> u = torch.tensor([-1., 1.6, 9.], requires_grad=True)
        >>> values = fire(u, 4, 0.25, 0.5)  # the second is in the window
        >>> spike_bytes(values).made_of(values).tolist()
        [0, 130, 4]
    """
    values, kept = _Fire.apply(membrane, max_spikes, scale, offset,
                               mask(max_spikes))
    mark(values, max_spikes, scale, kept)
    return values


class _Fire(torch.autograd.Function):

    @staticmethod
    def forward(ctx, u, max_spikes, scale, offset, mask):
        values = torch.empty_like(u)
        kept = torch.empty_like(u, dtype=torch.uint8)
        native.kernel('pack', u.dtype)(u.data_ptr(), values.data_ptr(),
                                       kept.data_ptr(), u.numel(), max_spikes,
                                       scale, offset, mask,
                                       torch.get_num_threads())
        ctx.scale = scale
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(kept)
        ctx.save_for_backward(kept)
        return values, kept

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, _):
        if grad is None:
            return (None, ) * 5
        kept, = ctx.saved_tensors
        if grad.stride() == kept.stride() and native.usable(grad):
            out = torch.empty_like(grad)
            native.kernel('through_window',
                          grad.dtype)(grad.data_ptr(), kept.data_ptr(),
                                      out.data_ptr(), grad.numel(), ctx.scale,
                                      torch.get_num_threads())
        else:
            out = torch.where(kept > NO_NUMBER, grad * ctx.scale, 0)
        return out, *(None, ) * 4


def pack(values: torch.Tensor, scale: float) -> torch.Tensor:
    """Bytes of spikes, without a window.

    Args:
        values (Tensor): Spike counts times ``scale``, up to :data:`MOST`
            spikes; dense.
        scale (float): Factor on the counts.

    Returns:
        Tensor: uint8, same shape and layout.

    Example:
        >>> pack(torch.tensor([0., .75, torch.nan]), .25).tolist()
        [0, 3, 127]
    """
    with torch.no_grad():
        if gpu.usable(values):
            return gpu.pack(values, scale, NO_NUMBER)
        if native.usable(values):
            kept = torch.empty_like(values, dtype=torch.uint8)
            native.kernel('pack_values',
                          values.dtype)(values.data_ptr(), kept.data_ptr(),
                                        values.numel(), scale,
                                        torch.get_num_threads())
            return kept
        # A quotient in half precision would be rounded before it is whole.
        wide = torch.promote_types(values.dtype, torch.float32)
        counts = (values.to(wide) / scale).round_()
        return counts.nan_to_num_(NO_NUMBER).to(torch.uint8)


def unpack(kept: torch.Tensor, scale: float,
           dtype: torch.dtype) -> torch.Tensor:
    """Spikes of their bytes.

    Args:
        kept (Tensor): uint8, contiguous.
        scale (float): Factor on the counts.
        dtype (torch.dtype): In which count times scale is computed.

    Returns:
        Tensor: Spike counts times ``scale``, same shape.

    Example:
        >>> kept = torch.tensor([0, 3, 131, 127], dtype=torch.uint8)
        >>> unpack(kept, .25, torch.float32)
        tensor([0.0000, 0.7500, 0.7500,    nan])
    """
    values = torch.empty_like(kept, dtype=dtype)
    if gpu.usable(values):
        gpu.unpack(kept, values, scale, NO_NUMBER)
        return values
    if native.usable(values):
        native.kernel('unpack', dtype)(kept.data_ptr(), values.data_ptr(),
                                       kept.numel(), scale,
                                       torch.get_num_threads())
        return values
    counts = kept & NO_NUMBER
    values.copy_(counts)
    return values.mul_(scale).masked_fill_(counts == NO_NUMBER, torch.nan)


def _version(values: torch.Tensor) -> tuple[int, int]:
    """What is another once values were changed, as far as autograd is told:
    writing to ``values.data`` or to the memory by NumPy is not seen."""
    return values._version, values.data_ptr()


def _is_dense(values: torch.Tensor) -> bool:
    """Whether what is like a tensor lies in memory as it does."""
    return native.is_dense(values) or torch.empty_like(
        values, device='meta').stride() == values.stride()
