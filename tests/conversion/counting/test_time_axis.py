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
    (lambda x: x + torch.ones(2, 2) @ x, 'bmm'),
])
def test_an_op_that_reads_what_is_repeated_beside_frames(prepare, op):
    assert dict(repeats(prepare, FRAMES))[op] == 1


def test_nothing_that_follows_from_the_input():
    with pytest.raises(ValueError, match='input_over_time'):
        repeats(lambda x: torch.zeros(3, 2, 5), FRAMES)


class Table(nn.Module):
    """Neurons over time behind what a function makes of a table and tokens."""

    def __init__(self, prepare, timesteps):
        super().__init__()
        self.table = nn.Embedding.from_pretrained(torch.eye(5))
        self.neuron = SFANeuron(timesteps=timesteps)
        self.linear = nn.Linear(5, 4)
        self.prepare = prepare

    def forward(self, x):
        return self.linear(self.neuron(self.prepare(self.table.weight, x)))


def shown(prepare, x, timesteps, **told):
    """How often the linear layer sees an image, and its additions."""
    model = Table(prepare, timesteps).eval()
    with to_spike_train(model, 'counts', **told) as spiking:
        spiking(x)
    linear = list(spiking.trace)[-1]
    return linear.repeats, linear.sops


# As many tokens as time steps as columns: shapes tell nothing.
SQUARE = torch.tensor([[0, 3, 1, 2, 4], [2, 1, 0, 0, 3], [4, 0, 4, 1, 1],
                       [1, 2, 3, 4, 0], [3, 3, 3, 3, 3]])


# A token is a row with one 1, that is 1 spike, which reaches 4 outputs.
@pytest.mark.parametrize('look_up', [
    lambda table, t: table.index_select(0, t.flatten()),
    lambda table, t: table[t].flatten(0, 1),
    lambda table, t: table[t.flatten()],
    lambda table, t: nn.functional.embedding(t, table).flatten(0, 1),
    lambda table, t: table.take(t[..., None] * 5 + torch.arange(5)).flatten(
        0, 1),
    # the nearest entry of a codebook
    lambda table, t: table[(t[..., None] - torch.arange(5)).abs().argmin(
        -1)].flatten(0, 1),
])
def test_tokens_over_time(look_up):
    assert shown(look_up, SQUARE, 5) == (1, 25 * 4)
    assert shown(look_up, SQUARE[:1], 5) == (1, 5 * 4)


@pytest.mark.parametrize('look_up', [
    lambda table, t: table.index_select(0, t),
    lambda table, t: table[t],
    lambda table, t: nn.functional.embedding(t, table),
])
def test_a_token_that_is_shown_again(look_up):
    again = lambda table, t: look_up(  # noqa: E731
        table, t.argmax(1)).repeat_interleave(2, 0)
    assert shown(again, SQUARE, 2) == (2, 10 * 4)


@pytest.mark.parametrize('prepare, x', [
    # along another axis than the rows
    (lambda table, x: table.index_select(1, x.flatten()).T, SQUARE),
    # values decide which frames there are: some may be the same
    (lambda table, x: x.gather(1, x.argsort(1)).flatten(0, 1),
     torch.rand(3, 5, 5)),
    # one layer makes all frames of an image
    (lambda table, x: (x @ torch.rand(5, 25)).view(-1, 5), STILL),
    # frames become one another
    (lambda table, x: (torch.ones(5, 5) @ x).flatten(0, 1),
     torch.rand(3, 5, 5)),
    # frames of which pairs are averaged
    (lambda table, x: nn.functional.avg_pool1d(
        x.transpose(1, 2), 2).transpose(1, 2).flatten(0, 1),
     torch.rand(3, 10, 5)),
])
def test_what_is_neither_copies_nor_frames_is_asked_for(prepare, x):
    with pytest.raises(ValueError, match='neuron: what reaches its 5 time '
                       'steps.*input_over_time=True.*input_over_time=False'):
        shown(prepare, x, 5)
    assert shown(prepare, x, 5, input_over_time=True)[0] == 1
    assert shown(prepare, x, 5, input_over_time=False)[0] == 5


@pytest.mark.parametrize('prepare', [
    lambda table, x: x.repeat(2, 1), lambda table, x: torch.cat([x] * 2),
    lambda table, x: x.expand(2, -1, -1).flatten(0, 1)])
@pytest.mark.parametrize('images', [2, 3, 4])
def test_copies_that_are_not_side_by_side_are_refused(prepare, images):
    with pytest.raises(ValueError, match='neuron: the 2 copies of an image '
                       f'are {images} rows apart.*repeat_interleave'):
        shown(prepare, torch.ones(images, 5), 2)
    # Of one image they are: 2 x 5 spikes to 4 outputs.
    assert shown(prepare, torch.ones(1, 5), 2) == (2, 40)


def test_channels_that_are_alike_are_no_time_steps():
    class Grey(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv, self.neuron = nn.Conv2d(3, 2, 1), SFANeuron(timesteps=3)

        def forward(self, x):
            x = x.expand(-1, 3, -1, -1) - .5
            return self.neuron(self.conv(x).repeat_interleave(3, 0))

    with to_spike_train(Grey().eval()) as spiking:
        spiking(torch.ones(2, 1, 4, 4))
    assert [r.repeats for r in spiking.trace] == [1, 1, 3]
