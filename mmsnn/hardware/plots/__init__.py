"""Pictures of estimates.

In: estimates by operation and on chips. Out: matplotlib figures, with file
names and captions.
"""
