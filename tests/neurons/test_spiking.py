"""The T x D neuron against voltages and gradients worked out by hand."""

import io
import warnings

import pytest
import torch
from torch import nn

from mmsnn.neurons import LIFNeuron, SFANeuron, SpikingNeuron, build_neuron
from mmsnn.registry import MODELS

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
def test_voltages(path, case, dtype):
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


def test_presets():
    lif = LIFNeuron(timesteps=4)
    assert (lif.max_spikes, lif.scale, lif.decay, lif.decay_input, lif.reset,
            lif.surrogate, lif.slope, lif.offset,
            lif.detach_reset) == (1, 1., 0.5, True, 'hard', 'sigmoid', 4., 0.,
                                  True)
    sfa = SFANeuron(timesteps=4)
    assert (sfa.max_spikes, sfa.scale, sfa.decay, sfa.decay_input, sfa.reset,
            sfa.surrogate, sfa.offset) == (4, 0.25, 1., False, 'soft',
                                           'rectangle', 0.5)
    integer = dict(type='mmsnn.LIFNeuron', decay=0.25, decay_input=False)
    neuron = build_neuron(
        integer, max_spikes=4, surrogate='rectangle', slope=2., scale=1.)
    assert (neuron.max_spikes, neuron.slope, neuron.scale) == (4, 2., 1.)


def test_lif_charges_at_one_timestep_too(path):
    inputs = torch.tensor([1.5, 2., 2.5])
    assert LIFNeuron()(inputs).tolist() == [0., 1., 1.]


def test_samples_are_folded_before_time(path):
    neuron = SpikingNeuron(timesteps=2)
    inputs = torch.tensor([[0.75], [0.75], [0.25], [0.25]])
    assert neuron(inputs).flatten().tolist() == [0., 1., 0., 0.]


KINDS = [
    dict(type='mmsnn.SFANeuron', timesteps=4),
    dict(type='mmsnn.SFANeuron', timesteps=4, decay=0.7, learn_decay=True),
    dict(type='mmsnn.LIFNeuron', timesteps=4),
    dict(type='mmsnn.LIFNeuron', timesteps=4, threshold=0.6, decay=0.8),
]


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('cfg', KINDS)
def test_streaming_is_one_call(path, cfg, dtype):
    neuron = MODELS.build(cfg)
    inputs = (torch.randn(3, 4, 2, 5) * 2).to(dtype)
    whole, last = neuron.run(inputs.flatten(0, 1))
    assert torch.equal(whole, neuron(inputs.flatten(0, 1)))
    state, steps = None, []
    for t in range(4):
        out, state = neuron.run(inputs[:, t], state, timesteps=1)
        steps.append(out)
    assert torch.equal(torch.stack(steps, 1).flatten(0, 1), whole)
    assert state.dtype == torch.float32 and torch.equal(state, last)


@pytest.mark.parametrize('cfg', KINDS)
def test_no_batch_leaves_anything_to_the_next(path, cfg):
    first, second = torch.randn(2, 8, 3, 5, 5) * 2
    neuron, other = MODELS.build(cfg), MODELS.build(cfg)
    forth = [neuron(first), neuron(second)]
    back = [other(second), other(first)]
    assert torch.equal(forth[0], back[1])
    assert torch.equal(forth[1], back[0])
    assert forth[1].count_nonzero() and not list(neuron.buffers())


def gradients(inputs, **keys):
    u = torch.tensor(inputs, requires_grad=True)
    out = SpikingNeuron(timesteps=len(inputs), **keys)(u)
    out.sum().backward()
    return u.grad.tolist()


