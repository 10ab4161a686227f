"""What upstream's code needs to run in a converted model.

In: mmcv's compiled ops, models in float64. Out: ops that dispatch modes can
see, and models that run in that precision.
"""
