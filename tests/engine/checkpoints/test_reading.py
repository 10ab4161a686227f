"""Reading a checkpoint: what mmengine writes is read, nothing else is run."""

import argparse
import collections
import io
import pickle
import random

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.optim import CosineAnnealingLR, OneCycleLR, ReduceOnPlateauLR
from mmengine.runner import CheckpointLoader
from torch import nn

from mmsnn.checkpoints import (
    TRUST,
    CheckpointError,
    CheckpointRefused,
    read_checkpoint,
)


def again(value):
    """A value that was saved and read, and the same by Python's own means."""
    file = io.BytesIO()
    torch.save(dict(value=value), file)
    file.seek(0)
    return read_checkpoint(file)['value']


@pytest.mark.parametrize('value', [
    np.float32(1.5), np.int64(-3), np.bool_(True), np.str_('a'),
    np.arange(6).reshape(2, 3), np.arange(6.).reshape(2, 3).T,
    np.zeros((0, 3)), np.array(2.), np.arange(3, dtype='>i2'),
    np.array(['ab', 'c']), np.array([1, 'a', None, (2, )], object),
    np.array([True, False]), np.array([1 + 2j]), np.dtype('float16'),
    np.dtype('>f4'), {np.int64(4): [np.float64(1)]}, (1, (np.int8(2), )), b'',
    b'ab', 2**80, -1.5, None, {1, 2}, frozenset([1]), slice(1, 5, None),
    collections.OrderedDict(a=1), collections.Counter('aab'), 1j,
    argparse.Namespace(lr=.1), ConfigDict(a=dict(b=[1])), list, torch.float16,
    np.random.RandomState(0).get_state(), random.Random(0).getstate()
], ids=str)
def test_data(value):
    found = again(value)
    assert type(found) is type(value)
    assert pickle.dumps(found) == pickle.dumps(value)


def test_data_that_holds_data():
    kept = collections.defaultdict(list, a=[np.float32(2)])
    found = again(kept)
    assert found == kept and found.default_factory is list
    found['new'].append(1)
    inner = [1]
    inner.append(inner)  # a list that holds itself, twice
    found = again([inner, inner])
    assert found[0] is found[1] is found[0][1]


def test_what_mmengine_saves():
    hub = MessageHub('of this test')
    hub.update_scalar('loss', 1.5)
    hub.update_scalar('loss', 2.5)
    hub.update_info('best', np.float64(3))
    state = again(hub.state_dict())
    assert state['log_scalars']['loss'].data[0].tolist() == [1.5, 2.5]
    assert state['log_scalars']['loss'].statistics('mean', 2) == 2
    assert state['runtime_info']['best'] == 3
    assert again(hub)['runtime_info'] == {'best': 3}  # as older versions do


@pytest.mark.parametrize('schedule', [
    lambda o: OneCycleLR(o, .5, 9), lambda o: CosineAnnealingLR(o, 9),
    lambda o: OneCycleLR(o, .5, 9, anneal_strategy='linear'),
    lambda o: ReduceOnPlateauLR(o, 'loss')])
def test_states_of_schedules(schedule):
    state = schedule(
        torch.optim.SGD(nn.Linear(1, 1).parameters(), .1,
                        momentum=.9)).state_dict()
    assert again(state) == state


def test_hostile_files(hostile, canary, tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=dict(a=torch.ones(1))), path)
    hostile(path)
    with pytest.raises(CheckpointRefused) as error:
        read_checkpoint(path)
    assert not canary.exists()
    for said in (str(path), 'it holds posix.mkdir', '--trust-checkpoint',
                 f'{TRUST}=1'):
        assert said in str(error.value)
    assert '\n' not in str(error.value)


def test_a_file_that_is_trusted(hostile, canary, tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=dict(a=torch.ones(1))), path)
    hostile(path)
    monkeypatch.setenv(TRUST, '1')
    read_checkpoint(path)
    assert canary.exists()


class Forged:
    """Pickled as any call with any state."""

    def __init__(self, call, args, state=None):
        self.pickled = call, args, state

    def __reduce__(self):
        return self.pickled


