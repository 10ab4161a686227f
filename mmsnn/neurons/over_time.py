"""What the kernels over time (:mod:`.temporal`, :mod:`.gpu`) have in common:
what they know of a neuron, what they keep, and when they may not run."""

import torch

from . import native

SURROGATES = ('rectangle', 'sigmoid', 'arctan')


def wide(x: torch.Tensor) -> torch.dtype:
    """The type of membrane potentials over time.

    Args:
        x (Tensor): Inputs.

    Returns:
        torch.dtype: float64, or float32 for all other types.

    Example:
        >>> wide(torch.zeros(1, dtype=torch.float16))
        torch.float32
    """
    return torch.promote_types(x.dtype, torch.float32)


def need_gradient(*inputs: torch.Tensor | None) -> bool:
    """Whether a backward pass may follow.

    Args:
        *inputs (Tensor, optional): What a neuron reads.

    Returns:
        bool: Whether one of them wants a gradient.

    Example:
        >>> need_gradient(torch.ones(1), None)
        False
    """
    return torch.is_grad_enabled() and any(
        x is not None and x.requires_grad for x in inputs)


def options_of(neuron) -> tuple[list[float], list[int]]:
    """What the kernels need to know of a neuron.

    Args:
        neuron (SpikingNeuron): The neuron.

    Returns:
        tuple[list[float], list[int]]: The first and the last fields of the
        structure, without the number of threads. A learnt decay is left open.

    Example:
        >>> from mmsnn.neurons import LIFNeuron
        >>> options_of(LIFNeuron(decay=0.25))
        ([0.25, 0.75, 1.0, 1.0, 4.0, 1.0, 1.0], [1, 1, 1, 1])
    """
    decay = 0. if neuron.learn_decay else neuron.decay
    numbers = [decay, 1 - decay, neuron.threshold, neuron.scale, neuron.slope,
               1 - neuron.offset, neuron.max_spikes]
    choices = [neuron.decay_input, neuron.reset == 'hard', neuron.detach_reset,
               SURROGATES.index(neuron.surrogate)]
    return [float(x) for x in numbers], [int(x) for x in choices]


def keeps_a_byte(neuron) -> bool:
    """Whether the backward pass needs no more than a byte per element.

    Args:
        neuron (SpikingNeuron): The neuron.

    Returns:
        bool: Otherwise it needs the input, and the state.

    Example:
        >>> from mmsnn.neurons import LIFNeuron, SFANeuron
        >>> keeps_a_byte(SFANeuron()), keeps_a_byte(LIFNeuron())
        (True, False)
    """
    return (neuron.surrogate == 'rectangle' and not neuron.learn_decay
            and (neuron.reset == 'soft' or neuron.detach_reset))


def are_followed(*gradients: torch.Tensor | None) -> bool:
    """Whether no kernel may run on gradients as they are.

    Args:
        *gradients (Tensor, optional): What a backward pass was given.

    Returns:
        bool: Whether something follows operations
        (:func:`.native.is_followed`), or one is a batch of gradients.

    Example:
        >>> are_followed(torch.ones(1), None)
        False
    """
    return native.is_followed() or not all(
        native.is_plain(x) for x in gradients if x is not None)


def backward_followed(*arguments) -> tuple[torch.Tensor | None, ...]:
    """The backward pass as one operation, which PyTorch can follow.

    Args:
        *arguments: As of ``mmsnn::fire_over_time_backward``
            (:mod:`.ops`), and which gradients are needed: of the inputs, the
            state and the decay.

    Returns:
        tuple: Those gradients; None for what is not needed.
    """
    *arguments, wanted = arguments
    found = torch.ops.mmsnn.fire_over_time_backward(*arguments, wanted[1])
    return tuple(x if w else None for x, w in zip(found, wanted))
