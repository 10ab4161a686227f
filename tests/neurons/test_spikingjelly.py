"""The neurons against SpikingJelly 2.0's, which is used nowhere else."""

import pytest
import torch

from mmsnn.neurons import SpikingNeuron, build_neuron

jelly = pytest.importorskip(
    'spikingjelly.activation_based.neuron',
    reason='SpikingJelly 2.0 is not installed (pip install spikingjelly)')
surrogate = pytest.importorskip('spikingjelly.activation_based.surrogate')

pytestmark = pytest.mark.usefixtures('path')


def compare(ours: SpikingNeuron, theirs, inputs):
    """inputs: (N, T, ...). Everything in float64, so that the order of
    operations hides no difference."""
    inputs = inputs.double()
    a = inputs.flatten(0, 1).requires_grad_()
    b = inputs.transpose(0, 1).contiguous().requires_grad_()
    out, state = ours.run(a)
    expected = theirs(b)
    assert 0.05 < expected.bool().double().mean() < 0.95
    shape = inputs.shape[:2]
    assert torch.equal(out.unflatten(0, shape).transpose(0, 1), expected)
    torch.testing.assert_close(state, theirs.v, rtol=1e-12, atol=1e-12)
    grad = torch.randn_like(expected)
    expected.backward(grad)
    out.backward(grad.transpose(0, 1).flatten(0, 1))
    torch.testing.assert_close(
        a.grad.unflatten(0, shape).transpose(0, 1),
        b.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('timesteps', [1, 4])
@pytest.mark.parametrize('detach_reset', [True, False])
@pytest.mark.parametrize('reset', ['soft', 'hard'])
@pytest.mark.parametrize('tau, decay_input', [(2., True), (2., False),
                                              (3.7, True), (3.7, False)])
@pytest.mark.parametrize('curve, function', [('sigmoid', 'Sigmoid'),
                                             ('arctan', 'ATan')])
def test_lif(timesteps, detach_reset, reset, tau, decay_input, curve,
             function):
    keys = dict(detach_reset=detach_reset, decay_input=decay_input)
    ours = build_neuron(
        dict(type='mmsnn.LIFNeuron', **keys),
        timesteps=timesteps,
        decay=1 - 1 / tau,
        reset=reset,
        surrogate=curve,
        slope=3.,
        threshold=1.)
    theirs = jelly.LIFNode(
        tau=tau,
        v_threshold=1.,
        v_reset=0. if reset == 'hard' else None,
        surrogate_function=getattr(surrogate, function)(alpha=3.),
        step_mode='m',
        **keys)
    compare(ours, theirs, torch.randn(3, timesteps, 5, 40) * 4)


def test_the_published_lif():
    """Meta-SpikeFormer's neuron is SpikingJelly's default, detached."""
    ours = build_neuron(dict(type='mmsnn.LIFNeuron', timesteps=4))
    theirs = jelly.LIFNode(detach_reset=True, step_mode='m')
    compare(ours, theirs, torch.randn(3, 4, 5, 40) * 2 + 0.3)


@pytest.mark.parametrize('reset', ['soft', 'hard'])
def test_if(reset):
    ours = build_neuron(
        dict(type='mmsnn.LIFNeuron', decay=1., decay_input=False),
        timesteps=4, reset=reset, detach_reset=False)
    theirs = jelly.IFNode(
        v_reset=0. if reset == 'hard' else None, step_mode='m')
    compare(ours, theirs, torch.randn(3, 4, 5, 40))


@pytest.mark.parametrize('timesteps', [1, 4])
@pytest.mark.parametrize('detach_reset', [True, False])
@pytest.mark.parametrize('levels', [4, 8])
@pytest.mark.parametrize('threshold', [1., 0.7])
def test_integer_lif(timesteps, detach_reset, levels, threshold):
    """I-LIF is the leaky SFA neuron (halves, which it rounds to even, have
    no measure among random numbers)."""
    ours = build_neuron(
        dict(type='mmsnn.SFANeuron', decay=0.25),
        max_spikes=levels,
        threshold=threshold,
        scale=1.,
        timesteps=timesteps,
        detach_reset=detach_reset)
    theirs = jelly.ILIFNode(
        tau=4 / 3,
        v_threshold=threshold,
        surrogate_function=surrogate.MultiLevelSpikeCount(levels),
        detach_reset=detach_reset,
        step_mode='m')
    compare(ours, theirs, torch.randn(3, timesteps, 5, 40) * 2 + 0.5)


@pytest.mark.parametrize('decay_input', [False, True])
def test_learnt_decay(decay_input):
    ours = build_neuron(
        dict(type='mmsnn.LIFNeuron', decay=0.6, learn_decay=True),
        timesteps=4, decay_input=decay_input).double()
    theirs = jelly.ParametricLIFNode(
        init_tau=2.5,
        decay_input=decay_input,
        detach_reset=True,
        step_mode='m').double()
    theirs.w.data = -ours.decay_logit.data
    compare(ours, theirs, torch.randn(3, 4, 5, 40) * 2 + 0.3)
    # Its parameter is the logit of 1 - decay.
    torch.testing.assert_close(ours.decay_logit.grad, -theirs.w.grad)
