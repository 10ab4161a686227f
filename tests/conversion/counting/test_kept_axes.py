"""Axes that an op keeps: those along which it mixes nothing."""

import pytest
import torch

from mmsnn.conversion.counting.kept_axes import ELEMENTWISE, kept_axes
from mmsnn.conversion.rules.rule import Call


@pytest.mark.parametrize('training,rows,axes', [
    (False, 3, ELEMENTWISE), (False, 1, ELEMENTWISE),
    (True, 3, 0),  # the mean of a channel is one of all rows
    (True, 1, 2)])
def test_what_a_batch_norm_keeps(training, rows, axes):
    x = torch.rand(rows, 4, 5)
    args = x, None, None, torch.zeros(4), torch.ones(4), training, 0.1, 1e-5
    func = torch.ops.aten.native_batch_norm.default
    out = func(*args)[0]
    assert kept_axes(Call(func, args, {}), x, out) == axes
    if axes != ELEMENTWISE:  # does a change at [0, 0] stay there?
        x[0, 0] += torch.arange(5.)
        changed = (func(*args)[0] - out).abs().amax(-1) > 1e-3
        assert changed.sum() == (1 if axes else 3)