def test_gradients_through_time(path):
    # v = 0.75, 1.25 (IF); both in the window [1/2, 3/2].
    assert gradients([0.75, 0.5]) == [2., 1.]
    # The reset takes away what the first spike's gradient adds.
    assert gradients([0.75, 0.5], detach_reset=False) == [1., 1.]
    leaky = dict(decay=0.5)
    assert gradients([0.75, 0.5], **leaky) == [1.5, 1.]
    assert gradients([0.75, 0.5], reset='hard', **leaky) == [1.5, 1.]
    # h = v (1 - c): dh/dv = 1 - c - v c' = 1 - 0 - 0.75
    hard = dict(reset='hard', detach_reset=False)
    assert gradients([0.75, 0.5], **hard, **leaky) == [1.125, 1.]
    # fired: h = 0, and dh/dv = 1 - 1 - 1.25
    assert gradients([1.25, 0.5], **hard, **leaky) == [1 - 0.625, 1.]
    assert gradients([1.25, 0.5], reset='hard', **leaky) == [1., 1.]
    # v = 0.5 * 1.5, 0.375 + 0.5: twice the factor 1/2
    assert gradients([1.5, 1.], decay_input=True, **leaky) == [0.75, 0.5]
    # scale / threshold = 1/2; v = 3, 5 in [1, 9], then 12.5 outside
    assert gradients([3., 4., 10.5], max_spikes=4, scale=1., threshold=2.) == [
        1., 0.5, 0.]


def test_gradients_of_smooth_surrogates(path):
    # At the threshold: the slope's height, then a step further on.
    keys = dict(surrogate='arctan', slope=2., reset='hard')
    first, second = gradients([1., 1.], **keys)
    assert (first, second) == (1., 1.)
    # x = 0.5: 1 / (1 + (pi / 2)^2)
    assert gradients([1.5], **keys)[0] == pytest.approx(0.288400, abs=1e-6)
    # slope s (1 - s), s = sigmoid(4 * 0.5); threshold 2 halves it
    keys = dict(surrogate='sigmoid', slope=4.)
    assert gradients([1.], **keys)[0] == 1.
    assert gradients([1.5], **keys)[0] == pytest.approx(0.419974, abs=1e-6)
    assert gradients([3.], threshold=2.,
                     **keys)[0] == pytest.approx(0.209987, abs=1e-6)


def test_gradient_of_a_learnt_decay_by_hand(path):
    neuron = SpikingNeuron(timesteps=2, decay=0.5, learn_decay=True)
    neuron(torch.tensor([0.75, 0.5])).sum().backward()
    # dv[1] / d decay = h[0] = 0.75; d decay / d logit = 1/4
    assert neuron.decay_logit.grad.item() == 0.75 / 4
    neuron = SpikingNeuron(
        timesteps=2, decay=0.5, decay_input=True, learn_decay=True)
    neuron(torch.tensor([1.5, 1.])).sum().backward()
    # v[0] = 1.5 (1 - decay): -1.5. v[1] = h + (1 - h) / 2 with h = 0.75:
    # -(1 - 0.75) - 1.5 / 2
    assert neuron.decay_logit.grad.item() == (-1.5 - 0.25 - 0.75) / 4


@pytest.mark.parametrize('decay_input', [False, True])
@pytest.mark.parametrize('reset', ['soft', 'hard'])
@pytest.mark.parametrize('surrogate', ['rectangle', 'sigmoid'])
def test_gradients_of_the_state_by_differences(path, decay_input, reset,
                                               surrogate):
    """Where no count changes, the state is a smooth function."""
    neuron = SpikingNeuron(
        timesteps=4,
        threshold=0.8,
        decay=0.7,
        decay_input=decay_input,
        reset=reset,
        learn_decay=True,
        surrogate=surrogate).double()
    inputs = (torch.randn(8, 3) * 2).double().requires_grad_()
    state = torch.randn(2, 3).double().requires_grad_()
    spikes, _ = neuron.run(inputs, state)
    assert 0 < spikes.sum() < spikes.numel()
    assert torch.autograd.gradcheck(
        lambda x, h, logit: neuron.run(x, h)[1],
        (inputs, state, neuron.decay_logit))


def test_a_learnt_decay_starts_where_it_is_told():
    neuron = LIFNeuron(decay=0.8, learn_decay=True)
    assert neuron.decay.item() == pytest.approx(0.8)
    assert list(neuron.state_dict()) == ['decay_logit']
    # At T = 1 it may have nothing to do, but a distributed wrapper must
    # find a gradient.
    neuron = SFANeuron(decay=0.8, learn_decay=True)
    neuron(torch.rand(3, requires_grad=True)).sum().backward()
    assert neuron.decay_logit.grad.item() == 0


