"""Energy by operation, without cores.

In: an op trace and a chip spec that prices operations. Out: energies of the
spiking form and its twins, by op and cause; and what a trace says without any
chip, such as memory traffic.
"""
