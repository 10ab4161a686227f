"""What a run needs, beside weights and optimiser, to go on as if it had never
stopped."""

from .loader import ResumableLoader
from .place import LoaderPlace

__all__ = ['LoaderPlace', 'ResumableLoader']
