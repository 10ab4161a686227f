"""What an op decides by counts as well as what it moves."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.neurons import SFANeuron

FRAMES = torch.rand(3, 2, 5)
STILL = torch.rand(3, 5)
TOKENS = torch.tensor([[0, 3], [2, 1], [4, 0]])


def repeats(prepare, x):
    """How often each op shows an image, for rows of 3 images x 2 steps."""

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron(timesteps=2)
            self.linear = nn.Linear(5, 4)

        def forward(self, x):
            return self.linear(self.neuron(prepare(x).flatten(0, 1)))

    with to_spike_train(Net().eval(), 'counts') as spiking:
        spiking(x)
    return [(r.op, r.repeats) for r in spiking.trace]


def assigned(x):
    y = torch.zeros(3, 2, 5)
    y[x > .5] = 1.
    return y


@pytest.mark.parametrize('encode, x', [
    (lambda x: torch.where(x > .5, torch.ones(5), torch.zeros(5)), FRAMES),
    (lambda x: torch.zeros(3, 2, 5).masked_fill(x > .5, 1.), FRAMES),
    (assigned, FRAMES),
    (lambda t: torch.zeros(3, 2, 5).scatter(2, t[..., None], 1.), TOKENS),
    (lambda t: nn.functional.one_hot(t, 5).float(), TOKENS),
    (lambda t: torch.eye(5)[t], TOKENS),
])
def test_frames_that_decide_where_constants_go(encode, x):
    assert set(dict(repeats(encode, x)).values()) == {1}


@pytest.mark.parametrize('encode', [
    lambda x: torch.where(x[:, None].expand(3, 2, 5) > .5, torch.ones(5), 0.),
    lambda x: torch.zeros(3, 2, 5).masked_fill(
        x[:, None].expand(3, 2, 5) > .5, 1.),
    lambda x: torch.zeros(3, 2, 5).scatter(2, x.argsort(1)[
        :, None, :1].expand(3, 2, 1), 1.),
])
def test_a_still_image_that_decides(encode):
    assert repeats(encode, STILL)[-1] == ('addmm', 2)


@pytest.mark.parametrize('prepare, op', [
    (lambda x: x + x.mean(1, keepdim=True).expand(3, 2, 5), 'add'),
    (lambda x: torch.ones(2, 2) @ x, 'bmm'),
])
def test_an_op_that_reads_what_is_repeated_beside_frames(prepare, op):
    assert dict(repeats(prepare, FRAMES))[op] == 1


def test_nothing_that_follows_from_the_input():
    with pytest.raises(ValueError, match='input_over_time'):
        repeats(lambda x: torch.zeros(3, 2, 5), FRAMES)
