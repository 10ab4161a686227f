import pytest
import torch

from mmsnn.neurons.surrogate import SMOOTH, smooth_firing

CURVES = dict(
    sigmoid=lambda x: torch.sigmoid(3 * x),
    arctan=lambda x: torch.arctan(torch.pi / 2 * 3 * x) / torch.pi)


@pytest.mark.parametrize('name', SMOOTH)
def test_derivative_of_the_curve_that_it_is_named_after(name):
    x = torch.linspace(-4, 4, 101, dtype=torch.float64, requires_grad=True)
    expected, = torch.autograd.grad(CURVES[name](x).sum(), x)
    actual = SMOOTH[name](x.detach(), 3.)
    torch.testing.assert_close(actual, expected)
    assert actual.argmax() == 50 and torch.allclose(actual, actual.flip(0))


@pytest.mark.parametrize('name', SMOOTH)
@pytest.mark.parametrize('offset', [0., 0.5])
def test_the_peak_is_where_the_neuron_begins_to_fire(name, offset):
    edge = 1 - offset
    u = torch.tensor([edge - 0.25, edge, edge + 0.25], requires_grad=True)
    spikes = smooth_firing(u, offset, name, 4.)
    assert spikes.tolist() == [0., 1., 1.]
    spikes.backward(torch.tensor([1., 2., 1.]))
    before, peak, after = u.grad.tolist()
    assert before == after < peak / 2
    height = dict(sigmoid=1., arctan=2.)[name]  # slope / 4, slope / 2
    assert peak == 2 * height
