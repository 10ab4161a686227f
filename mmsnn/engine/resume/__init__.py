"""What a run needs, beside weights and optimiser, to go on as if it had never
stopped."""

from .loader import LoaderPlace, ResumableLoader

__all__ = ['LoaderPlace', 'ResumableLoader']
