"""What may go wrong with a neuron's keys, inputs and checkpoints."""

import warnings
from reprlib import repr as shown
from typing import Any

import torch

from mmsnn.suggest import did_you_mean, keys_of

_FLOAT32 = torch.finfo(torch.float32)
#: Of each type of numbers: D up to which counts times any scale stay apart,
#: and halves of potentials up to D are exact; the least and the most it holds
#: with all its digits.
_HELD = {
    dtype: (round(1 / torch.finfo(dtype).eps), torch.finfo(dtype).tiny,
            torch.finfo(dtype).max)
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
}
_MOST_SPIKES = _HELD[torch.float32][0]
_CHOICES = dict(
    reset=('soft', 'hard'), surrogate=('rectangle', 'sigmoid', 'arctan'))


def _is_number(value: Any) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and abs(value) <= _HELD[torch.float64][2])  # NaN is not


def _check_key(name: str, value: Any) -> None:
    if name in ('max_spikes', 'timesteps'):
        valid = (_is_number(value) and isinstance(value, int) and
                 1 <= value <= _MOST_SPIKES)
        wanted = f'a positive integer, {_MOST_SPIKES} at most'
    elif name in ('scale', 'threshold', 'slope'):
        valid = _is_number(value) and _FLOAT32.tiny <= value <= _FLOAT32.max
        wanted = ('a positive number that float32 can hold, from '
                  f'{_FLOAT32.tiny:.4g} to {_FLOAT32.max:.4g}')
    elif name == 'decay':
        valid = _is_number(value) and _FLOAT32.tiny <= value <= 1
        wanted = f'a number from {_FLOAT32.tiny:.4g} to 1'
    elif name in _CHOICES:
        valid = value in _CHOICES[name]
        wanted = 'one of ' + ', '.join(map(repr, _CHOICES[name]))
    else:
        valid, wanted = isinstance(value, bool), 'True or False'
    if not valid:
        raise ValueError(
            f'neuron.{name} must be {wanted}, but is {shown(value)}')


def no_such_key(kind: type, name: str) -> str:
    """What to say of a key that a neuron or activation does not have.

    Args:
        kind (type): Its class. Where it takes ``**keys``, it also has the
            keys of the class that it inherits from.
        name (str): The key.

    Returns:
        str: A sentence that names the key and the valid ones.

    Example:
        >>> print(no_such_key(torch.nn.ELU, 'alhpa'))
        neuron.alhpa is not a key of ELU (did you mean 'alpha'?): its keys are
        alpha
    """
    names = [key for key in keys_of(kind) if key != 'inplace']
    known = f'its keys are {", ".join(names)}' if names else 'it has none'
    return (f'neuron.{name} is not a key of {kind.__name__}'
            f'{did_you_mean(name, names)}: {known}')


def check_keys(**keys) -> None:
    """Check config keys of a neuron, each alone and with the others.

    Args:
        **keys: Keys of :class:`.spiking.SpikingNeuron`, all or some.

    Raises:
        ValueError: Naming the key and what is valid.

    Example:
        >>> check_keys(timesteps=0)
        Traceback (most recent call last):
        ValueError: neuron.timesteps must be a positive integer, 8388608 at
            most, but is 0
    """
    for name, value in keys.items():
        if name != 'scale' or value is not None:
            _check_key(name, value)
    if keys.get('scale') is not None and 'max_spikes' in keys:
        check_type(torch.float32, keys['max_spikes'], keys['scale'])
    if keys.get('surrogate', 'rectangle') != 'rectangle' and keys.get(
            'max_spikes', 1) > 1:
        raise ValueError(
            f'neuron.surrogate = {keys["surrogate"]!r} is for neurons with '
            f'neuron.max_spikes = 1, but that is {keys["max_spikes"]}; the '
            "surrogate 'rectangle' is for any")
    for name in ('decay_input', 'learn_decay'):
        if keys.get(name) and keys['decay'] > 1 - _FLOAT32.eps / 2:
            raise ValueError(
                f'neuron.{name} = True needs a neuron.decay below 1, at most '
                f'1 - {_FLOAT32.eps / 2:.4g}')


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
    if dtype not in _HELD:
        raise TypeError(
            "a neuron's membrane potential must be of the type float64, "
            'float32, float16 or bfloat16, but is of '
            f'{str(dtype).removeprefix("torch.")}: convert it, e.g. by '
            '.float()')
    most, least, greatest = _HELD[dtype]
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
