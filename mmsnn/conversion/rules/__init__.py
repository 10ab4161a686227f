"""The table of rules: what each op does to spikes, and what it costs.

In: an aten op or a compiled op of mmcv, with its arguments and its result.
Out: whether spikes stay spikes, and amounts on real values, in the words of
docs/energy.md. What runs ops on spikes, what counts and what records reads
this table, and nothing else says what an op is.
"""
