"""A checkpoint is data: reading one runs nothing that came in it.

Importing :mod:`mmsnn` puts this in the place of mmengine's own loading and
saving, for mmdet, mmseg and mmpretrain, too.
"""

from .reading import read_checkpoint
from .trust import (
    TRUST,
    CheckpointError,
    CheckpointRefused,
    add_trust_argument,
    trusted,
)

__all__ = [
    'TRUST', 'CheckpointError', 'CheckpointRefused', 'add_trust_argument',
    'read_checkpoint', 'trusted'
]
