"""What may go wrong with a neuron's inputs, equations and checkpoints."""

import warnings
from typing import Any

import torch

#: Of each type of numbers: D up to which counts times any scale stay apart,
#: and halves of potentials up to D are exact; the least and the most it holds
#: with all its digits.
HELD = {
    dtype: (round(1 / torch.finfo(dtype).eps), torch.finfo(dtype).tiny,
            torch.finfo(dtype).max)
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
}


def check_type(dtype: torch.dtype,
               max_spikes: int,
               scale: float | torch.Tensor = 1.0) -> None:
    """Check that a type of numbers holds all that a neuron may fire.

    Args:
        dtype (torch.dtype): Type of the input and the output.
        max_spikes (int): D, at most 128 in bfloat16, 1,024 in float16 and
            2^23 in float32: so far halves are exact, and counts times any
            scale differ.
        scale (float | Tensor): Factor on the counts; a tensor is not
            checked. Defaults to 1.

    Raises:
        TypeError: If it is no type of floating-point numbers that neurons
            compute in.
        ValueError: If it does not hold them.

    Example:
        >>> check_type(torch.int64, max_spikes=4)
        Traceback (most recent call last):
        TypeError: a neuron's membrane potential must be of the type float64,
        float32, float16 or bfloat16, but is of int64: convert it, e.g. by
        .float()
        >>> check_type(torch.float16, max_spikes=4, scale=1e-6)
        Traceback (most recent call last):
        ValueError: neuron.scale = 1e-06 with neuron.max_spikes = 4 is out of
        the range of float16: it must be from 6.104e-05 to 1.638e+04
    """
    if dtype not in HELD:
        raise TypeError(
            "a neuron's membrane potential must be of the type float64, "
            'float32, float16 or bfloat16, but is of '
            f'{str(dtype).removeprefix("torch.")}: convert it, e.g. by '
            '.float()')
    most, least, greatest = HELD[dtype]
    if max_spikes > most:
        name = str(dtype).removeprefix('torch.')
        raise ValueError(
            f'neuron.max_spikes = {max_spikes} is more than {name} can count: '
            f'it must be at most {most}, or the neuron must run in a type '
            'with more digits, such as float32')
    if not isinstance(scale, torch.Tensor) and not (
            least <= scale <= greatest / max_spikes):
        name = str(dtype).removeprefix('torch.')
        raise ValueError(
            f'neuron.scale = {scale:g} with neuron.max_spikes = {max_spikes} '
            f'is out of the range of {name}: it must be from {least:.4g} to '
            f'{greatest / max_spikes:.4g}')


def check_strided(membrane: torch.Tensor) -> None:
    """Check that a membrane potential is no sparse tensor.

    Args:
        membrane (Tensor): Membrane potential, any shape.

    Raises:
        TypeError: If it is.

    Example:
        >>> check_strided(torch.eye(2).to_sparse())
        Traceback (most recent call last):
        TypeError: a neuron's membrane potential must be a dense tensor, but
        its layout is torch.sparse_coo: convert it by .to_dense()
    """
    if membrane.layout is not torch.strided and not membrane.is_nested:
        raise TypeError(
            "a neuron's membrane potential must be a dense tensor, but its "
            f'layout is {membrane.layout}: convert it by .to_dense()')


def check_values(tensor: torch.Tensor) -> None:
    """Check that there is something to count.

    Args:
        tensor (Tensor): Any shape.

    Raises:
        ValueError: If it is on the device ``meta``.

    Example:
        >>> check_values(torch.empty(2, device='meta'))
        Traceback (most recent call last):
        ValueError: a tensor on the device meta has no values to count: run
        the model on another device
    """
    if tensor.is_meta:
        raise ValueError('a tensor on the device meta has no values to '
                         'count: run the model on another device')


