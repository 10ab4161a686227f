"""Public data sets of event cameras.

In: folders as their authors publish them. Out: data sets, and converters to
annotations or faster files.
"""