@pytest.mark.parametrize('thing', [
    # Bytes as the addresses of objects.
    Forged(np.dtype, ('V8', False, True),
           (3, '|', None, ('a', ), {'a': (np.dtype('O'), 0)}, 8, 1, 0)),
    Forged(np._core.multiarray.scalar, (np.dtype('O'), b'12345678')),
    Forged(np._core.multiarray._reconstruct, (np.ndarray, (0, ), b'b'),
           (1, (1, ), np.dtype('O'), False, b'12345678')),
    # More bytes than there are.
    Forged(np._core.multiarray._reconstruct, (np.ndarray, (0, ), b'b'),
           (1, (9, ), np.dtype('f8'), False, b'12345678')),
    Forged(np._core.multiarray._reconstruct, (np.ndarray, (0, ), b'b'),
           (1, (-1, ), np.dtype('f8'), False, b'')),
    Forged(np._core.multiarray._reconstruct, (np.matrix, (0, ), b'b'),
           (1, (1, ), np.dtype('f8'), False, b'12345678')),
    Forged(getattr, (OneCycleLR, '__init__')),
    Forged(getattr, (HistoryBuffer, 'mean')),
    Forged(collections.defaultdict, (print, )),
    Forged(collections.defaultdict, (CosineAnnealingLR, )),
    Forged(bytes, (10**9, )), Forged(list, ('abc', )),
    np.zeros(2, [('a', int), ('b', float)]), np.ndarray, getattr, print
])
def test_things_that_are_not_as_they_are_written(thing, tmp_path):
    torch.save(dict(a=[thing]), tmp_path / 'a.pth')
    with pytest.raises(CheckpointRefused, match='a.pth is not loaded.*holds'):
        read_checkpoint(tmp_path / 'a.pth')


def test_functions_in_a_history_are_not_taken():
    buffer = HistoryBuffer([4.], [1])
    file = io.BytesIO()
    buffer.statistics_methods = dict(mean=HistoryBuffer.max)
    state = Forged(HistoryBuffer, (), dict(
        vars(buffer), statistics_methods=dict(mean=OneCycleLR)))
    torch.save(state, file)
    file.seek(0)
    with pytest.raises(CheckpointRefused, match='OneCycleLR'):
        read_checkpoint(file)


def test_names_that_others_have_allowed_are_put_back(tmp_path):
    torch.save(np.arange(3), tmp_path / 'a.pth')
    before = torch.serialization.get_safe_globals()
    theirs = [np._core.multiarray._reconstruct, np.ndarray, np.dtype]
    torch.serialization.add_safe_globals(theirs)
    try:
        assert read_checkpoint(tmp_path / 'a.pth').tolist() == [0, 1, 2]
        assert set(theirs) <= set(torch.serialization.get_safe_globals())
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


@pytest.mark.parametrize('content', [
    b'', b'\0', b'some text\n', b'PK\3\4', pickle.dumps({'a': 1}),
    bytes(range(256)) * 40], ids=str)
def test_files_that_are_no_checkpoints(content, tmp_path):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(tmp_path / 'a.pth')
    assert 'a.pth is cut off, damaged or no checkpoint' in str(error.value)
    assert str(error.value).isprintable() and len(str(error.value)) < 300


def test_pickles_of_another_protocol_can_be_trusted(tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    torch.save(dict(a=torch.ones(2)), path, pickle_protocol=4)
    with pytest.raises(CheckpointError, match='2 need --trust-checkpoint'):
        read_checkpoint(path)
    monkeypatch.setenv('MMSNN_TRUST_CHECKPOINT', '1')
    assert read_checkpoint(path)['a'].tolist() == [1, 1]


def test_every_length_that_a_file_is_cut_off_at(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(a=torch.arange(99), b='text'), path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match='a.pth is cut off'):
            read_checkpoint(path)


def test_every_scheme_reads_data(tmp_path, canary, monkeypatch):
    path = tmp_path / 'a.pth'
    torch.save(dict(a=Forged(print, ('ran', ))), path)
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    (tmp_path / 'open_mmlab.json').write_text('{"ours": "a.pth"}')
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    (tmp_path / 'checkpoints').mkdir()
    (tmp_path / 'checkpoints' / 'a.pth').write_bytes(path.read_bytes())
    for name in (str(path), 'https://nowhere.invalid/a.pth',
                 'openmmlab://ours', 'open-mmlab://ours'):
        with pytest.raises(CheckpointRefused) as error:
            CheckpointLoader.load_checkpoint(name)
        assert str(error.value).startswith(f'{name} is not loaded')
        assert 'it holds print' in str(error.value)


def test_a_config_that_came_in_a_checkpoint_is_not_run(tmp_path, canary):
    text = f'import os\nos.mkdir({str(canary)!r})\nmodel = dict(a=1)'
    Config.fromstring(text, '.py')
    canary.rmdir()
    torch.save(dict(meta=dict(cfg=text)), tmp_path / 'a.pth')
    text = read_checkpoint(tmp_path / 'a.pth')['meta']['cfg']
    with pytest.raises(CheckpointRefused, match='code, .import os'):
        Config.fromstring(text, '.py')
    with pytest.raises(CheckpointRefused, match='format .yaml'):
        Config.fromstring(text, '.yaml')
    assert not canary.exists()
