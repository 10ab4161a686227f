"""What each op does and costs.

In: the ops of a running model, as PyTorch and mmcv dispatch them. Out: records
of an op trace (:mod:`mmsnn.trace`), and plans by which later calls are counted
without watching every op.
"""
