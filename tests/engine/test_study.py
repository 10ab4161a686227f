"""mmsnn.engine.study: what studies share, with tools that take no time."""

import json
from argparse import ArgumentParser

import pytest
from mmengine.config import Config

from mmsnn.engine import study

#: Tools that leave behind what the real ones do.
TRAIN = '''
import json, pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
log = folder / '20260101_000000' / 'vis_data' / 'scalars.json'
log.parent.mkdir(parents=True)
log.write_text(json.dumps(dict(iter=4, time=0.5)))
(folder / 'iter_4.pth').touch()
(folder / 'last_checkpoint').write_text(str(folder / 'iter_4.pth'))
'''
TEST = '''
import pathlib, sys
assert pathlib.Path(sys.argv[2]).name == 'iter_4.pth'
pathlib.Path(sys.argv[sys.argv.index('--out') + 1]).write_text('{"acc": 7.0}')
'''


class Counted(study.Run):

    def measure(self):
        return dict(
            study.read_json(self.folder / 'metrics.json'),
            seconds=sum(study.training_seconds(self.folder)),
            peak_mb=self.peak_mb)

    def headline(self, found):
        return f'acc {found["acc"]}'


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Function that makes a run of 4 iterations."""
    monkeypatch.setenv('MMSNN_DATA', str(tmp_path / 'data'))
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools' / 'train.py').write_text(TRAIN)
    (tmp_path / 'tools' / 'test.py').write_text(TEST)
    config = tmp_path / 'config.py'
    config.write_text("data_root = '{{$MMSNN_DATA:data}}/x'\n"
                      'train_cfg = dict(max_iters=4)\n')

    def make(seed=0, **options):
        return Counted('model', config, seed, tmp_path / f'seed{seed}',
                       tmp_path / 'tools', options)

    return make


def write_log(folder, start, lines):
    log = folder / start / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('\n'.join(map(json.dumps, lines)))


def test_training_time_over_an_interrupt(tmp_path):
    # A line per 10 iterations; those after the 10th were done again.
    write_log(tmp_path, '20260101_000000', [
        dict(iter=10, time=0.2), dict(iter=20, time=9.)])
    write_log(tmp_path, '20260101_000100', [
        dict(iter=20, time=0.4), dict(iter=25, time=0.1),
        dict(step=25, time=0.3, acc=1.)])  # that of a test
    assert study.training_seconds(tmp_path) == pytest.approx([2., 4., 0.5])
    assert study.training_seconds(tmp_path / 'none') == []


def test_a_run_is_done_once(runs, capsys, tmp_path):
    first, second = study.finish_all([runs(0), runs(1)], jobs=2)
    assert first == dict(acc=7., seconds=2., peak_mb=first['peak_mb'], seed=0)
    assert first['peak_mb'] > 1
    assert second['seed'] == 1
    assert 'model, seed 1: acc 7.0' in capsys.readouterr().out
    # Repeated, it has nothing to do: these tools would fail.
    (tmp_path / 'tools' / 'train.py').write_text('raise ValueError')
    (tmp_path / 'tools' / 'test.py').write_text('raise ValueError')
    assert runs(0).finish() == first
    with pytest.raises(SystemExit, match='choose another --work-dir'):
        runs(0, model='other').finish()


def test_a_trained_model_is_only_tested(runs, tmp_path):
    run = runs()
    run.finish()
    (run.folder / 'run.json').unlink()
    (tmp_path / 'tools' / 'train.py').write_text('raise ValueError')
    assert run.finish()['acc'] == 7.


def test_key_knows_options_but_not_where_the_data_lies(
        runs, monkeypatch, tmp_path):
    key = runs().key
    assert runs(1).key != key
    assert runs(0, model='other').key != key
    monkeypatch.setenv('MMSNN_DATA', str(tmp_path / 'elsewhere'))
    assert runs().key == key


def test_length_in_epochs_or_iterations(runs, tmp_path):
    assert (runs().unit, runs().length) == ('iter', 4)
    (tmp_path / 'config.py').write_text('train_cfg = dict(max_epochs=3)\n')
    assert (runs().unit, runs().length) == ('epoch', 3)


def test_progress_ten_times(runs, tmp_path, capsys):
    (tmp_path / 'config.py').write_text('train_cfg = dict(max_iters=100)\n')
    run = runs()
    for done in range(5, 101, 5):
        write_log(run.folder, f'{done:03d}', [dict(iter=done, time=1.)])
        run.show_progress()
    said = capsys.readouterr().out.splitlines()
    assert said[0] == 'model, seed 0: iter 10/100'
    assert len(said) == 10


def test_failure_is_shown(tmp_path):
    tool = tmp_path / 'x.py'
    tool.write_text('raise ValueError("no")')
    with pytest.raises(SystemExit, match='ValueError: no(.|\n)*x.py failed'):
        study.call([tool], tmp_path / 'log.txt')


def test_environment_of_the_tools(tmp_path, monkeypatch):
    for name in ('MMSNN_DATA', 'OMP_NUM_THREADS', 'PYTHONPATH'):
        monkeypatch.setenv(name, '')
    parser = ArgumentParser()
    study.add_study_arguments(parser, 'images', 'work')
    args = parser.parse_args(['--data', str(tmp_path), '--jobs', '99'])
    study.prepare(args, tmp_path / 'root')
    log = tmp_path / 'log.txt'
    study.call(['-c', 'import os; print(*(os.environ[k] for k in '
                '("MMSNN_DATA", "OMP_NUM_THREADS", "PYTHONPATH")))'], log)
    data, threads, path = log.read_text().split()
    assert (data, threads) == (str(tmp_path), '1')
    assert path.startswith(str(tmp_path / 'root'))


def test_parameters_of_a_model_in_its_own_scope(runs, tmp_path):
    pytest.importorskip('mmpretrain')
    Config(dict(
        default_scope='mmpretrain',
        train_cfg=dict(max_iters=4),
        model=dict(type='ImageClassifier', backbone=dict(type='LeNet5')))
           ).dump(tmp_path / 'config.py')
    # 5x5 convolutions from 1 to 6, 16 and 120 channels, with biases.
    assert runs().parameters == (
        6 * 26 + 16 * (6 * 25 + 1) + 120 * (16 * 25 + 1))
