"""Chip specs: what an operation or event costs, and what cores can hold.

In: YAML files, those of this folder or a user's. Out: checked figures with
unit, source and status.
"""
