"""Threads in which ops are recorded.

Dispatch modes see the ops of one thread. What a model computes in another one
would be left out of the trace.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

#: Threads in which a call is recorded now, once for each such call.
RECORDING: list[int] = []


@contextmanager
def recording_thread() -> Iterator[int]:
    """Context in which a call of this thread is recorded.

    Yields:
        int: The thread.
    """
    thread = get_ident()
    RECORDING.append(thread)
    try:
        yield thread
    finally:
        RECORDING.remove(thread)


def check_thread(what: str, thread: int) -> None:
    """Refuse what another thread does of a call that is recorded.

    Args:
        what (str): What is done, such as ``'head: it runs'``.
        thread (int): The thread of the call.

    Raises:
        RuntimeError: If that is recorded, and this thread is another one.

    Example:
        >>> check_thread('head: it runs', thread=-1)  # not recorded
        >>> check_thread('head: it runs', thread=get_ident())
    """
    if thread in RECORDING and thread != get_ident():
        raise RuntimeError(
            f'{what} in another thread than the one that has called the '
            'model, where no op can be counted: call all parts of the model '
            'in one thread')
