"""What rounding may change is measured, and nothing else is excused."""

import copy
import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.conversion.leaves import leaves
from mmsnn.conversion.rounding import (
    NotRepeatableError,
    Perturbed,
    measure_rounding,
)
from mmsnn.neurons import SFANeuron

DOUBLE = torch.float64
SHARE = 2.**-40  # of numbers in float64, see the module


def numbers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=DOUBLE)


def rounding_of(run):
    """Of the last leaf of what ``run`` returns, after all draws."""
    draws = list(measure_rounding(run, nn.Module(), DOUBLE, leaves(run()), {}))
    return draws[-1][-1] if draws else None


def test_numbers_change_by_the_share_and_whole_numbers_do_not():
    x = torch.tensor([0.1, -0.3, 3., 0., -1e10, torch.finfo(DOUBLE).min,
                      float('inf')]).double()
    seen = []
    for seed in range(50):
        with Perturbed(DOUBLE, 0.5, seed):
            seen.append(x * 1)
    changes = (torch.stack(seen) - x).abs() / x.abs()
    assert (changes[:, :2] <= 0.5).all()
    assert (changes[:, :2].amax(0) > 0.4).all()
    assert (torch.stack(seen)[:, 2:] == x[2:]).all()


def test_the_same_draw_changes_the_same():
    x, seen = numbers(9), []
    for share, seed in ((0.25, 0), (0.5, 0), (-0.25, 0), (0.25, 1)):
        with Perturbed(DOUBLE, share, seed):
            y = x * 1
        seen.append(y - x)
    torch.testing.assert_close(seen[1], 2 * seen[0])
    torch.testing.assert_close(seen[2], -seen[0])
    assert not torch.allclose(seen[3], seen[0])


def test_what_is_written_into_is_written_into_and_read_as_it_is():
    x, y, z = numbers(3), numbers(3, seed=1), torch.zeros(3, dtype=DOUBLE)
    before = x.clone(), y.clone()
    with Perturbed(DOUBLE, 1e-3, 0):
        z.add_(x)
        torch.add(x, y, out=z)
    assert torch.equal(x, before[0]) and torch.equal(y, before[1])
    assert not torch.equal(z, x + y)
    torch.testing.assert_close(z, x + y, rtol=0, atol=1e-2)


@pytest.mark.parametrize('shape', [(1, 10), (10, ), (3, 20), (2, 5, 8, 9)])
def test_another_order_of_sums_is_explained(shape):
    """Some of 100 terms each, some that cancel but for rounding."""
    for seed in range(5):
        terms = numbers(*shape, 100, seed=seed)
        terms[..., 0] -= terms.sum(-1) * (torch.arange(shape[-1]) % 2)
        order = torch.randperm(
            100, generator=torch.Generator().manual_seed(seed))
        first = terms.sum(-1)
        second = terms[..., order].flip(-1).cumsum(-1)[..., -1]
        assert not torch.equal(first, second)
        rounding = rounding_of(lambda terms=terms: terms.sum(-1))
        assert ((first - second).abs() <= rounding).all()
        # No more than the share of all terms, each of which is read twice
        # at most: as a number, and as a part of the sum.
        assert (rounding <= 2 * SHARE * terms.abs().sum(-1)).all()


def test_the_terms_of_other_elements_do_not_matter():
    x = torch.tensor([1e6 + 0.1, 1e-6], dtype=DOUBLE)
    large, small = rounding_of(lambda: x - x.flip(0).flip(0))
    assert large > 1e-8 and small < 3e-18


@pytest.mark.parametrize('run', [
    lambda x: (x > 0.3).double() * 0.7,  # where x is 0.3 but for rounding
    lambda x: (x / 0.1).round() + (x / 0.6 + 0.5).floor(),
    lambda x: x.argmax(-1, keepdim=True) * 0.1 + torch.zeros_like(x)], ids=[
        'jump', 'steps', 'tie'])
def test_what_does_not_grow_with_the_changes_is_no_rounding(run):
    x = torch.full((4, ), 0.1, dtype=DOUBLE) * 3
    assert (rounding_of(lambda: run(x)) < 1e-11).all()


def test_what_a_clock_changes_is_no_rounding_even_if_it_grows_as_such():
    """The second and third value differ from the first by 1 and 16 steps, as
    rounding would in runs with changes of one and of 16 shares."""
    clock = itertools.cycle([0., 1., 16.])
    x = numbers(3)
    with pytest.raises(NotRepeatableError, match='^results .*each run'):
        rounding_of(lambda: x + 1e-12 * next(clock))


def test_a_model_that_adds_how_often_it_ran_is_named():
    calls = itertools.count()
    report, _ = check(Cancels(lambda a, b: a + 1e-6 * next(calls)), DOUBLE)
    name, = report.not_compared
    assert name == ('results (the training form returns another value in '
                    'each run)')
    assert not report.equal


