import pytest
import torch

from mmsnn.layers import mean_over_time


def test_nested_outputs_by_hand():
    # Two samples of three time steps each.
    x = torch.tensor([1., 2., 6., 0., 0., 3.])
    maps = x[:, None, None].expand(6, 2, 1)
    scores, (deep, note) = mean_over_time((x, [maps, 'note']), 3)
    assert scores.tolist() == [3., 1.]
    assert deep.shape == (2, 2, 1) and deep[:, 0, 0].tolist() == [3., 1.]
    assert note == 'note'


def test_one_time_step_leaves_everything_alone():
    outputs = (torch.rand(3, 2), )
    assert mean_over_time(outputs, 1) is outputs


def test_a_batch_that_has_no_such_time():
    with pytest.raises(RuntimeError):
        mean_over_time(torch.rand(5, 2), 3)
