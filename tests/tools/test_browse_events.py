"""The tools on recordings, as a user calls them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]

CONFIG = '''
default_scope = 'mmpretrain'
model = dict(data_preprocessor=dict(
    type='mmpretrain.ClsDataPreprocessor', mean=[0, 0], std=[2, 2]))
train_dataloader = dict(
    batch_size=2, num_workers=1, persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmsnn.NMNIST', data_root={root!r}, pipeline=[
            dict(type='mmsnn.LoadEvents'),
            dict(type='mmsnn.EventHistogram', bins=3, by='time'),
            dict(type='mmsnn.PackEventInputs')]))
'''


def run(tool, *arguments):
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / tool), *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True)
    return done


def recording(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b''.join(
        bytes([t % 34, t % 30, 128 * (t % 2), t // 256, t % 256])
        for t in range(0, 9000, 7)))


def test_a_recording(tmp_path):
    recording(tmp_path / 'a.bin')
    for out, options in (('a.png', ()), ('a.gif', ('--frame', 3000))):
        done = run('analysis_tools/browse_events.py', tmp_path / 'a.bin',
                   tmp_path / out, '--start', 1000, *options)
        assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / 'a.gif') as video:
        # 1,001 to 8,995 us in frames of 3,000.
        assert video.n_frames == 3
    (tmp_path / 'a.bin').write_bytes(b'\0')
    done = run('analysis_tools/browse_events.py', tmp_path / 'a.bin',
               tmp_path / 'b.png')
    assert done.returncode and 'a.bin: cut off: 1 of 5 bytes' in done.stderr
    assert not (tmp_path / 'b.png').exists()


def test_batches_of_a_config(tmp_path):
    for name in ('0/a', '7/b', '8/c'):
        recording(tmp_path / 'train' / f'{name}.bin')
    config = tmp_path / 'config.py'
    config.write_text(CONFIG.format(root=str(tmp_path)))
    done = run('analysis_tools/browse_events.py', config, tmp_path / 'out',
               '--number', 3, '--video', '.gif')
    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / 'out').iterdir())
    assert [file.name for file in files] == ['0000.gif', '0001.gif',
                                             '0002.gif']
    with Image.open(files[2]) as video:
        assert video.n_frames == 3
        assert np.asarray(video.convert('RGB')).min() < 100


def test_converters(tmp_path):
    done = run('dataset_converters/dvs_gesture.py', tmp_path / 'none',
               tmp_path / 'out')
    assert done.returncode and 'there is no folder' in done.stderr
    done = run('dataset_converters/gen1.py', tmp_path)
    assert done.returncode and 'none of the folders' in done.stderr