def test_one_draw_of_two_takes_the_other_side_of_a_kink():
    """relu(a - a): 0, or what rounding leaves if that is positive."""
    x = numbers(50)
    rounding = rounding_of(lambda: (x - x.flip(0).flip(0)).relu())
    assert (rounding > 1e-16 * x.abs()).all()


def test_runs_that_fail_or_return_something_else_explain_nothing():
    calls = []

    def fails():
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError('cannot run twice')
        return numbers(3)

    def grows():
        calls.append(1)
        return numbers(len(calls))

    assert rounding_of(fails) is None and rounding_of(grows) is None


class Cancels(nn.Module):
    """``how`` makes results of the last layer and of one that is the same but
    for the order of its inputs."""

    def __init__(self, how):
        super().__init__()
        torch.manual_seed(0)
        self.neuron, self.how = SFANeuron(4), how
        self.layers = nn.Sequential(
            nn.Linear(3, 40), SFANeuron(4, scale=0.3))
        self.layers[0].weight.data *= 5  # several spikes each
        # In float64: products of weights in float32 would be exact.
        self.last, self.other = (
            nn.Linear(40, 6, dtype=DOUBLE) for _ in range(2))
        self.register_buffer('order', torch.randperm(40))
        self.other.weight.data = self.last.weight.data[:, self.order]
        self.other.bias.data = self.last.bias.data
        self.fault, self.calls = 0., 0

    def forward(self, x):
        self.calls += 1
        x = self.layers(self.neuron(x))
        return self.how(self.last(x), self.other(x[:, self.order])
                        + self.fault)


HOW = dict(
    all=lambda a, b: a - b,
    one=lambda a, b: torch.cat([(a - b)[:, :1], a[:, 1:]], 1),
    mean=lambda a, b: (a - b).mean(),
    number=lambda a, b: (a - b).sum().item(),
    centred=lambda a, b: (a - b.mean(0)).mean(0),
    relu=lambda a, b: (a - b).relu())


def check(model, dtype, fault=0.):
    model = copy.deepcopy(model).to(dtype).eval()
    spiking = to_spike_train(model)
    spiking.module.fault = fault
    proof = EqualityCheck(model, spiking)
    proof.compare(4 * torch.rand(
        9, 3, generator=torch.Generator().manual_seed(1)).to(dtype))
    assert proof.report.total_differences == 0
    return proof.report, model.calls


@pytest.mark.parametrize('dtype,fault', [(DOUBLE, 1e-9), (torch.float32,
                                                          0.05)])
@pytest.mark.parametrize('how', HOW.values(), ids=HOW)
def test_results_that_cancel(how, dtype, fault):
    report, _ = check(Cancels(how), dtype)
    assert report.equal, str(report)
    report, calls = check(Cancels(how), dtype, -fault)
    assert not report.equal and not report.outputs_agree
    assert calls == 10  # the model, once more, and four draws at two sizes


def test_results_that_agree_are_not_measured():
    report, calls = check(Cancels(lambda a, b: a), DOUBLE)
    assert report.equal and calls == 1


def test_a_fault_of_a_small_value_among_large_ones():
    sizes = torch.tensor([1e6, 2e6, 3e6, 4e6, 5e6, 0.5], dtype=DOUBLE)

    def how(a, b):
        return sizes * (1 + a.sigmoid()) * torch.where(
            sizes < 1, 1 + b - a, 1)

    assert check(Cancels(how), DOUBLE)[0].equal
    for fault in (1e-2, 1e-4, 1e-8):
        report, _ = check(Cancels(how), DOUBLE, fault)
        assert not report.equal
        assert report.output_error == pytest.approx(fault, rel=1e-4)


@pytest.mark.parametrize('write', [
    lambda sample, y: setattr(sample, 'y', y),
    lambda sample, y: sample.y.copy_(y)], ids=['attribute', 'values'])
def test_nothing_runs_again_where_both_forms_write_into_the_same_object(write):
    """It would overwrite what the spike-train form has returned."""
    sample = SimpleNamespace(y=torch.zeros(9, 6, dtype=DOUBLE))

    def how(a, b):
        write(sample, a - b)
        return [sample]

    report, calls = check(Cancels(how), DOUBLE, 0.25)
    assert not report.equal and calls == 1
    assert sample.y.mean() == pytest.approx(-0.25)


def test_random_numbers_go_on_as_if_nothing_had_run_again():
    how = HOW['all']
    torch.manual_seed(3)
    expected = torch.rand(2)
    model = Cancels(how)
    torch.manual_seed(3)
    _, calls = check(model, DOUBLE, 0.25)
    assert calls > 1
    assert torch.equal(torch.rand(2), expected)
