"""The network as a chip sees it.

In: an op trace. Out: populations of neurons, the projections between them and
their mean counts per run.
"""
