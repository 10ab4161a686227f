"""Neurons of a user's own in every form of a converted model."""

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.hardware import estimate
from mmsnn.layers import ESDSA
from mmsnn.neurons import LIFNeuron, SFANeuron, SpikingNeuron

DOUBLE = torch.float64


class Gain(SFANeuron):

    def __init__(self, **keys):
        super().__init__(**keys)
        self.gain = nn.Parameter(torch.tensor([1., 2., 0.5, 3.]))

    def charge(self, inputs, state):
        return super().charge(inputs * self.gain, state)


class Deep(SpikingNeuron):

    def discharge(self, membrane, counts):
        return torch.where(counts > 0, membrane - 2 * counts, membrane / 2)


class Fading(LIFNeuron):

    @property
    def decay(self):
        return 0.3


class Eager(SFANeuron):

    offset = 0.7


class Surrogate(LIFNeuron):

    def _fire(self, potential):
        return (potential >= 1).to(potential)


NEURONS = [
    lambda: Gain(max_spikes=3), lambda: Gain(max_spikes=3, timesteps=2),
    lambda: Deep(max_spikes=2, timesteps=4, threshold=0.5),
    lambda: Fading(timesteps=2, threshold=0.5), lambda: Eager(),
    lambda: Surrogate(timesteps=2, threshold=0.25)
]
IDS = ['gain', 'gain-time', 'deep', 'fading', 'eager', 'surrogate']


def network(make):
    torch.manual_seed(0)
    return nn.Sequential(make(), nn.Linear(4, 4), make(),
                         nn.Linear(4, 2)).double().eval()


