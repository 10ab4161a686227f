"""Rules for ops of one's own."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import (
    Rule,
    UnclassifiedOpError,
    add_rule,
    amounts,
    to_spike_train,
)
from mmsnn.neurons import SFANeuron


def test_an_op_of_ones_own_is_refused_until_it_has_a_rule():

    @torch.library.custom_op('mmsnntest::halve', mutates_args=())
    def halve(x: torch.Tensor) -> torch.Tensor:
        return x / 2

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.fire, self.fc = SFANeuron(max_spikes=4), nn.Linear(3, 2)

        def forward(self, x):
            return self.fc(halve(self.fire(x)))

    model, x = Net().eval(), torch.tensor([[1., 2., 3.]])
    wanted = r"\(model\).*add_rule\('mmsnntest::halve', Rule\(...\)\)"
    with to_spike_train(model) as spiking:
        with pytest.raises(UnclassifiedOpError, match=wanted):
            spiking(x)
    add_rule('mmsnntest::halve', Rule(
        cost=lambda call: amounts('real', macs=call.outputs)))
    for form in ('spikes', 'counts'):
        with to_spike_train(model, form) as spiking:
            assert torch.equal(spiking(x), model(x))
        record, = (r for r in spiking.trace if r.op == 'halve')
        assert (record.module, record.macs) == ('(model)', 3)
        linear, = (r for r in spiking.trace if r.kind == 'linear')
        assert not linear.spiking and linear.macs == 6
    with pytest.raises(ValueError, match='has a rule already'):
        add_rule('mmsnntest::halve', Rule())
    with pytest.raises(TypeError, match='must be a mmsnn.conversion.Rule'):
        add_rule('mmsnntest::other', lambda call: None)
