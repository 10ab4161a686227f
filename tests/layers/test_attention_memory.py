"""Memory of attention is linear in tokens: counted, not timed."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from mmsnn.conversion import to_spike_train
from mmsnn.layers import ESDSA, SDSA3, LinearPairESDSA

CHANNELS = 8


class Elements(TorchDispatchMode):
    """Elements of every op's result: of the largest, and of all together."""

    def __init__(self):
        super().__init__()
        self.largest = self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in tree_flatten(out)[0]:
            if isinstance(x, torch.Tensor):
                self.largest = max(self.largest, x.numel())
                self.total += x.numel()
        return out


def elements(run, side):
    with Elements() as seen:
        run(torch.rand(1, CHANNELS, side, side) * 4)
    return seen


def plain(attention):
    return attention.eval()


def with_gradients(attention):

    def run(x):
        attention(x.requires_grad_()).sum().backward()

    return run


def spikes(attention):
    return to_spike_train(attention, 'spikes')


@pytest.mark.parametrize('how', [plain, with_gradients, spikes])
@pytest.mark.parametrize('kind', [ESDSA, LinearPairESDSA, SDSA3])
def test_linear_in_tokens(kind, how):
    neuron = dict(type='mmsnn.SFANeuron', max_spikes=4)
    run = how(kind(CHANNELS, neuron, num_heads=2))
    few, many = elements(run, 16), elements(run, 48)  # 256 and 2304 tokens
    # Nothing is tokens x tokens, nor grows faster than the tokens.
    assert many.largest < 2304**2 / 10
    assert many.largest <= 9 * few.largest
    assert many.total <= 9 * few.total


def test_a_product_of_tokens_by_tokens_is_seen():
    def quadratic(x):
        x = x.flatten(2)
        return x.transpose(1, 2) @ x

    few, many = elements(quadratic, 16), elements(quadratic, 48)
    assert many.largest == 2304**2 and few.largest == 256**2
