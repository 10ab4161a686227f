"""The T x D neuron against voltages worked out by hand."""

import pytest
import torch

from mmsnn.neurons import SpikingNeuron

# Keys, offset, then over time: inputs, membrane before firing, counts,
# membrane left. All numbers are exact in binary.
CASES = {
    'IF, soft': (dict(reset='soft'), 0.0,
                 [0.75, 0.75, 1.75, -0.5],
                 [0.75, 1.5, 2.25, 0.75],
                 [0, 1, 1, 0],
                 [0.75, 0.5, 1.25, 0.75]),
    'IF, hard': (dict(reset='hard'), 0.0,
                 [0.75, 0.75, 1.75, -0.5],
                 [0.75, 1.5, 1.75, -0.5],
                 [0, 1, 1, 0],
                 [0.75, 0, 0, -0.5]),
    'LIF, soft': (dict(decay=0.5, reset='soft'), 0.0,
                  [0.75, 0.75, 1.75, -0.5],
                  [0.75, 1.125, 1.8125, -0.09375],
                  [0, 1, 1, 0],
                  [0.75, 0.125, 0.8125, -0.09375]),
    'LIF, hard': (dict(decay=0.5, reset='hard'), 0.0,
                  [0.75, 0.75, 1.75, -0.5],
                  [0.75, 1.125, 1.75, -0.5],
                  [0, 1, 1, 0],
                  [0.75, 0, 0, -0.5]),
    # v = h + (u - h) / 4
    'LIF, decayed input, soft': (
        dict(decay=0.75, decay_input=True, reset='soft'), 0.0,
        [3, 2, 5, 4],
        [0.75, 1.0625, 1.296875, 1.22265625],
        [0, 1, 1, 1],
        [0.75, 0.0625, 0.296875, 0.22265625]),
    'LIF, decayed input, hard': (
        dict(decay=0.5, decay_input=True, reset='hard'), 0.0,
        [1.5, 1.5, 1, 3],
        [0.75, 1.125, 0.5, 1.75],
        [0, 1, 0, 1],
        [0.75, 0, 0.5, 0]),
    'threshold': (dict(threshold=0.5, reset='soft'), 0.0,
                  [0.25, 0.5, -0.25, 2],
                  [0.25, 0.75, 0, 2],
                  [0, 1, 0, 1],
                  [0.25, 0.25, 0, 1.5]),
    'IF, D = 4, soft': (dict(max_spikes=4, reset='soft'), 0.0,
                        [2.75, 0.5, 7, -2],
                        [2.75, 1.25, 7.25, 1.25],
                        [2, 1, 4, 1],
                        [0.75, 0.25, 3.25, 0.25]),
    'SFA, D = 4': (dict(max_spikes=4, reset='soft'), 0.5,
                   [2.75, 0.5, 7, -2],
                   [2.75, 0.25, 7.25, 1.25],
                   [3, 0, 4, 1],
                   [-0.25, 0.25, 3.25, 0.25]),
    'SFA, D = 4, hard, leaky': (
        dict(max_spikes=4, reset='hard', decay=0.5), 0.5,
        [0.25, 0.25, 0.25, 9],
        [0.25, 0.375, 0.4375, 9.21875],
        [0, 0, 0, 4],
        [0.25, 0.375, 0.4375, 0]),
    'SFA, D = 2, threshold 2, decayed input': (
        dict(max_spikes=2, threshold=2., decay=0.5, decay_input=True), 0.5,
        [1, 2, 12],
        [0.5, 1.25, 5.625],
        [0, 1, 2],
        [0.5, -0.75, 1.625]),
}


def make(offset, **keys):
    neuron = SpikingNeuron(**keys)
    neuron.offset = offset
    return neuron


@pytest.fixture(params=CASES)
def case(request):
    keys, offset, *columns = CASES[request.param]
    return (make(offset, timesteps=len(columns[0]), **keys),
            *map(torch.Tensor, columns))


def test_the_cases_fire_as_defined(case):
    """The columns agree with the definition, in float64."""
    neuron, _, membrane, counts, left = case
    floor = (membrane.double() / neuron.threshold + neuron.offset).floor()
    assert torch.equal(floor.clamp(0, neuron.max_spikes), counts.double())
    soft = membrane - counts * neuron.threshold
    hard = membrane.where(counts == 0, torch.tensor(0.))
    assert torch.equal(left, soft if neuron.reset == 'soft' else hard)


@pytest.mark.parametrize('dtype',
                         [torch.float64, torch.float32, torch.bfloat16])
def test_voltages(case, dtype):
    neuron, inputs, membrane, counts, left = case
    wide = torch.promote_types(dtype, torch.float32)
    state = torch.zeros(1, dtype=wide)
    for u, v, c, h in zip(inputs, membrane, counts, left):
        potential = neuron.charge(u[None].to(wide), state)
        assert potential.item() == v
        state = neuron.discharge(potential, c[None].to(wide))
        assert state.item() == h
    inputs = inputs.to(dtype)
    out = neuron(inputs)
    assert out.dtype == dtype
    assert torch.equal(out, (counts * neuron.scale).to(dtype))
    out, state = neuron.run(inputs)
    assert torch.equal(out, (counts * neuron.scale).to(dtype))
    assert state.tolist() == [left[-1].item()]
