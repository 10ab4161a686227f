"""When each core works: with a barrier after each sub-step, and without.

In: what cores send and receive. Out: the latency of an image, the interval
between images, and for how much of it each core works.
"""
