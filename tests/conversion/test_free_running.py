"""Firing while input still arrives, and how wrong that is."""

import itertools
import random

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from torch import nn

from mmsnn.conversion import (
    EqualityCheck,
    run_free_running,
    to_spike_train,
)
from mmsnn.conversion.upstream.random_numbers import RandomNumbers
from mmsnn.layers import SpikeConv2d, SpikeLinear
from mmsnn.neurons import SFANeuron

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=2, scale=1.)


class Two(nn.Module):
    """Two neurons with given weights onto one."""

    def __init__(self, weights, neuron=None):
        super().__init__()
        keys = dict(neuron or {}, max_spikes=2, scale=1.)
        self.first, self.second = SFANeuron(**keys), SFANeuron(**keys)
        self.fc = nn.Linear(2, 1)
        self.fc.weight.data = torch.tensor([weights])
        self.fc.bias.data.zero_()

    def forward(self, x):
        return self.second(self.fc(self.first(x)))


def both(model, x):
    check = EqualityCheck(model.eval(), to_spike_train(model, 'free_running'))
    return (*check.compare(x), check.report)


def test_by_hand():
    # One spike at sub-step 1 brings +1, the second of two, at 2, -0.75 more:
    # lossless 1 * 1 + 2 * -0.75 = -0.5, no spike. Free running sees 0.25 by
    # sub-step 1 (below 1/2), then -0.5: no spike either.
    lossless, free, report = both(Two([1., -0.75]), torch.tensor([[1., 2.]]))
    assert lossless.item() == free.item() == 0 and report.equal
    # With -0.25: 0.75 by sub-step 1 fires; 0.5 at the end would fire too.
    lossless, free, _ = both(Two([1., -0.25]), torch.tensor([[1., 2.]]))
    assert lossless.item() == free.item() == 1
    # With -0.4: 0.6 fires, but only 0.2 have arrived at the end.
    lossless, free, report = both(Two([1., -0.4]), torch.tensor([[1., 2.]]))
    assert (lossless.item(), free.item()) == (0, 1)
    assert report.total_differences == 1
    row = {r.module: r for r in report.rows}['second']
    assert (row.training_spikes, row.spike_train_spikes) == (0, 1)
    assert report.output_error > 0 and report.images == 1


def test_its_trace_by_hand():
    # As above: the second neuron fires once though it should not, which
    # causes 3 additions more.
    model = nn.Sequential(Two([1., -0.4]), nn.Linear(1, 3)).eval()
    run = run_free_running(model, torch.tensor([[1., 2.]]))
    for trace, second in ((run.lossless, 0), (run.trace, 1)):
        found = {r.module: r for r in trace if r.kind == 'neuron'}
        assert found['0.first'].spikes == [2, 1]
        assert found['0.second'].emitted == second
        sops = {r.module: r.sops for r in trace if r.kind == 'linear'}
        assert sops == {'0.fc': 3, '1': 3 * second}
    assert run.equality.total_differences == 1
    # The model itself fires as before.
    assert not model[0](torch.tensor([[1., 2.]])).any()


def test_its_input_may_have_a_history():
    x = torch.tensor([[1., 2.]], requires_grad=True)
    run = run_free_running(Two([1., -0.4]).eval(), x * 1)
    assert run.equality.total_differences == 1


def test_its_trace_is_the_lossless_one_where_nothing_differs():
    torch.manual_seed(0)
    model = SpikeConv2d(2, 3, 3, padding=1, neuron=NEURON).eval()
    run = run_free_running(model, 3 * torch.rand(2, 2, 6, 6))
    assert list(run.trace) == list(run.lossless)
    assert run.trace.images == 2 and run.trace.total('sops') > 0


def test_too_late_to_fire_twice():
    # 0 by sub-step 1, 2 at the end: two spikes, but one sub-step is left.
    lossless, free, _ = both(Two([-1., 1.5]), torch.tensor([[1., 2.]]))
    assert lossless.item() == 2
    assert free.item() == 2  # 0.5 by sub-step 1 fires
    lossless, free, _ = both(Two([-1.2, 1.6]), torch.tensor([[1., 2.]]))
    assert (lossless.item(), free.item()) == (2, 1)


