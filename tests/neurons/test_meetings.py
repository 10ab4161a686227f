"""Additions in products of spikes with spikes, against the product itself."""

import pytest
import torch

from mmsnn.neurons import spikes_meeting

LAYOUTS = dict(
    dense=lambda x: x,
    transposed=lambda x: x.mT.contiguous().mT,
    heads_inside=lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
    every_second=lambda x: x.repeat_interleave(2, -1)[..., ::2])


def counts(*shape):
    return torch.randint(0, 4, shape).float()


@pytest.mark.parametrize('dtype',
                         [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('left', LAYOUTS)
@pytest.mark.parametrize('right', LAYOUTS)
def test_however_they_lie(path, left, right, dtype):
    torch.manual_seed(0)
    x, y = counts(2, 3, 4, 7), counts(2, 3, 7, 5)
    # Each spike on the left adds a row's elements that are not zero.
    expected = int(x.sum()), int((x @ (y != 0).float()).sum())
    x = LAYOUTS[left](x.to(dtype))
    y = LAYOUTS[right](y.to(dtype))
    assert spikes_meeting(x, y) == expected
    assert spikes_meeting(x, y * 0.25) == expected
    assert spikes_meeting(x.flatten(0, 1), y) == expected
    assert spikes_meeting(x, y.flatten(0, 1)) == expected


@pytest.mark.parametrize('threads', [1, 2])
def test_long_rows_and_many_of_them(path, threads):
    torch.manual_seed(0)
    x, y = counts(2, 5000, 600), counts(2, 600, 70)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = spikes_meeting(x, y)
        turned = spikes_meeting(y.mT, x.mT)
    finally:
        torch.set_num_threads(before)
    x, y = x.double(), y.double()
    assert found == (int(x.sum()), int((x @ (y != 0).double()).sum()))
    assert turned == (int(y.sum()), int(((x != 0).double() @ y).sum()))


def test_two_axes_nothing_and_two_types(path):
    x = torch.tensor([[2., 0.], [1., 3.]])
    y = torch.tensor([[1., 2.], [0., 1.]])
    assert spikes_meeting(x, y) == spikes_meeting(x, y.double()) == (6, 9)
    assert spikes_meeting(x[:0], y) == (0, 0)
    assert spikes_meeting(x, y[:, :0]) == (6, 0)
    assert spikes_meeting(torch.ones(1, 1, 1, 1, 2, 3),
                          torch.ones(1, 1, 1, 1, 3, 4)) == (6, 24)
