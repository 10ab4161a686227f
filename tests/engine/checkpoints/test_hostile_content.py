"""What a checkpoint could still do while its pickle only held data."""

import io
import pickle
import zipfile

import mmengine.runner  # noqa: F401
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch.distributed.device_mesh import DeviceMesh

from mmsnn.checkpoints import CheckpointError, CheckpointRefused
from mmsnn.checkpoints.reading import read_checkpoint
from mmsnn.checkpoints.record_sizes import record_sizes


def read_back(content):
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    return read_checkpoint(file)


def test_a_config_as_a_text_of_numpy_is_not_run(tmp_path):
    mark = tmp_path / 'run'
    text = f'import pathlib\npathlib.Path({str(mark)!r}).touch()\n'
    found = read_back(dict(cfg=np.str_(text)))['cfg']
    with pytest.raises(CheckpointRefused, match='import pathlib'):
        Config.fromstring(found, '.py')
    assert not mark.exists()


@pytest.mark.parametrize('text, said', [
    ("model = dict(loss=dict(class_weight='http://a.b/c.pkl'))", 'c.pkl'),
    ("model = dict(a=['b.yaml'])", 'b.yaml'),
    ("test_dataloader = dict(dataset=dict(pipeline=[dict(a='b.pickle')]))",
     'b.pickle'),
    ("model = dict(decode_backend='pickle')", 'pickle'),
    ("model = dict(_scope_='antigravity')", 'antigravity'),
    ("default_scope = 'antigravity'", 'antigravity'),
])
def test_a_config_names_no_file_that_runs_and_no_foreign_scope(text, said):
    found = read_back(dict(cfg=text))['cfg']
    with pytest.raises(CheckpointRefused, match=said):
        Config.fromstring(found, '.py')


def test_files_that_are_not_read_may_be_named():
    text = ("test_dataloader = dict(dataset=dict(ann_file='a.pkl'))\n"
            "test_evaluator = dict(out_file_path='b.pkl')\n"
            "default_scope = 'mmdet'")
    found = read_back(dict(cfg=text))['cfg']
    assert Config.fromstring(found, '.py').default_scope == 'mmdet'


def claiming(size, name='data/0', twice=False):
    """A checkpoint of four floats that is said to have more."""
    file = io.BytesIO()
    torch.save(torch.arange(4.), file)
    made = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(made, 'w') as new:
        for entry in old.namelist():
            content = old.read(entry)
            if entry.endswith('data.pkl'):
                long = b'J' + size.to_bytes(4, 'little')
                content = content.replace(b'K\4', long)
            if entry.endswith('data/0') and twice:
                new.writestr(entry.replace('data/0', 'DATA/0'),
                             bytes(4 * size))
            new.writestr(entry, content)
    made.seek(0)
    return made


@pytest.mark.parametrize('size', [5, 64, 2_000_000_000])
def test_memory_behind_a_record_is_not_read(size):
    with pytest.raises(CheckpointError, match=f'{4 * size} bytes and has 16'):
        read_checkpoint(claiming(size))


def test_names_of_records_that_differ_in_case_are_one():
    with pytest.raises(CheckpointError, match='256 bytes and has 16'):
        read_checkpoint(claiming(64, twice=True))


def test_records_after_other_bytes_are_found():
    file = io.BytesIO()
    file.write(b'before')
    torch.save(dict(a=torch.arange(3.), b=torch.ones(0)), file)
    file.seek(6)
    assert read_checkpoint(file)['a'].tolist() == [0, 1, 2]


def test_sizes_of_long_archives_are_found(monkeypatch):
    monkeypatch.setattr(zipfile, 'ZIP_FILECOUNT_LIMIT', 1)
    file = claiming(4)
    assert record_sizes(file)[b'data/0'] == 16
    assert read_checkpoint(file).tolist() == [0, 1, 2, 3]


def test_indices_of_sparse_tensors_are_checked():
    foreign = torch.sparse_coo_tensor(
        torch.tensor([[10**9]]), torch.ones(1), (2, ), check_invariants=False)
    with pytest.raises(CheckpointError, match='size is inconsistent'):
        read_back(foreign)
    assert not torch.sparse.check_sparse_tensor_invariants.is_enabled()


class Called:
    """Pickled as a call."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


STRIDED = torch.float32, (9, ), (1, ), 0, torch.strided, torch.device('cpu')


@pytest.mark.parametrize('called, said', [
    (Called(torch.FloatTensor, 9), 'torch.FloatTensor'),
    (Called(torch.Tensor, 9), 'torch.Tensor'),
    (Called(torch.UntypedStorage, 9), 'torch.storage.UntypedStorage'),
    (Called(torch.storage.TypedStorage, 9), 'torch.storage.TypedStorage'),
    (Called(bytearray, 1 << 45), 'bytearray'),
    (Called(DeviceMesh, 'cpu', [0]), 'DTensors'),
    (Called(torch._utils._rebuild_wrapper_subclass, torch.Tensor, *STRIDED,
            False), '_rebuild_wrapper_subclass'),
    (torch.zeros(2, device='meta'), '_rebuild_meta_tensor_no_storage'),
    (torch.nested.nested_tensor([torch.zeros(1)]), '_rebuild_nested_tensor'),
])
@pytest.mark.parametrize('new_format', [True, False])
def test_calls_that_no_weights_need(called, said, new_format, tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(weight=called), path,
               _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointRefused, match=f'it holds {said};'):
        read_checkpoint(path)


def test_storages_without_data_are_not_memory_as_it_was_left():
    file, empty = io.BytesIO(), pickle.dumps([], 2)
    torch.save(torch.ones(3), file, _use_new_zipfile_serialization=False)
    whole = file.getvalue()
    assert read_checkpoint(io.BytesIO(whole)).tolist() == [1, 1, 1]
    keys = whole.rindex(empty[:3])  # then the data of each
    with pytest.raises(CheckpointError, match='no data for some of its'):
        read_checkpoint(io.BytesIO(whole[:keys] + empty))


def test_compressed_records_are_not_expanded():
    file, packed = io.BytesIO(), io.BytesIO()
    torch.save(torch.zeros(1 << 20), file)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(
            packed, 'w', zipfile.ZIP_DEFLATED) as new:
        for entry in old.namelist():
            new.writestr(entry, old.read(entry))
    assert len(packed.getvalue()) < 1 << 14
    packed.seek(0)
    with pytest.raises(CheckpointError, match='it is compressed'):
        read_checkpoint(packed)


@pytest.mark.parametrize('shape', [(1 << 40, ), (1 << 20, 1 << 20)])
def test_tensors_that_repeat_few_bytes(shape):
    value = torch.ones(1).expand(*shape)
    with pytest.raises(CheckpointError, match='398,046,511,104 bytes repeats'):
        read_back(dict(optimizer=dict(state={0: dict(exp_avg=value)})))
    assert read_back(torch.ones(1).expand(1000)).shape == (1000, )
