"""What operations keep of spikes for their backward pass: bytes.

An operation behind a neuron (a convolution, a product) saves the neuron's
output to compute the gradient of its weights. Inside of
:class:`saved_as_bytes` it saves the neuron's bytes in its place
(:mod:`.packed`), and gets its output, bit for bit, in the backward pass. What
an operation saves is known by where it lies in memory: a copy or a changed
output is saved as it is.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch._C import _autograd

from .autocast import autocast_type, without_autocast
from .native import is_followed
from .packed import cast, spike_bytes, unpack

#: Products of an output up to which it is convolved again.
MOST_PRODUCTS = 100


class _SavingHooks:
    """Hooks on what a block saves for its backward pass.

    Hooks on saved tensors around the block get all that is saved: gradient
    checkpointing drops it, and offloading moves it. Bytes may come back in
    any type that holds them.
    """

    def __enter__(self) -> None:
        self.outer = None
        self.active = (
            torch.is_grad_enabled() and not is_followed()
            and _autograd._saved_tensors_hooks_is_enabled())
        if self.active:
            self.outer = _autograd._top_saved_tensors_default_hooks(True)
            self.active = self._wanted()
        if self.active:
            _autograd._push_saved_tensors_default_hooks(self._pack, _unpacked)

    def __exit__(self, *error) -> None:
        if self.active:
            _autograd._pop_saved_tensors_default_hooks()

    def _wanted(self) -> bool:
        """Whether there is anything to save otherwise."""
        raise NotImplementedError

    def _pack(self, tensor: torch.Tensor) -> Callable[[], torch.Tensor]:
        """What is saved of a tensor, and gives it back."""
        raise NotImplementedError


class saved_as_bytes(_SavingHooks):  # noqa: N801 (used as a function)
    """While a block runs, its operations save bytes in place of spikes.

    Nothing is done without gradients, or where something follows operations
    (:func:`.native.is_followed`).

    Args:
        *values (Tensor): Outputs of neurons. Of any other tensor nothing is
            known, and the block saves it as it is.

    Example:
        >>> from mmsnn.neurons import SFANeuron
        >>> u = torch.rand(4, requires_grad=True)
        >>> weight = torch.ones(4, requires_grad=True)
        >>> spikes = SFANeuron()(4 * u)
        >>> with saved_as_bytes(spikes):
        ...     out = (spikes * weight).sum()
        >>> out.backward()
        >>> torch.equal(weight.grad, spikes)
        True
    """

    def __init__(self, *values: torch.Tensor) -> None:
        self.values = [x for x in values if spike_bytes(x) is not None]

    def _wanted(self) -> bool:
        return bool(self.values)

    def __exit__(self, *error) -> None:
        super().__exit__(*error)
        # The hooks live on in what was saved.
        self.values = []

    def _pack(self, tensor):
        for values in self.values:
            if _is_of(values, tensor):
                found = spike_bytes(values)
                kept = None if found is None else found.made_of(values)
                if kept is not None:
                    return _SavedBytes(kept, found, tensor, self.outer)
        return _Saved(tensor, self.outer)


def _is_of(values: torch.Tensor, tensor: torch.Tensor) -> bool:
    """Whether a tensor is a view of values, or these themselves."""
    return (type(tensor) is torch.Tensor and tensor.dtype is values.dtype
            and tensor.numel() > 0
            and tensor.untyped_storage().data_ptr() == values.data_ptr())


class convolved_again(_SavingHooks):  # noqa: N801 (used as a function)
    """While a block runs, outputs of its convolutions are not saved.

    A norm behind a convolution saves what it reads. Here it is convolved once
    more in the backward pass, from what the convolution has saved anyway: the
    same bits. It is worth its time behind convolutions of few products, up to
    :data:`MOST_PRODUCTS` for an output. Of others and of those with a bias the
    output is saved as ever, and so is all inside of gradient checkpointing,
    which drops it itself. The norm's gradients need the convolution's weight
    as it was, and its part of the graph.

    Example:
        >>> conv = torch.nn.Conv2d(1, 1, 1, bias=False)
        >>> with convolved_again():
        ...     out = conv(torch.ones(1, 1, 1, 2)).square().sum()
        >>> out.backward()
        >>> torch.allclose(conv.weight.grad, 4 * conv.weight)
        True
    """

    def _wanted(self) -> bool:
        return (self.outer is None
                or self.outer[0].__module__ != 'torch.utils.checkpoint')

    def _pack(self, tensor):
        node = tensor.grad_fn
        if (node is not None and node.name() == 'ConvolutionBackward0'
                and type(tensor) is torch.Tensor and not tensor._version
                and not sum(node._saved_bias_sym_sizes_opt or ())
                and not node._saved_transposed
                and node._saved_weight[0].numel() <= MOST_PRODUCTS):
            return _Convolved(node)
        return _Saved(tensor, self.outer)


def apply_to_spikes(layer: Callable[..., Any], values: torch.Tensor, *args,
                    **kwargs) -> Any:
    """Call a layer that does no more with its input than autocast casts.

    Layers that read the same spikes are called with it one by one: under
    autocast the gradients of their inputs are then summed in the type of the
    spikes, not in the shorter one.

    Args:
        layer (Callable): A convolution, a linear, or what starts with one.
        values (Tensor): A neuron's output, or any tensor.
        *args: Further arguments of the layer.
        **kwargs: As ``args``.

    Returns:
        What the layer returns. For its backward pass it has saved the bytes
        of spikes.

    Example:
        >>> apply_to_spikes(torch.nn.Flatten(0), torch.ones(1, 2))
        tensor([1., 1.])
    """
    values = as_autocast_does(values)
    with saved_as_bytes(values):
        return layer(values, *args, **kwargs)


def as_autocast_does(values: torch.Tensor) -> torch.Tensor:
    """What a convolution or linear reads of its input under autocast.

    Args:
        values (Tensor): A neuron's output, or any tensor.

    Returns:
        Tensor: A neuron's output in autocast's type, with its bytes, where
        autocast is on; ``values`` otherwise, which is cast later.

    Example:
        >>> x = torch.ones(2)
        >>> as_autocast_does(x) is x
        True
    """
    dtype = autocast_type(values.device)
    if (dtype is None or values.dtype is torch.float64
            or spike_bytes(values) is None):
        return values
    return cast(values, dtype)


def _unpacked(saved: Callable[[], torch.Tensor]) -> torch.Tensor:
    return saved()


class _Saved:
    """A tensor that is saved as it is, as if there were no hooks."""

    __slots__ = ('tensor', 'version', 'outer')

    def __init__(self, tensor: torch.Tensor, outer: tuple | None) -> None:
        self.outer, self.version = outer, tensor._version
        self.tensor = tensor.detach() if outer is None else outer[0](tensor)

    def __call__(self) -> torch.Tensor:
        if self.outer is not None:
            return self.outer[1](self.tensor)
        if self.tensor._version != self.version:
            raise RuntimeError(
                'one of the variables needed for gradient computation has '
                'been modified by an inplace operation: '
                f'[{self.tensor.type()} {list(self.tensor.shape)}] is at '
                f'version {self.tensor._version}; expected version '
                f'{self.version} instead')
        return self.tensor


class _SavedBytes:
    """A view of a neuron's output, saved as its bytes."""

    __slots__ = ('kept', 'outer', 'scale', 'computed', 'dtype', 'shape',
                 'stride', 'start')

    def __init__(self, kept: torch.Tensor, found: Any, tensor: torch.Tensor,
                 outer: tuple | None) -> None:
        self.outer = outer
        self.kept = kept if outer is None else outer[0](kept)
        self.scale, self.dtype = found.scale, tensor.dtype
        # Rounding to float32 first changes nothing.
        direct = (found.dtype, tensor.dtype) == (torch.float32, torch.bfloat16)
        self.computed = tensor.dtype if direct else found.dtype
        self.shape = tensor.shape
        self.stride, self.start = tensor.stride(), tensor.storage_offset()

    def __call__(self) -> torch.Tensor:
        kept = self.kept
        if self.outer is not None:
            kept = self.outer[1](kept).to(torch.uint8)
        # What lies between the first and the last element in memory.
        length = 1 + sum(
            (n - 1) * step for n, step in zip(self.shape, self.stride))
        values = unpack(kept[self.start:self.start + length], self.scale,
                        self.computed)
        return values.to(self.dtype).as_strided(self.shape, self.stride)


class _Convolved:
    """Output of a convolution, as what its node in the graph has saved."""

    __slots__ = ('node', )

    def __init__(self, node: torch.autograd.graph.Node) -> None:
        self.node = node

    def __call__(self) -> torch.Tensor:
        node = self.node
        inputs, weight = node._saved_input, node._saved_weight
        with torch.no_grad(), without_autocast(inputs.device):
            return torch.convolution(
                inputs, weight, None, node._saved_stride, node._saved_padding,
                node._saved_dilation, node._saved_transposed,
                node._saved_output_padding, node._saved_groups)
