"""projects/nmnist: the table, and the command itself."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmsnn.datasets.events import make_events
from mmsnn.datasets.events.formats.atis import write_atis
from mmsnn.engine.study import read_json

pytest.importorskip('mmpretrain')

PROJECT = Path(__file__).parents[2] / 'projects' / 'nmnist'


@pytest.fixture
def results(monkeypatch):
    """The module results.py, as run.py imports it."""
    monkeypatch.syspath_prepend(str(PROJECT))
    import results
    yield results
    del sys.modules['results']


def run_of(choice, seed, accuracy, **kwargs):
    return dict(
        choice=choice, seed=seed, accuracy=accuracy, training_form=accuracy,
        minutes=2., parameters=1234, differences=0., compared=500.,
        energy_uj=3., twin_uj=30., spikes=.5, **kwargs)


def test_table(results, tmp_path):
    runs = [run_of('1x8', 0, 89.), run_of('8x1', 0, 88.),
            run_of('8x1', 1, 94.)]
    runs[2].update(energy_uj=5., differences=1.)
    table = results.write_results(tmp_path, runs)
    rows = [[cell.strip() for cell in line.strip('|').split('|')]
            for line in table.splitlines() if line.startswith('|')]
    assert {len(row) for row in rows} == {8}
    # 88 and 94: 91, with a standard deviation of sqrt(2 * 3^2 / 1).
    assert rows[2] == ['8 x 1', '91.0 ± 4.2', '91.0 ± 4.2', '2.0 ± 0.0',
                       '0.50 ± 0.00', '4.00 ± 1.41', '30.0 ± 0.0',
                       '1 of 1,000']
    assert rows[3][0] == '1 x 8' and rows[3][1] == '89.0 ± 0.0'
    assert 'over 2 seeds' in table
    assert 'At least 90 % on average: 8x1. ' in table
    assert json.loads((tmp_path / 'results.json').read_text())['runs'] == runs
    assert (tmp_path / 'table.md').read_text() == table + '\n'
    assert cv2.imread(str(tmp_path / 'accuracy_energy.png')).std() > 1


def test_every_choice_has_eight_sub_steps(results):
    for name, (timesteps, spikes) in results.CHOICES.items():
        assert name == f'{timesteps}x{spikes}' and timesteps * spikes == 8


@pytest.fixture
def study(results, tmp_path, monkeypatch):
    """The module run.py, in a folder with two recordings per digit."""
    for split in ('train', 'test'):
        for label in range(10):
            folder = tmp_path / 'data' / 'nmnist_1100' / split / f'{label}'
            folder.mkdir(parents=True)
            for i in range(3):
                t = np.sort(np.random.randint(0, 300_000, 50))
                x, y, p = np.random.randint(0, (34, 34, 2), (50, 3)).T
                write_atis(folder / f'{i}.bin', make_events(t, x, y, p))
    monkeypatch.chdir(tmp_path)
    # main() sets them; what they were comes back with the end of the test.
    monkeypatch.setenv('MMSNN_DATA', 'data')
    monkeypatch.setenv('PYTHONPATH', '')
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    import run
    yield run
    del sys.modules['run']


def test_command(study, capsys):
    words = ['--seeds', '1', '--choices', '2x4', '--epochs', '2']
    study.main(words)
    folder = Path('work_dirs/nmnist')
    assert capsys.readouterr().out.endswith((folder / 'table.md').read_text())
    run = read_json(folder / '2x4/seed0/run.json')
    # On 30 images it goes by steps of 1 / 30. The two are evaluated in
    # float32, where a prediction may differ: the proof is in float64.
    for name in ('accuracy', 'training_form'):
        assert run[name] * 30 / 100 == pytest.approx(
            round(run[name] * 30 / 100))
    assert run['differences'] == 0 and run['compared'] > 10_000
    assert 0 < run['energy_uj'] < run['twin_uj']
    assert 0 < run['spikes'] < 8
    assert run['minutes'] > 0
    # Repeated, it has nothing to do; other settings do not mix with it.
    args = study.parse_args(words)
    found = study.Run('2x4', 0, args).finish()
    assert found == dict(run, choice='2x4', seed=0)
    args.epochs = 3
    with pytest.raises(SystemExit, match='choose another --work-dir'):
        study.Run('2x4', 0, args).finish()


def test_what_is_wrong_is_named(study, capsys):
    with pytest.raises(SystemExit, match='nowhere/nmnist_1100/train/DIGIT'):
        study.check_data(Path('nowhere'))
    with pytest.raises(SystemExit):
        study.parse_args(['--epochs', '1'])
    assert '--epochs must be at least 2' in capsys.readouterr().err
