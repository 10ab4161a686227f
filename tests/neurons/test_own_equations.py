"""Neurons whose classes have equations of their own run them on every path."""

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from mmsnn.neurons import LIFNeuron, SFANeuron, SpikingNeuron, build_neuron


class Leaky(SpikingNeuron):
    """Other charge."""

    def charge(self, inputs, state):
        return 0.3 * state + inputs


class Deep(SpikingNeuron):
    """Other reset: to -1 where it has fired."""

    def discharge(self, membrane, counts):
        return torch.where(counts > 0, -1., membrane)


class Fading(SFANeuron):
    """Other decay."""

    @property
    def decay(self):
        return 0.25


class Gain(SFANeuron):
    """A learnt gain for each of three channels."""

    def __init__(self, **keys):
        super().__init__(**keys)
        self.gain = nn.Parameter(torch.tensor([1., 2., 3.]))

    def charge(self, inputs, state):
        return super().charge(inputs * self.gain, state)


class Eager(SFANeuron):
    """Other offset."""

    offset = 0.75


class Rising(SFANeuron):
    """Other potential over the threshold."""

    def _over_threshold(self, potential):
        return potential / 2


class Loud(SFANeuron):
    """Other forward, the same equations."""

    def forward(self, membrane):
        return super().forward(2 * membrane)


def test_charge_by_hand(path):
    neuron = Leaky(timesteps=3)
    # 0.75; 0.225 + 0.75 = 0.975; 0.2925 + 0.75 = 1.0425 fires
    frames = torch.tensor([0.75, 0.75, 0.75])
    assert neuron(frames).tolist() == [0, 0, 1]
    assert neuron.own_equations == ('charge', )
    spikes, state = neuron.run(frames[:2], timesteps=2)
    assert spikes.tolist() == [0, 0]
    assert state.item() == pytest.approx(0.975)


def test_charge_counts_at_one_time_step_too(path):
    neuron = Gain(max_spikes=4, scale=1.)
    assert not neuron.is_static
    u = torch.tensor([[0.5, 0.5, 0.5], [1., 1., 1.]], requires_grad=True)
    out = neuron(u)
    assert out.tolist() == [[1, 1, 2], [1, 2, 3]]
    out.sum().backward()
    assert u.grad.tolist() == [[1, 2, 3], [1, 2, 3]]
    assert neuron.gain.grad.tolist() == [1.5, 1.5, 1.5]


def test_discharge_by_hand(path):
    neuron = Deep(timesteps=3)
    # 1 fires, -1; -1 + 1 = 0; 0 + 1 fires
    assert neuron(torch.ones(3)).tolist() == [1, 0, 1]
    assert neuron.run(torch.ones(3))[1].item() == -1


def test_decay_by_hand(path):
    neuron = Fading(max_spikes=1, timesteps=2)
    # 0.4 does not fire; 0.1 + 0.4 fires
    assert neuron(torch.tensor([0.4, 0.4])).tolist() == [0, 1]
    assert neuron(torch.tensor([0.36, 0.36])).tolist() == [0, 0]


def test_offset_by_hand(path):
    neuron = Eager(max_spikes=2, scale=1.)
    u = torch.tensor([0.2, 0.25, 1.2, 1.25, 9.])
    assert neuron(u).tolist() == [0, 1, 1, 2, 2]


def test_potential_over_the_threshold_by_hand(path):
    # 1.25, 1.5 and 2 are rounded half up.
    spikes = Rising(max_spikes=4, scale=1.)(torch.tensor([2.5, 3., 4.]))
    assert spikes.tolist() == [1., 2., 2.]


@pytest.mark.parametrize('kind', [Leaky, Deep, Fading, Gain])
@pytest.mark.parametrize('dtype',
                         [torch.float32, torch.float64, torch.bfloat16])
def test_all_paths_give_what_unroll_gives(kind, dtype):
    torch.manual_seed(0)
    neuron = kind(timesteps=2)
    x = (torch.rand(4, 50, 3) * 2).to(dtype)
    expected = neuron.unroll(x)
    assert torch.equal(neuron(x), expected[0])
    for found, wanted in zip(neuron.run(x), expected):
        assert torch.equal(found, wanted)
    frames = x.view(2, 2, 50, 3)
    first, state = neuron.run(frames[:, 0], timesteps=1)
    second, state = neuron.run(frames[:, 1], state, timesteps=1)
    both = torch.stack([first, second], 1).flatten(0, 1)
    assert torch.equal(both, expected[0])
    assert torch.equal(state, expected[1])


def test_one_neuron_alone():
    neuron = SFANeuron(max_spikes=1)
    neuron.charge = lambda inputs, state: inputs - 1
    assert neuron(torch.tensor([1.2, 1.6])).tolist() == [0, 1]
    assert neuron.own_equations == ('charge', )
    assert SFANeuron(max_spikes=1).own_equations == ()


def test_own_firing_with_another_gradient(path):

    class Flat(torch.autograd.Function):

        @staticmethod
        def forward(ctx, x):
            return (x >= 1).to(x)

        @staticmethod
        def backward(ctx, grad):
            return 7 * grad

    class Own(LIFNeuron):

        def _fire(self, potential):
            return Flat.apply(potential)

    neuron = Own(timesteps=1, threshold=0.5)
    u = torch.tensor([0.9, 1.1], requires_grad=True)
    out = neuron(u)
    out.sum().backward()
    assert out.tolist() == [0, 1]
    # Half the input charges, over the threshold 1/2.
    assert u.grad.tolist() == [7, 7]


def test_own_run_and_unroll_are_what_a_call_does():

    class Twice(SpikingNeuron):

        def run(self, membrane, state=None, timesteps=None):
            return super().run(2 * membrane, state, timesteps)

    class Negated(SpikingNeuron):

        def unroll(self, membrane, *args, **kwargs):
            return super().unroll(-membrane, *args, **kwargs)

    assert Twice()(torch.tensor([0.5])).item() == 1
    assert Negated()(torch.tensor([-1.])).item() == 1
    assert Negated().run(torch.tensor([-1.]))[0].item() == 1


def test_a_learnt_threshold_has_a_gradient():

    class Learnt(SFANeuron):

        def __init__(self, **keys):
            super().__init__(**keys)
            self.threshold = nn.Parameter(torch.tensor(2.))

    neuron = Learnt(scale=1.)
    out = neuron(torch.tensor([3., 1.]))
    assert out.tolist() == [2, 1]
    out.sum().backward()
    # -u / threshold^2 each
    assert neuron.threshold.grad.item() == -1


def test_the_packages_own_neurons_keep_their_short_cuts():
    assert SFANeuron(scale=1.).is_static
    assert Loud().is_static  # its forward ends in the same equations
    assert not Gain().is_static and not Leaky().is_static
    for kind in (SpikingNeuron, SFANeuron, LIFNeuron, Loud):
        assert kind().own_equations == ()


def test_from_a_config():
    MODELS.register_module(name='Gain', module=Gain, force=True)
    try:
        neuron = build_neuron(dict(type='Gain', max_spikes=2), scale=1.)
    finally:
        MODELS.module_dict.pop('Gain')
    assert isinstance(neuron, Gain) and neuron.scale == 1


def test_a_class_without_the_keys_that_layers_give_is_named():

    class Short(SFANeuron):

        def __init__(self, max_spikes=4):
            super().__init__(max_spikes)

    with pytest.raises(TypeError, match=r'Short.*no scale.*\*\*keys'):
        build_neuron(dict(type=Short), scale=1.)
    assert build_neuron(dict(type=Short)).max_spikes == 4
