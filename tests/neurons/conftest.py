import os
import shutil

import pytest

from mmsnn.neurons import native


@pytest.fixture
def compiler():
    """Skips where there is none. Where there is one, the kernels must
    build."""
    if not os.environ.get('CC') and not any(
            map(shutil.which, ('cc', 'gcc', 'clang'))):
        pytest.skip('no C compiler: the kernels can not be built')
    if os.environ.get('MMSNN_NATIVE', '1') == '0':
        pytest.skip('MMSNN_NATIVE=0 switches the kernels off')


@pytest.fixture(params=['native', 'plain'])
def path(request, monkeypatch):
    """Both ways to compute the quantiser: compiled kernels, PyTorch ops."""
    if request.param == 'plain':
        monkeypatch.setattr(native, 'load', lambda: None)
    else:
        request.getfixturevalue('compiler')
        assert native.load(), 'see python -m mmsnn.neurons.native'
    return request.param