def test_where_all_input_arrives_at_once_nothing_differs():
    torch.manual_seed(0)
    model = SpikeConv2d(2, 3, 3, neuron=NEURON).double()
    x = 3 * torch.rand(3, 2, 6, 6).double()
    lossless, free, report = both(model, x)
    assert report.equal and report.output_error < 1e-12
    assert free.shape == lossless.shape


def test_membranes_are_kept_between_time_steps():
    model = Two([1., -0.4], dict(timesteps=2))
    # The lossless 0.2 of step 1 stays; free running leaves 0.2 - 1.
    x = torch.tensor([[1., 2.], [1., 0.]])

    class Timed(nn.Module):

        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x.flatten(0, 1).flatten(1))

    timed = Timed().eval()
    spiking = to_spike_train(timed, 'free_running')
    data = x.view(1, 2, 2, 1, 1)
    assert timed(data).flatten().tolist() == [0, 1]
    spiking(data)
    check = EqualityCheck(timed, spiking)
    check.compare(data)
    rows = {r.module: r for r in check.report.rows}
    assert rows['model.first'].differences == 0
    assert rows['model.second'].differences == 2
    assert rows['model.second'].spike_train_spikes == 1


def test_a_classifier(classifiers, make_images):
    model = classifiers(4)
    check = EqualityCheck(model, to_spike_train(model, 'free_running'))
    lossless, free = check.compare(make_images(2))
    report = check.report
    assert free.shape == lossless.shape and report.images == 2
    first = report.rows[0]
    assert first.differences == 0  # the image is there at sub-step 1
    assert report.total_differences > 0.01 * report.total_neurons
    assert 0 < report.output_error < float('inf')


def test_what_has_no_row_per_image(detectors, make_detection_data):
    spiking = to_spike_train(detectors('mask_rcnn'), 'free_running')
    with pytest.raises(ValueError, match=r"roi_head.*'free_running' needs one "
                       'row for each'):
        spiking.test_step(make_detection_data((64, 96)))


def test_a_one_stage_detector(detectors, make_detection_data):
    spiking = to_spike_train(detectors('fcos'), 'free_running')
    samples = spiking.test_step(make_detection_data((64, 96), (64, 96)))
    assert [s.img_id for s in samples] == [0, 1]


def simulated(layers, x):
    """T = 1, sub-step by sub-step, with a loop for each: neurons are dicts
    with D and the threshold, all else are functions of the whole batch."""
    fired = [0 * x for _ in layers]
    for _ in range(max(y['D'] for y in layers if isinstance(y, dict))):
        value = x
        for i, layer in enumerate(layers):
            if callable(layer):
                value = layer(value)
                continue
            if fired[i].shape != value.shape:
                fired[i] = torch.zeros_like(value)
            for place, arrived in enumerate(value.flatten().tolist()):
                count = fired[i].view(-1)[place].item()
                if count < layer['D'] and (
                        arrived / layer['threshold'] >= count + 0.5):
                    fired[i].view(-1)[place] = count + 1
            value = fired[i] / layer['D']
    return value


class Mixing(nn.Module):
    """Neurons with a convolution between them, and something that is done
    with its result."""

    def __init__(self, mix, end=lambda v: v):
        super().__init__()
        self.first, self.second = SFANeuron(4), SFANeuron(3, threshold=0.7)
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.mix, self.end = mix, end

    def forward(self, x):
        x = self.mix(4 * self.conv(self.first(x)))
        return self.end(self.second(x))


MIXES = {
    'flip': lambda v: v + v.flip(0),
    'mean': lambda v: v - v.mean(0, keepdim=True),
    'first': lambda v: v - v[:1],
    'roll': lambda v: v - 0.5 * v.roll(1, 0),
    'sorted': lambda v: v.sort(0)[0],
    'joined': lambda v: torch.cat([v[1:], v[:1]]),
    'attention': lambda v: (
        (v.flatten(1) @ v.flatten(1).T).softmax(1) @ v.flatten(1)).view_as(v),
    'largest': lambda v: v - 0.1 * v.amax(0),
    'none': lambda v: v,
}