def values(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.rand(8, 4, generator=generator, dtype=DOUBLE)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('make', NEURONS, ids=IDS)
def test_they_run_their_own_equations(make, form):
    net = network(make)
    # Time is folded into their 8 rows.
    spiking = to_spike_train(net, form, batch=8 // net[0].timesteps)
    check = EqualityCheck(net, spiking)
    with spiking:
        for seed in range(3):  # by a plan from the second call on
            check.compare(values(seed))
    assert check.report.equal, check.report
    assert all(row.training_spikes for row in check.report.rows)
    emitted = sum(row.spike_train_spikes for row in check.report.rows)
    assert spiking.trace.total('emitted') == emitted


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('timesteps', [1, 2])
def test_a_threshold_for_each_channel(form, timesteps):

    def make():
        neuron = SFANeuron(max_spikes=3, timesteps=timesteps)
        neuron.threshold = torch.tensor([0.5, 1., 2., 1 / 3], dtype=DOUBLE)
        return neuron

    net = network(make)
    u = torch.ones(2 * timesteps, 4, dtype=DOUBLE)
    # Half up of 2, 1, 1/2 and 3.
    assert (3 * net[0](u))[0].round().tolist() == [2, 1, 1, 3]
    check = EqualityCheck(net, to_spike_train(net, form))
    check.compare(values())
    assert check.report.equal and check.report.rows[1].training_spikes
    assert 'threshold=4 values' in str(net)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_from_a_config_in_layers_that_give_keys(form):

    @MODELS.register_module(force=True)
    class SlowlyLeaking(SFANeuron):

        def charge(self, inputs, state):
            return inputs + 0.9 * state

    try:
        torch.manual_seed(0)
        net = ESDSA(16, dict(type='SlowlyLeaking', timesteps=2), num_heads=4)
    finally:
        MODELS.module_dict.pop('SlowlyLeaking')
    net = net.double().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.bias.data.uniform_(0, 2)
    spiking = to_spike_train(net, form, batch=2)  # 2 samples over 2 steps
    check = EqualityCheck(net, spiking)
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.rand(4, 16, 3, 3, generator=generator, dtype=DOUBLE)
    with spiking:
        check.compare(x)
    assert check.report.equal and not check.report.silent
    assert len(check.report.rows) == 5 and spiking.folded_norms == 4


def test_free_running_runs_them_too():
    net = network(NEURONS[0])
    check = EqualityCheck(net, to_spike_train(net, 'free_running'))
    check.compare(values())
    assert check.report.rows[0].differences == 0  # the input is there at once
    assert check.report.rows[0].training_spikes


def test_the_trace_says_the_spikes_of_a_gain():
    net = nn.Sequential(Gain(max_spikes=4), nn.Linear(4, 2)).eval()
    with to_spike_train(net) as spiking:
        spiking(torch.ones(1, 4))
    # 1, 2, half up of 1/2, 3
    assert spiking.trace.total('emitted') == 1 + 2 + 1 + 3
    assert spiking.trace.total('sops') == 7 * 2


def test_estimates_say_what_their_equations_are_charged_as():
    model = nn.Sequential(Gain(), nn.Linear(4, 2)).eval()
    said = 'one update each: 0 (its class has its own charge)'
    with to_spike_train(model, 'counts') as spiking:
        for _ in range(2):  # the second by the plan
            spiking(torch.ones(1, 4))
    found = estimate(spiking.trace, ['cmos45', 'loihi'])
    assert any(said in text for text in
               found.operations[0].not_charged)
    assert any(said in text for text in found.on_chip[0].assumptions)
    with to_spike_train(nn.Sequential(SFANeuron(), nn.Linear(3, 2))) as plain:
        plain(torch.ones(1, 3))
    assert 'equations of their own' not in str(
        estimate(plain.trace, 'cmos45').operations[0].not_charged)


class OwnForward(SFANeuron):

    def forward(self, membrane):
        return super().forward(membrane.abs())


class OwnRun(SFANeuron):

    def run(self, membrane, state=None, timesteps=None):
        return super().run(2 * membrane, state, timesteps)


class OwnUnroll(SFANeuron):

    def unroll(self, membrane, *args, **kwargs):
        return super().unroll(2 * membrane, *args, **kwargs)


class OwnCall(SFANeuron):

    def __call__(self, membrane):
        return super().__call__(2 * membrane)


@pytest.mark.parametrize('form', ['spikes', 'counts', 'free_running'])
@pytest.mark.parametrize('kind,method', [
    (OwnForward, 'forward'), (OwnRun, 'run'), (OwnUnroll, 'unroll'),
    (OwnCall, '__call__')])
def test_what_spikes_can_not_replace_is_refused(kind, method, form):
    net = nn.Sequential(nn.Linear(4, 4), nn.Sequential(kind())).eval()
    with pytest.raises(
            ValueError, match=rf'1\.0: {kind.__name__} has its own {method}, '
            '.* belongs in charge'):
        to_spike_train(net, form)


def test_a_forward_of_one_neuron_alone_is_refused():
    net = nn.Sequential(SFANeuron(), nn.Linear(4, 4)).eval()
    net[0].forward = lambda membrane: membrane
    with pytest.raises(ValueError, match='0: SFANeuron has its own forward'):
        to_spike_train(net)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_a_firing_that_gives_other_counts_is_refused(form):

    class Random(SFANeuron):

        def _fire(self, potential):
            return (potential > 0.8).to(potential)

    net = nn.Sequential(Random(), nn.Linear(4, 2)).double().eval()
    spiking = to_spike_train(net, form)
    with pytest.raises(ValueError, match='0: Random._fire gives other counts'):
        spiking(values())


def test_a_scale_that_is_no_number_is_refused():
    neuron = SFANeuron()
    neuron.scale = torch.full((4, ), 0.25)
    with pytest.raises(ValueError, match='0: the scale of SFANeuron must be a '
                       'number, but is a Tensor'):
        to_spike_train(nn.Sequential(neuron, nn.Linear(4, 2)))


@pytest.mark.parametrize('form', ['spikes', 'counts', 'free_running'])
def test_hooks_of_a_neuron_stay(form):
    net = network(lambda: SFANeuron(max_spikes=4))
    net[0].register_forward_pre_hook(lambda module, args: (args[0] * 2, ))
    net[2].register_forward_hook(lambda module, args, out: out + 0.25)
    check = EqualityCheck(net, to_spike_train(net, form))
    expected, actual = check.compare(values())
    if form == 'free_running':
        assert check.report.rows[0].differences == 0
    else:
        assert check.report.equal, check.report


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.filterwarnings('ignore')
def test_a_converted_model_is_not_traced(form):
    spiking = to_spike_train(network(lambda: SFANeuron()), form)
    with pytest.raises(RuntimeError, match='Sequential: a converted model '
                       'can not be traced'):
        torch.jit.trace(spiking, values())


def returning(equation, kind):
    """A neuron of which an equation does not return a state."""

    def equation_of_its_own(self, x, other):
        value = getattr(super(Odd, self), equation)(x, other)
        return dict(scalar=value.min(), row=value[:1], number=0.,
                    nothing=None)[kind]

    Odd = type('Odd', (SpikingNeuron, ), {equation: equation_of_its_own})
    return Odd(max_spikes=2, timesteps=2)


@pytest.mark.parametrize('form', [None, 'spikes', 'counts', 'free_running'])
@pytest.mark.parametrize('equation', ['charge', 'discharge'])
@pytest.mark.parametrize('kind,said', [
    ('scalar', r'one of the shape \(\)'),
    ('row', r'one of the shape \(1, 4\)'),
    ('number', 'a float'), ('nothing', 'a NoneType')])
def test_equations_that_return_no_state_of_each_neuron_are_refused(
        kind, said, equation, form):
    net = nn.Sequential(
        nn.Flatten(0, 1), nn.Linear(4, 4), returning(equation, kind)).eval()
    net = net if form is None else to_spike_train(net, form)
    with pytest.raises(ValueError, match=rf'^Odd.{equation} must return .*'
                       rf'\(3, 4\), .* has returned {said}'):
        net(torch.rand(3, 2, 4, 1, 1).flatten(2))
