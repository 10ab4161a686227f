"""A network on the cores of a chip.

In: a network and a chip spec with cores. Out: which neurons each core holds,
whether they fit, and what each core sends and receives.
"""