@pytest.mark.parametrize('mix', MIXES)
def test_images_of_a_batch_may_be_mixed(mix):
    torch.manual_seed(0)
    model = Mixing(MIXES[mix]).double().eval()
    x = 4 * torch.rand(3, 3, 4, 4, dtype=torch.float64)
    layers = [dict(D=4, threshold=1.), lambda v: model.mix(4 * model.conv(v)),
              dict(D=3, threshold=0.7)]
    with torch.no_grad():
        expected = simulated(layers, x)
        lossless = model(x)
    actual = to_spike_train(model, 'free_running')(x)
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=0)
    assert not torch.equal(lossless, actual)  # it matters here


@pytest.mark.parametrize('images', [1, 2])
def test_results_of_any_layout_are_those_after_the_last_substep(images):
    torch.manual_seed(0)
    table = torch.rand(4 * images, 5)  # as many rows as sub-steps
    model = Mixing(MIXES['none'], lambda v: (
        v[0], dict(table=table, v=v.flatten(1).T), v.shape, [v[:, 0]])).eval()
    x = 4 * torch.rand(images, 3, 4, 4)
    first, named, shape, (channel, ) = to_spike_train(
        model, 'free_running')(x)
    model.end = lambda v: v
    whole = to_spike_train(model, 'free_running')(x)
    assert torch.equal(first, whole[0]) and named['table'] is not None
    assert torch.equal(named['table'], table) and shape == whole.shape
    assert torch.equal(named['v'], whole.flatten(1).T)
    assert torch.equal(channel, whole[:, 0])


def test_other_arguments_stay_as_they_are():

    class Position(Mixing):

        def forward(self, x, table):  # (N, N), by chance
            return super().forward(x).flatten(1)[:, :2] @ table

    torch.manual_seed(0)
    model = Position(MIXES['none']).eval()
    x, table = 4 * torch.rand(2, 3, 4, 4), torch.rand(2, 2)
    actual = to_spike_train(model, 'free_running')(x, table)
    whole = to_spike_train(model, 'free_running')(x, torch.eye(2))
    torch.testing.assert_close(actual, whole @ table)


