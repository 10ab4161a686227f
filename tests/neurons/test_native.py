"""The neurons' kernels are never a must, and know what they can run on."""

import warnings

import pytest
import torch

from mmsnn.neurons import native, spike_count


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """An empty cache folder, and no library loaded yet."""
    monkeypatch.setenv('MMSNN_CACHE', str(tmp_path))
    monkeypatch.delenv('MMSNN_NATIVE', raising=False)
    native.load.cache_clear()
    yield tmp_path
    native.load.cache_clear()


def test_without_a_compiler_plain_pytorch_is_used(fresh, monkeypatch, capsys):
    monkeypatch.setenv('CC', 'false')  # a compiler that always fails
    with pytest.warns(UserWarning, match='SFA kernels can not be used, plain '
                      'PyTorch is, which is slower: false'):
        assert native.load() is None
    assert not list(fresh.iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # said once
        assert spike_count(torch.tensor([1.5]), 4).item() == 2
    native.main()
    assert 'not used' in capsys.readouterr().out


def test_switched_off(fresh, monkeypatch):
    monkeypatch.setenv('MMSNN_NATIVE', '0')
    assert native.load() is None
    assert not native.usable(torch.zeros(1))
    assert not list(fresh.iterdir())


def test_only_plain_dense_cpu_tensors_of_known_types(compiler):
    x = torch.zeros(2, 3, 4, 5)
    assert native.usable(x)
    assert native.usable(x.to(memory_format=torch.channels_last))
    for other in (x[:, ::2], x.transpose(0, 1), x.half(), x.int(),
                  torch.zeros(2, device='meta')):
        assert not native.usable(other)
