"""Events as structured arrays."""

import numpy as np

#: One event: time (us), column, row, polarity (1: brighter, 0: darker). The
#: fields are aligned, as the C kernels' struct is.
EVENT = np.dtype([('t', '<i8'), ('x', '<u2'), ('y', '<u2'), ('p', 'u1')],
                 align=True)
#: The same without padding, for files.
PACKED = np.dtype([(name, EVENT[name]) for name in EVENT.names])


def make_events(t, x, y, p) -> np.ndarray:
    """Events of four sequences of one length.

    Args:
        t: Times, us.
        x: Columns, 0 is the left one.
        y: Rows, 0 is the upper one.
        p: Polarities; above 0 is 1, everything else 0.

    Returns:
        np.ndarray: The events, (N,), of type :data:`EVENT`.

    Example:
        >>> events = make_events([5, 9], [1, 2], [3, 4], [-1, 1])
        >>> events['p'].tolist(), events['t'].dtype
        ([0, 1], dtype('int64'))
    """
    events = np.empty(len(t), EVENT)
    events['t'] = t
    events['x'] = x
    events['y'] = y
    events['p'] = np.asarray(p) > 0
    return events
