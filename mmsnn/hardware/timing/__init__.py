"""When each core works, with a barrier and without.

In: what cores send and receive. Out: latency, interval and how busy each core
is.
"""
