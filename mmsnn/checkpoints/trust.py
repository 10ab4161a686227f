"""Whom the user trusts: what lets a checkpoint run code, and the refusal."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import OutOfMemoryError

#: Environment variable that lets checkpoints run code, if it is '1'. Tools
#: set it by ``--trust-checkpoint``, so that their child processes have it.
TRUST = 'MMSNN_TRUST_CHECKPOINT'
_OPT_IN = (f'give --trust-checkpoint, in Python set {TRUST}=1 in the '
           'environment, if you trust whoever made it')


class CheckpointError(RuntimeError, ValueError):
    """A checkpoint can not be read, or does not fit what it is loaded into.

    A RuntimeError as PyTorch raises for weights that do not fit, and a
    ValueError as for any other wrong argument.
    """


class CheckpointRefused(CheckpointError):
    """A checkpoint holds more than data: reading it would run code.

    Args:
        file (str): Its name.
        found (str): What was found in it, after 'it holds'.

    Example:
        >>> print(CheckpointRefused('a.pth', 'posix.system'))
        a.pth is not loaded, since that could run code that came with it: it
            holds posix.system; give --trust-checkpoint, in Python set
            MMSNN_TRUST_CHECKPOINT=1 in the environment, if you trust whoever
            made it
    """

    def __init__(self, file: str, found: str) -> None:
        super().__init__(
            f'{file} is not loaded, since that could run code that came with '
            f'it: it holds {found}; {_OPT_IN}')


@contextmanager
def going_on_from(what: str) -> Iterator[None]:
    """Say that a run can not go on from what was read, where that fails.

    Args:
        what (str): What the block takes, with its file.

    Raises:
        CheckpointError: In the place of an error that comes from a value of
            another kind or size than is needed.

    Example:
        >>> with going_on_from('iteration in a.pth'):
        ...     range(None)
        Traceback (most recent call last):
        mmsnn.checkpoints.trust.CheckpointError: iteration in a.pth is damaged
        or of another run, so that this one can not go on from it (TypeError:
        'NoneType' object cannot be interpreted as an integer): resume from
        another checkpoint, or take its weights alone as load_from
    """
    try:
        yield
    except (CheckpointError, OutOfMemoryError):
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError,
            RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f'{what} is damaged or of another run, so that this one can not '
            f'go on from it ({type(error).__name__}: {error}): resume from '
            'another checkpoint, or take its weights alone as load_from'
        ) from error


def trusted() -> bool:
    """Tell whether the user lets checkpoints run code.

    Returns:
        bool: Whether ``MMSNN_TRUST_CHECKPOINT`` is 1.

    Example:
        >>> trusted()
        False
    """
    return os.environ.get(TRUST) == '1'


class _Trust(argparse.Action):
    """Sets the environment variable as soon as the option is read."""

    def __call__(self, *_: Any) -> None:
        os.environ[TRUST] = '1'


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-checkpoint`` to a tool that reads checkpoints.

    Args:
        parser (argparse.ArgumentParser): The parser of the tool.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_trust_argument(parser)
        >>> 'trust_checkpoint' in vars(parser.parse_args([]))
        False
    """
    parser.add_argument(
        '--trust-checkpoint', action=_Trust, nargs=0,
        default=argparse.SUPPRESS,
        help='let checkpoints run the code that they hold')