@pytest.mark.parametrize('regions,images', [(8, 2), (7, 2), (4, 1)])
def test_regions_of_interest_are_refused_whatever_their_number(regions,
                                                               images):

    class Regions(nn.Module):

        def __init__(self):
            super().__init__()
            self.first, self.second = SFANeuron(4), SFANeuron(4)

        def forward(self, x):
            x = self.first(x)
            return self.second(torch.stack(
                [x[0, :, i % 4, i // 4] for i in range(regions)]))

    spiking = to_spike_train(Regions(), 'free_running')
    with pytest.raises(ValueError, match=rf"second: form='free_running' needs "
                       rf'one row .*here {images}, .*\({regions}, 3\)'):
        spiking(torch.rand(images, 3, 4, 4))


class Changing(nn.Module):
    """Does not the same in each sub-step."""

    def __init__(self, what):
        super().__init__()
        self.first, self.second = SFANeuron(2), SFANeuron(2)
        self.what = what

    def forward(self, x):
        x = self.first(x)
        much = bool(x.sum() > 1)
        if self.what == 'shape':
            return self.second(x[:, :2] if much else x)
        x = self.second(x)
        again = dict(more=much, less=not much).get(self.what)
        return self.second(x) if again else x


@pytest.mark.parametrize('what,said', [
    ('shape', r'its membranes have the shape \(2, 2\) in one and \(2, 3\) in'),
    ('more', 'it ran more often than in the first'),
    ('less', 'it ran 1 times in one and 2 times in another')])
def test_what_depends_on_values_is_refused(what, said):
    spiking = to_spike_train(Changing(what), 'free_running')
    x = torch.tensor([[0.6, 2., 2.], [0.1, 0.1, 0.1]])
    spiking.module.first.neuron.scale = 0.3
    with pytest.raises(ValueError, match=f'^second: .*{said}'):
        spiking(x)
    # Nothing is left behind.
    spiking.module.what = 'none'
    assert (spiking(torch.full((2, 3), 9.)) > 0).all()


def test_a_neuron_behind_a_mean_over_time_by_hand():

    class Readout(nn.Module):

        def __init__(self):
            super().__init__()
            self.over_time = SFANeuron(2, scale=1., timesteps=2)
            self.last = SFANeuron(4, scale=1.)

        def forward(self, x):
            x = self.over_time(x.flatten(0, 1))
            return self.last(x.unflatten(0, (-1, 2)).sum(1))

    model = Readout().eval()
    # Spikes of the first: 2 in step 1 and 1 in step 2; the last one gets 1,
    # 2, 3, 3 by the 2 x 2 sub-steps and fires in three of them.
    x = torch.tensor([[[2.], [1.]]])
    assert model(x).item() == 3
    assert to_spike_train(model, 'free_running')(x).item() == 3
    # 2 and 2: by 1, 2, 3, 4, so it fires four times. -3 is added later: what
    # was fired can't be taken back.
    x = torch.tensor([[[2.], [2.]]])
    assert to_spike_train(model, 'free_running')(x).item() == 4


def test_neurons_of_other_numbers_of_time_steps():
    model = nn.Sequential(
        nn.Flatten(0, 1), SFANeuron(2, timesteps=4), nn.Unflatten(0, (4, 2)),
        nn.Flatten(0, 1), SFANeuron(2, timesteps=2))
    with pytest.raises(ValueError, match="^4: form='free_running' needs "
                       'neurons with timesteps=1 or 4.*this one has 2'):
        to_spike_train(model, 'free_running')(torch.rand(2, 4, 3))


def test_data_samples_are_written_once():

    class Counting(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron(4)

        def forward(self, x, samples):
            for sample in samples:
                sample.seen = sample.get('seen', 0) + 1
            return self.neuron(x)

    samples = [BaseDataElement(), BaseDataElement()]
    to_spike_train(Counting(), 'free_running')(torch.rand(2, 3), samples)
    assert [s.seen for s in samples] == [1, 1]


def test_no_trace():
    spiking = to_spike_train(SpikeLinear(1, 1, neuron=NEURON), 'free_running')
    with pytest.raises(ValueError, match="records no op trace.*'counts'"):
        spiking.start_recording()


class Noise(nn.Module):
    """Three neurons in a row, of which each fires what it is given, and
    something that is drawn or kept in between."""

    def __init__(self, change):
        super().__init__()
        self.first, self.second = (
            SFANeuron(max_spikes=4, scale=1.) for _ in range(2))
        self.fc = nn.Linear(6, 6, bias=False)
        self.fc.weight.data = torch.eye(6)
        self.change = change
        self.calls, self.kept, self.own = 0, [], torch.Generator()
        self.register_buffer('mean', torch.zeros(6))

    def forward(self, x):
        return self.second(self.change(self, self.fc(self.first(x))))


DRAWS = {
    'randn': lambda m, v: v + torch.randn_like(v),
    'rand': lambda m, v: v + 3 * torch.rand(6) - 1,
    'dropout': lambda m, v: nn.functional.dropout(v, 0.5, training=True),
    'bernoulli': lambda m, v: v * torch.bernoulli(torch.full_like(v, 0.5)),
    'multinomial': lambda m, v: v[:, torch.multinomial(torch.ones(6), 3)
                                  ].repeat(1, 2),
    'own generator': lambda m, v: v + torch.rand(6, generator=m.own),
    'numpy': lambda m, v: v + torch.from_numpy(np.random.rand(6)).float(),
    'python': lambda m, v: v + random.random() + abs(random.gauss(0, 1)),
    'shuffle': lambda m, v: v[:, torch.randperm(6)],
}


def seed(model):
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    model.own.manual_seed(3)


def drawn_next(model):
    return (torch.rand(1).item(), np.random.rand(), random.gauss(0, 1),
            torch.rand(1, generator=model.own).item())


@pytest.mark.parametrize('drawn', DRAWS)
def test_noise_is_drawn_once_and_the_same_in_each_substep(drawn):
    """By hand: in sub-step d, min(x, d) has arrived, to which the same noise
    is added, and a neuron fires if that reaches what it has fired + 1/2."""
    model = Noise(DRAWS[drawn]).eval()
    x = torch.tensor([[0., 1., 2., 3., 4., 4.], [4., 3., 2., 1., 0., 1.]])
    spiking = to_spike_train(model, 'free_running')
    for _ in range(2):
        seed(spiking.module)
        free, after = spiking(x), drawn_next(spiking.module)
    seed(model)
    with torch.no_grad():
        model(x)
    assert after == drawn_next(model)  # as many were drawn as in one call
    seed(model)
    before, own = RandomNumbers(), model.own.get_state()
    fired = torch.zeros_like(x)
    for d in range(1, 5):
        before.restore()
        model.own.set_state(own)
        potential = DRAWS[drawn](model, x.clamp(max=d))
        fired += (potential - 0.5 >= fired) & (fired < 4)
    assert free.tolist() == fired.tolist() and fired.any()


def test_noise_drawn_anew_would_be_seen():
    """Noise of 0 or 4, drawn once, fires a neuron in all sub-steps or in
    none."""
    model = Noise(lambda m, v: 0 * v + 4 * torch.rand(6).round()).eval()
    torch.manual_seed(0)
    fired = to_spike_train(model, 'free_running')(torch.zeros(2, 6))
    assert set(fired.flatten().tolist()) == {0, 4}


def counts_calls(m, v):
    m.calls += 1
    return v + m.calls


def keeps_a_list(m, v):
    m.kept.append(v)
    return v + len(m.kept)


def keeps_statistics(m, v):
    m.mean.mul_(0.5).add_(v.mean(0))
    return v + m.mean


def writes_past_versions(m, v):
    m.mean.data.add_(1)
    m.mean.detach().numpy()[0] += 1
    return v + m.mean


def writes_weights(m, v):
    m.fc.weight.data = m.fc.weight.data + 1
    return v


def caches(m, v):
    if not hasattr(m, 'cache'):
        m.cache = torch.cat([v, v])[:2]
    return v + m.cache


def counts_in_a_class(m, v):
    Noise.number = getattr(Noise, 'number', 0) + 1
    return v + Noise.number


def nested(m, v):
    m.memory = getattr(m, 'memory', {'k': []})
    m.memory['k'].append(v[:1])
    return v + sum(m.memory['k'])


def writes_its_input(m, v):
    return v.add_(1)


CHANGES = [counts_calls, keeps_a_list, keeps_statistics, writes_past_versions,
           writes_weights, caches, counts_in_a_class, nested,
           writes_its_input]


def state(model):
    return (model.calls, len(model.kept), model.mean.tolist(),
            model.fc.weight.tolist(), hasattr(model, 'cache'),
            getattr(Noise, 'number', 0))


@pytest.mark.parametrize('change', CHANGES)
def test_a_call_leaves_the_state_of_one_run(change):
    """What has arrived in the last sub-step is the whole input, so that a
    call of the lossless form leaves the same."""
    Noise.number = 0
    x = torch.tensor([[0., 1., 2., 3., 4., 4.], [4., 3., 2., 1., 0., 1.]])
    model = Noise(change).eval()
    spiking = to_spike_train(model, 'free_running')
    found = []
    for net in (model, spiking):
        Noise.number = 0
        with torch.no_grad():
            found.append([])
            for _ in range(2):
                out = net(x.clone())
                found[-1].append((out.tolist(), state(
                    net if net is model else net.module)))
    del Noise.number
    (first, second), (free, again) = found
    assert (free[1], again[1]) == (first[1], second[1])
    if change is not writes_weights:  # there, what arrives first is wrong
        assert (free[0], again[0]) == (first[0], second[0])


class Slots:
    __slots__ = ('number', )

    def __init__(self):
        self.number = 0


class PrivateSlots:
    __slots__ = ('__number', )

    def __init__(self):
        self.__number = 0

    def up(self):
        self.__number += 1
        return self.__number


def in_a_closure():
    number = 0

    def change(m, v):
        nonlocal number
        number += 1
        return v + number

    return change


def in_an_object(held, add):
    def make():
        kept = held()
        return lambda m, v: v + add(kept)

    return make


def in_an_array(kept):
    kept[0] += 1
    return float(kept[0])


def in_a_slot(kept):
    kept.number += 1
    return kept.number


def in_a_global():
    global NUMBER
    NUMBER = 0

    def change(m, v):
        global NUMBER
        NUMBER += 1
        return v + NUMBER

    return change


def in_a_longer_buffer():
    def change(m, v):
        m.mean.resize_(len(m.mean) + 1)[-1] = 1
        return v + len(m.mean) - 6

    return change


@pytest.mark.parametrize('make', [
    in_a_closure, in_a_global, in_a_longer_buffer,
    in_an_object(lambda: np.zeros(1), in_an_array),
    in_an_object(Slots, in_a_slot),
    in_an_object(PrivateSlots, PrivateSlots.up),
    in_an_object(lambda: random.Random(0), lambda x: 3 * x.random()),
    in_an_object(lambda: np.random.default_rng(0), lambda x: 3 * x.random()),
    in_an_object(lambda: np.random.RandomState(1), lambda x: 3 * x.rand()),
    in_an_object(lambda: np.random.PCG64(0),
                 lambda x: x.random_raw() % 1000 / 300)])
def test_what_is_kept_outside_of_modules_goes_on_once_a_call(make):
    x = torch.tensor([[0., 1., 2., 3., 4., 4.], [4., 3., 2., 1., 0., 1.]])
    found = []
    for convert in (nn.Module.eval,
                    lambda model: to_spike_train(model, 'free_running')):
        net = convert(Noise(make()))
        with torch.no_grad():
            found.append([net(x).tolist() for _ in range(2)])
    assert found[0] == found[1] and found[0][0] != found[0][1]


def test_a_call_that_fails_leaves_the_state_before_it():
    def fails(m, v):
        Noise.tried = True
        m.calls += 1
        torch.rand(1)
        if v.sum() > 10:
            raise KeyError('too much')
        return v

    spiking = to_spike_train(Noise(fails).eval(), 'free_running')
    before = RandomNumbers()
    with pytest.raises(KeyError):  # in the second sub-step
        spiking(torch.full((1, 6), 4.))
    assert (spiking.module.calls, hasattr(Noise, 'tried')) == (0, False)
    assert before == RandomNumbers()


def test_inputs_that_are_written_into_are_written_once():
    model = nn.Sequential(nn.ReLU(inplace=True), SFANeuron(4)).eval()

    class Doubling(nn.Module):

        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x.mul_(2))

    x = torch.ones(1, 2)
    assert to_spike_train(Doubling(), 'free_running')(x).tolist() == [[.5, .5]]
    assert x.tolist() == [[2., 2.]]


@pytest.mark.parametrize('change,said', [
    (lambda m, v: v + torch.poisson(v), 'how many random numbers'),
    (lambda m, v: v + (random.random() if v.sum() > 10 else 0),
     'how many random numbers'),
    (lambda m, v: v + next(m.kept), 'that can not be put back')])
def test_what_is_no_state_that_can_be_put_back_is_refused(change, said):
    model = Noise(change).eval()
    if 'put' in said:
        model.kept = itertools.count()
    spiking = to_spike_train(model, 'free_running')
    with pytest.raises(ValueError, match="^Noise: form='free_running' needs a "
                       rf'model of which .*{said}.*: use a lossless form'):
        spiking(torch.full((1, 6), 4.))


def test_a_hook_that_each_call_registers_is_registered_once():
    model = Noise(lambda m, v: v + len(m.fc._forward_hooks) + 0 * bool(
        m.fc.register_forward_hook(lambda *args: None))).eval()
    spiking = to_spike_train(model, 'free_running')
    for number in (1, 2):
        spiking(torch.full((1, 6), 4.))
        assert len(spiking.module.fc._forward_hooks) == number


def test_a_generator_of_python_is_refused():
    model = Noise(lambda m, v: v + next(m.kept)).eval()
    spiking = to_spike_train(model, 'free_running')
    spiking.module.kept = (i for i in range(9))
    with pytest.raises(ValueError, match='can not be looked into'):
        spiking(torch.ones(1, 6))


def test_all_runs_draw_the_same_noise():
    """The image is there at once: free running and its trace fire what the
    lossless form fires, if the noise is the same in all of them."""

    class Noisy(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron(4)

        def forward(self, x):
            return self.neuron(x + 3 * torch.rand(50))

    torch.manual_seed(0)
    run = run_free_running(Noisy().eval(), torch.zeros(2, 50))
    assert run.equality.equal, run.equality
    assert list(run.trace) == list(run.lossless)
    assert run.trace.total('emitted') == run.equality.rows[0].training_spikes
