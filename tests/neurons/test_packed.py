import pytest
import torch

from mmsnn.neurons import LIFNeuron, SFANeuron, SpikingNeuron, native
from mmsnn.neurons.packed import (
    MOST,
    cast,
    fire,
    mark,
    pack,
    spike_bytes,
    unpack,
)
from mmsnn.neurons.quantizer import spike_firing

DTYPES = [torch.float32, torch.float64, torch.bfloat16]
NAN, INF = torch.nan, torch.inf


def bytes_of(values):
    return spike_bytes(values).made_of(values)


def test_bytes_by_hand(compiler):
    below = torch.tensor(0.5).nextafter(torch.tensor(0.)).item()
    potentials = [-1., -0., 0., below, 0.5, 1.5, 4., 4.01, INF, -INF, NAN]
    u = torch.tensor(potentials, requires_grad=True)
    values = fire(u, 4, 0.25, 0.5)
    # The window is 0..4, and worth 128.
    assert bytes_of(values).tolist() == [
        0, 128, 128, 128, 129, 130, 132, 4, 4, 0, 127]
    assert values[:-1].tolist() == [0, 0, 0, 0, .25, .5, 1, 1, 1, 0]
    assert values[-1].isnan()
    values.backward(torch.ones(11))
    assert u.grad.tolist() == [0] + [.25] * 6 + [0] * 4


def test_bytes_of_classical_neurons_by_hand(compiler):
    u = torch.tensor([0.4, 0.5, 0.99, 1., 2.5, 2.6], requires_grad=True)
    values = fire(u, 2, 1., 0.)  # the window is 1/2..5/2
    assert bytes_of(values).tolist() == [0, 128, 128, 129, 130, 2]


@pytest.mark.parametrize('max_spikes', [1, 3, 4, MOST, MOST + 1, 255])
@pytest.mark.parametrize('dtype', DTYPES)
def test_kernels_are_the_definition(compiler, monkeypatch, dtype, max_spikes):
    if dtype == torch.bfloat16 and max_spikes > 128:
        pytest.skip('bfloat16 holds no such counts')
    u = (torch.rand(3, 5, 4, 7) * (max_spikes + 4) - 2).to(dtype)
    u[0, 0, 0] = torch.tensor([NAN, INF, -INF, -0., .5, 1.5, max_spikes])
    grad = torch.randn(u.shape, dtype=dtype)
    for offset in (0.5, 0.):
        for layout in (torch.contiguous_format, torch.channels_last):
            found = []
            for load in (native.load, lambda: None):
                monkeypatch.setattr(native, 'load', load)
                v = u.clone(memory_format=layout).requires_grad_()
                out = spike_firing(v, max_spikes, 1 / 3, offset=offset)
                out.backward(grad)
                found.append((out.detach(), v.grad))
                monkeypatch.undo()
            assert out.stride() == v.stride()
            for a, b in zip(*found):
                assert torch.equal(a.nan_to_num(-7), b.nan_to_num(-7))


@pytest.mark.parametrize('dtype', [*DTYPES, torch.float16])
def test_all_counts_come_back(path, dtype):
    counts = torch.arange(MOST + 1)
    for scale in (1., 0.25, 1 / 3, 1 / MOST, 7.3):
        values = counts.to(dtype) * scale
        kept = pack(values, scale)
        assert torch.equal(kept, counts.to(torch.uint8))
        assert torch.equal(unpack(kept | 128, scale, dtype), values)
    assert unpack(pack(values * NAN, 1.), 1., dtype).isnan().all()


def test_more_spikes_than_seven_bits_are_not_kept(path):
    u = torch.rand(3, requires_grad=True)
    assert spike_bytes(spike_firing(u * 9, MOST, 1.)) is not None
    assert spike_bytes(spike_firing(u * 9, MOST + 1, 1.)) is None


def test_what_was_changed_has_no_bytes(path):
    values = SFANeuron()(torch.rand(3, requires_grad=True) * 4)
    assert spike_bytes(values) is not None
    assert spike_bytes(values.clone()) is None
    values += 1
    assert spike_bytes(values) is None


def test_values_of_other_memory_have_no_bytes(path):
    values = SFANeuron()(torch.rand(3, requires_grad=True) * 4)
    values.data = 2 * values.data
    assert spike_bytes(values) is None


def test_inputs_without_gradient_leave_none(path):
    assert spike_bytes(SFANeuron()(torch.rand(3))) is None


def test_another_type_has_the_bytes(path):
    values = SFANeuron(3)(torch.rand(2, 3, 4, 4, requires_grad=True) * 4)
    other = cast(values, torch.bfloat16)
    assert other.dtype == torch.bfloat16
    assert torch.equal(bytes_of(other), bytes_of(values))
    assert cast(values, torch.float32) is values
    assert spike_bytes(cast(values + 1, torch.bfloat16)) is None


@pytest.mark.parametrize('keys', [
    dict(timesteps=4, max_spikes=3),
    dict(timesteps=2, reset='hard', decay=0.5, scale=0.3),
    dict(timesteps=2, surrogate='sigmoid', learn_decay=True, decay=0.5),
])
def test_neurons_over_time(path, keys):
    neuron = SpikingNeuron(**keys)
    u = torch.rand(8, 3, 4, 5).mul_(4)
    u = u.to(memory_format=torch.channels_last).requires_grad_()
    values = neuron(u)
    kept = bytes_of(values)
    expected = (values / neuron.scale).round().to(torch.uint8)
    assert torch.equal(kept, expected.permute(0, 2, 3, 1).flatten())
    assert torch.equal(
        unpack(kept, neuron.scale, values.dtype),
        values.permute(0, 2, 3, 1).flatten())


def test_own_equations_have_no_bytes(path):

    class Leaky(LIFNeuron):

        def charge(self, inputs, state):
            return state / 2 + inputs

    values = Leaky(timesteps=2)(torch.rand(4, requires_grad=True))
    assert values.requires_grad and spike_bytes(values) is None


def test_a_view_of_more_is_not_marked():
    values = torch.zeros(4)[1:]
    mark(values, 4, 1.)
    assert spike_bytes(values) is None


def test_what_is_not_dense_has_no_bytes():
    values = torch.zeros(3, 1).expand(3, 4)
    mark(values, 4, 1.)
    assert bytes_of(values) is None
    values = torch.ones(2, 3, 4).permute(1, 2, 0)
    mark(values, 4, 1.)
    assert bytes_of(values).tolist() == [1] * 24


def test_a_file_holds_no_bytes(tmp_path):
    u = torch.tensor([0.5, 9.], requires_grad=True)
    values = SFANeuron()(u)
    torch.save(values, tmp_path / 'values.pth')
    found = torch.load(tmp_path / 'values.pth', weights_only=True)
    assert found.tolist() == [0.25, 1] and spike_bytes(found) is None
    assert bytes_of(values).tolist()[0] & 127 == 1
