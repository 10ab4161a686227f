"""Energy, time and fit on a chip with cores.

In: a mapped network and its times. Out: estimates by population, projection
and cause, and how they differ between images.
"""
