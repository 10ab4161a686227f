"""tools/train.py and tools/test.py with each framework, as a user would."""

import json
import pickle
import socket
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def iterations(folder):
    """Return the iterations that a run's scalars were logged at."""
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in logs[-1].read_text().splitlines()]
    return [line['iter'] for line in lines if 'loss' in line]


def test_classification(write_config, run, tmp_path):
    pytest.importorskip('mmpretrain')
    config = write_config('cls')
    run('train.py', config)
    work_dir = tmp_path / 'work_dirs' / 'tiny_cls'
    assert iterations(work_dir) == [1, 2]
    # Generated on first use, with no command of its own.
    assert (tmp_path / 'data' / 'digit_scenes' / 'manifest.json').exists()

    log = run('train.py', config, '--resume', '--cfg-options',
              'train_cfg.max_iters=3')
    assert 'resumed epoch: 0, iter: 2' in log
    assert iterations(work_dir) == [3]
    assert torch.load(
        work_dir / 'iter_3.pth', weights_only=False)['meta']['iter'] == 3

    run('test.py', config, work_dir / 'iter_3.pth', '--out', 'preds.pkl',
        '--show-dir', 'painted')
    predictions = pickle.loads((tmp_path / 'preds.pkl').read_bytes())
    assert len(predictions) == 4
    assert all(p['pred_score'].shape == (10, ) for p in predictions)
    assert len(list((tmp_path / 'painted').rglob('*.png'))) == 4


def test_detection(write_config, run, tmp_path):
    pytest.importorskip('mmdet')
    config = write_config('det')
    log = run('train.py', config, '--no-validate', '--work-dir', 'w')
    assert 'bbox_mAP' not in log
    assert iterations(tmp_path / 'w') == [1, 2]
    run('test.py', config, 'w/iter_2.pth', '--work-dir', 'w', '--out',
        'preds.pkl', '--show-dir', 'painted')
    predictions = pickle.loads((tmp_path / 'preds.pkl').read_bytes())
    assert len(predictions) == 4
    # Two iterations change logits near -4.6 by less than 0.1, whatever the
    # seed: a box of any score is kept. Without one there is no metric.
    assert all(len(p['pred_instances']['scores']) == 3 for p in predictions)
    assert all(0 < p['pred_instances']['scores'].min() < 0.02
               for p in predictions)
    assert len(list((tmp_path / 'painted').rglob('*.png'))) == 4
    # The config names no tta_model.
    log = run('test.py', config, 'w/iter_2.pth', '--work-dir', 'w', '--tta',
              '--cfg-options', 'model.test_cfg.score_thr=0.0')
    assert 'coco/bbox_mAP: ' in log


def test_segmentation(write_config, run, tmp_path):
    pytest.importorskip('mmseg')
    config = write_config('seg')
    log = run('train.py', config, '--work-dir', 'w')
    assert 'mIoU' in log
    log = run('test.py', config, 'w/iter_2.pth', '--work-dir', 'w', '--out',
              'metrics.json', '--tta', '--show-dir', 'painted')
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert set(metrics) >= {'aAcc', 'mIoU', 'mAcc'}
    for name, value in metrics.items():  # the file holds what was logged
        assert f'{name}: {value:.4f}' in log
    assert len(list((tmp_path / 'painted').rglob('*.png'))) == 4


def test_two_processes_on_cpu(write_config, run, tmp_path):
    pytest.importorskip('mmseg')
    if torch.cuda.is_available():
        pytest.skip('for machines without an accelerator')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    log = run('bash', ROOT / 'tools' / 'dist_train.sh', write_config('seg'),
              2, '--work-dir', 'w', PORT=port)
    # One log for both; four validation images over two processes.
    assert log.count('Iter(train) [2/2]') == 1
    assert 'Iter(val) [1/1]' in log
    assert 'mIoU' in log
    assert (tmp_path / 'w' / 'iter_2.pth').exists()


def test_options_that_cannot_be_met_are_named(write_config, run):
    pytest.importorskip('mmpretrain')
    config = write_config('cls')
    log = run('train.py', config, '--auto-scale-lr', check=False)
    assert 'auto_scale_lr.base_batch_size' in log.splitlines()[-1]
    log = run('test.py', config, 'none.pth', '--out', 'x.txt', check=False)
    assert '--out must end in .pkl' in log.splitlines()[-1]


@pytest.mark.parametrize('script', [
    'dist_train', 'dist_test', 'slurm_train', 'slurm_test'])
def test_scripts_explain_themselves(run, script):
    path = ROOT / 'tools' / f'{script}.sh'
    log = run('bash', path, 'config.py', check=False)
    assert log.startswith(f'Usage: bash {path}')


def test_a_value_that_can_not_be_is_named(write_config, run, tmp_path):
    pytest.importorskip('mmpretrain')
    config = write_config('cls')
    for option, said in (
        ('optim_wrapper.optimizer.lr=abc', 'ValueError: --cfg-options '
         'optim_wrapper.optimizer.lr=abc: the config has 0.01 there, which '
         'must be a number'),
        ('model.head.num_classes=-3', 'ValueError: model.head (LinearClsHead; '
         '--cfg-options model.head.num_classes=-3): ')):
        log = run('train.py', config, '--cfg-options', option, check=False)
        last = log.strip().splitlines()[-1]
        assert last.startswith(said), log
    (tmp_path / 'file').touch()
    log = run('test.py', config, 'none.pth', '--work-dir', 'file', check=False)
    assert 'NotADirectoryError: work_dir = file: ' in log.splitlines()[-1]
