"""Folders of recordings, converted to .npy."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmsnn.datasets import HARDVS, read_events
from mmsnn.datasets.event_sets.to_npy import convert_folder
from mmsnn.datasets.events import EventFileError

ROOT = Path(__file__).resolve().parents[3]
EVENT = bytes([3, 7, 128, 1, 0])


@pytest.fixture
def source(tmp_path):
    root = tmp_path / 'set'
    (root / 'action_001').mkdir(parents=True)
    np.savez_compressed(root / 'action_001/one.npz', t=[5, 9], x=[1, 2],
                        y=[3, 4], p=[1, 0])
    (root / 'action_001/two.bin').write_bytes(3 * EVENT)
    (root / 'train_label.txt').write_text('action_001/one\naction_001/two\n')
    (root / 'video.mp4').write_text('not copied')
    return root


def test_the_set_is_read_as_before(source, tmp_path):
    target = tmp_path / 'new'
    assert convert_folder(source, target) == (2, [])
    files = {path.relative_to(target).as_posix()
             for path in target.rglob('*') if path.is_file()}
    assert files == {'action_001/one.npy', 'action_001/two.npy',
                     'train_label.txt'}
    for old, new in zip(HARDVS(source), HARDVS(target), strict=True):
        assert old['gt_label'] == new['gt_label'] == 0
        assert read_events(old['events_path']).tolist() == read_events(
            new['events_path']).tolist()
    # Repeated, only what is missing is written.
    (target / 'action_001/two.npy').unlink()
    assert convert_folder(source, target) == (1, [])
    assert convert_folder(source, target) == (0, [])


def test_faults(source, tmp_path):
    (source / 'action_001/cut.bin').write_bytes(EVENT + b'x')
    (source / 'action_001/empty.bin').write_bytes(b'')
    with pytest.raises(EventFileError, match='cut.bin: cut off: 1 of 5 byt'):
        convert_folder(source, tmp_path / 'new')
    written, skipped = convert_folder(source, tmp_path / 'new',
                                      on_error='skip')
    assert (written, len(skipped)) == (3, 1)
    assert 'empty.bin: it has no event' in skipped[0]
    for name in ('cut', 'empty'):
        (source / f'action_001/{name}.bin').unlink()
    with pytest.raises(EventFileError, match='two.bin: event outside the se'):
        convert_folder(source, tmp_path / 'other', size=(3, 8))


def test_what_can_not_be_converted(source, tmp_path):
    with pytest.raises(ValueError, match='must lie outside of'):
        convert_folder(source, source / 'new')
    with pytest.raises(FileNotFoundError, match='has no recordings; their'):
        convert_folder(tmp_path / 'none', tmp_path / 'new')
    (source / 'action_001/one.bin').write_bytes(EVENT)
    with pytest.raises(ValueError, match='one.npz and .*one.bin would both'):
        convert_folder(source, tmp_path / 'new')


def test_tool(source, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools/dataset_converters/recordings.py'),
         str(source), str(tmp_path / 'new'), '--size', '20', '20'],
        cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert '2 recordings written now' in done.stdout