def check_device(name: str, tensor: torch.Tensor,
                 membrane: torch.Tensor) -> None:
    """Check that a tensor is where the membrane potential is.

    Args:
        name (str): What it is.
        tensor (Tensor): The tensor.
        membrane (Tensor): Membrane potential.

    Raises:
        ValueError: If it is on another device.

    Example:
        >>> check_device('the state', torch.zeros(2, device='meta'),
        ...              torch.zeros(2))
        Traceback (most recent call last):
        ValueError: the state is on the device meta, but the membrane
        potential on cpu: move one to the other, e.g. by .to('cpu')
    """
    if tensor.device != membrane.device:
        raise ValueError(
            f'{name} is on the device {tensor.device}, but the membrane '
            f'potential on {membrane.device}: move one to the other, e.g. by '
            f'.to({str(membrane.device)!r})')


def check_input(membrane: torch.Tensor,
                timesteps: int,
                state: torch.Tensor | None = None) -> None:
    """Check that an input holds whole samples of T time steps, and a state as
    many samples.

    Args:
        membrane (Tensor): The input, (N * T, ...).
        timesteps (int): T.
        state (Tensor, optional): (N, ...). Defaults to None: not checked.

    Raises:
        ValueError: If it does not, or the state is on another device.

    Example:
        >>> check_input(torch.zeros(6, 2), timesteps=3, state=torch.zeros(2))
        Traceback (most recent call last):
        ValueError: a state of shape (2,) does not fit an input of shape
        (6, 2) with neuron.timesteps = 3: it must have the shape (2, 2)
    """
    if torch.jit.is_tracing():
        return  # sizes are values of the trace there
    shape = tuple(membrane.shape)
    if not shape or shape[0] % timesteps:
        raise ValueError(
            f'neuron.timesteps = {timesteps} does not divide the first '
            f'dimension of an input of shape {shape}, which must be samples '
            'times time steps')
    wanted = (shape[0] // timesteps, *shape[1:])
    if state is not None and tuple(state.shape) != wanted:
        raise ValueError(
            f'a state of shape {tuple(state.shape)} does not fit an input of '
            f'shape {shape} with neuron.timesteps = {timesteps}: it must '
            f'have the shape {wanted}')
    if state is not None:
        check_device('the state', state, membrane)


def check_equation(neuron, name: str, result: Any,
                   like: torch.Tensor) -> None:
    """Check what an equation of a subclass has returned.

    Args:
        neuron (SpikingNeuron): The neuron.
        name (str): ``'charge'`` or ``'discharge'``.
        result (Any): What it has returned.
        like (Tensor): A tensor of the shape that it must have.

    Raises:
        ValueError: If that is no tensor of this shape, so that all neurons
            would share a number. Equations that the package knows are not
            checked.

    Example:
        >>> from mmsnn.neurons import SpikingNeuron
        >>> class Reset(SpikingNeuron):
        ...     def discharge(self, membrane, counts):
        ...         return membrane.min()
        >>> Reset(timesteps=2)(torch.tensor([0.5, 0.5]))
        Traceback (most recent call last):
        ValueError: Reset.discharge must return a tensor of the shape (1,),
        that of the membrane potential, but has returned one of the shape ()
    """
    if name not in neuron.own_equations or torch.jit.is_tracing():
        return
    if not isinstance(result, torch.Tensor):
        found = f'a {type(result).__name__}'
    elif result.shape != like.shape:
        found = f'one of the shape {tuple(result.shape)}'
    else:
        return
    raise ValueError(
        f'{type(neuron).__name__}.{name} must return a tensor of the shape '
        f'{tuple(like.shape)}, that of the membrane potential, but has '
        f'returned {found}')


def warn_of_other_levels(neuron, metadata: dict) -> None:
    """Warn if a checkpoint comes from a neuron with another D.

    Args:
        neuron (SpikingNeuron): The neuron that loads the checkpoint.
        metadata (dict): What the checkpoint says of the neuron that saved it.
    """
    before, now = metadata.get('max_spikes'), neuron.max_spikes
    if before not in (None, now):
        warnings.warn(
            f'neuron.max_spikes is {now}, but the checkpoint was made with '
            f'{before}: a neuron fires up to {now} spikes instead of '
            f'{before}, so the weights behind it see other inputs than they '
            'were trained for')
