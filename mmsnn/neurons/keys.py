"""What may go wrong with the keys of a neuron's config."""

from reprlib import repr as shown
from typing import Any

import torch

from mmsnn.suggest import did_you_mean, keys_of

from .checks import HELD, check_type

_FLOAT32 = torch.finfo(torch.float32)
_MOST_SPIKES = HELD[torch.float32][0]
_CHOICES = dict(
    reset=('soft', 'hard'), surrogate=('rectangle', 'sigmoid', 'arctan'))


def _is_number(value: Any) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and abs(value) <= HELD[torch.float64][2])  # NaN is not


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