@pytest.mark.parametrize('keys, message', [
    (dict(timesteps=0), 'neuron.timesteps must be a positive integer'),
    (dict(timesteps=2.), 'neuron.timesteps must be a positive integer'),
    (dict(decay=0.), 'neuron.decay must be a number from 1.175e-38 to 1'),
    (dict(decay=1e-320), 'neuron.decay must be a number from 1.175e-38'),
    (dict(decay=1.5), 'neuron.decay must be a number from 1.175e-38 to 1'),
    (dict(threshold=10**400), 'neuron.threshold must be .* but is 10+...0+$'),
    (dict(decay=1 - 1e-12, learn_decay=True), 'needs a neuron.decay below 1'),
    (dict(slope=-1.), 'neuron.slope must be a positive number'),
    (dict(reset='none'), "neuron.reset must be one of 'soft', 'hard'"),
    (dict(surrogate='tanh'), 'neuron.surrogate must be one of .*arctan'),
    (dict(decay_input=1), 'neuron.decay_input must be True or False'),
    (dict(detach_reset='no'), 'neuron.detach_reset must be True or False'),
    (dict(decay=1.), 'neuron.decay_input = True needs a neuron.decay below'),
    (dict(decay=1., decay_input=False, learn_decay=True),
     'neuron.learn_decay = True needs a neuron.decay below 1'),
    (dict(max_spikes=4), "neuron.surrogate = 'sigmoid' is for neurons with "
     'neuron.max_spikes = 1, but that is 4'),
])
def test_bad_keys(keys, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type='mmsnn.LIFNeuron', **keys))


def test_unknown_keys():
    with pytest.raises(TypeError, match='tau'):
        MODELS.build(dict(type='mmsnn.LIFNeuron', tau=2.))


def test_bad_inputs():
    neuron = LIFNeuron(timesteps=4)
    for shape in ((6, 2), ()):
        with pytest.raises(ValueError, match='neuron.timesteps = 4 does not'):
            neuron(torch.zeros(shape))
    for shape in ((3, 2), (2, 3), (2, )):
        with pytest.raises(
                ValueError, match=r'state of shape .*must have.*\(2, 2\)'):
            neuron.run(torch.zeros(8, 2), torch.zeros(shape))
    with pytest.raises(ValueError, match='neuron.timesteps must be a positi'):
        neuron.run(torch.zeros(8, 2), timesteps=0)


def saved(neuron):
    """A state dict as torch.save and torch.load hand it on."""
    file = io.BytesIO()
    torch.save(nn.Sequential(nn.ReLU(), neuron).state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_a_checkpoint_of_another_level_count_warns():
    state = saved(SFANeuron(4))
    assert not state  # no key is added
    assert state._metadata['1']['timesteps'] == 1
    model = nn.Sequential(nn.ReLU(), SFANeuron(8))
    with pytest.warns(
            UserWarning,
            match='neuron.max_spikes is 8, but .* made with 4.*up to 8 spikes '
            'instead of 4'):
        model.load_state_dict(state)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        nn.Sequential(nn.ReLU(), SFANeuron(4)).load_state_dict(state)
        nn.Sequential(nn.ReLU(), nn.ReLU()).load_state_dict(state)
        model.load_state_dict({})  # a checkpoint that does not say


def test_the_warning_survives_mmengine(tmp_path):
    from mmengine.runner import load_checkpoint, save_checkpoint
    from mmengine.runner.checkpoint import get_state_dict
    model = nn.Sequential(nn.Linear(2, 2), SFANeuron(4))
    file = str(tmp_path / 'model.pth')
    save_checkpoint(dict(state_dict=get_state_dict(model)), file)
    load_checkpoint(model, file)
    model[1] = SFANeuron(2)
    with pytest.warns(UserWarning, match='neuron.max_spikes is 2'):
        load_checkpoint(model, file)


def test_repr_shows_time_where_there_is_any():
    assert repr(SFANeuron()) == (
        'SFANeuron(max_spikes=4, scale=0.25, threshold=1)')
    assert repr(LIFNeuron(timesteps=4)) == (
        'LIFNeuron(max_spikes=1, scale=1, threshold=1, timesteps=4, '
        "decay=0.5, decay_input, reset='hard', surrogate='sigmoid')")


@pytest.mark.filterwarnings('error')
def test_repr_shows_a_learnt_decay():
    neuron = LIFNeuron(timesteps=2, decay=0.25, learn_decay=True)
    assert 'decay=0.25, decay_input, learn_decay' in repr(neuron)
