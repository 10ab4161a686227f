"""projects/ablation: reading runs, the table, and the command itself."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmsnn.engine.study import read_json, training_seconds

pytest.importorskip('mmpretrain')

PROJECT = Path(__file__).parents[2] / 'projects' / 'ablation'
CONFIGS = sorted(path.stem for path in (PROJECT / 'configs').glob('*.py'))


@pytest.fixture
def results(monkeypatch):
    """The module results.py, as run.py imports it."""
    monkeypatch.syspath_prepend(str(PROJECT))
    import results
    yield results
    del sys.modules['results']


def run_of(model, seed, accuracy, **kwargs):
    return dict(model=model, seed=seed, accuracy=accuracy, epoch_seconds=2.,
                peak_mb=900., parameters=1000, **kwargs)


def test_summary_and_table(results, tmp_path):
    runs = [
        run_of('espikeformer_relu', 0, 70.),
        run_of('espikeformer_sfa4', 0, 60., energy_uj=1., twin_uj=10.),
        run_of('espikeformer_sfa4', 1, 64., energy_uj=3., twin_uj=10.),
    ]
    runs[2]['peak_mb'] = None  # the process that trained it was killed
    table = results.write_results(tmp_path, runs, idle_mb=500.)
    sfa, relu = results.summarise(runs)
    assert sfa['model'] == 'espikeformer_sfa4'
    # 60 and 64: 62, with a standard deviation of sqrt(2 * 2^2 / 1).
    assert sfa['accuracy'] == dict(mean=62., std=pytest.approx(8**0.5))
    assert sfa['energy_uj'] == dict(mean=2., std=pytest.approx(2**0.5))
    assert sfa['peak_mb'] == dict(mean=900., std=0.)
    # The ReLU twin pays a MAC for every operation of the spiking model.
    assert relu['energy_uj'] == dict(mean=10., std=0.)
    rows = [[cell.strip() for cell in line.strip('|').split('|')]
            for line in table.splitlines() if line.startswith('|')]
    assert {len(row) for row in rows} == {9}
    assert rows[2] == ['E-SpikeFormer + SFA', '1 x 4', '1,000',
                       '62.00 ± 2.83', '2.0', '400', '2.00 ± 1.41', '78.5',
                       '3.0']
    assert rows[3][-2:] == ['-', '-']
    assert (tmp_path / 'table.md').read_text() == table + '\n'
    assert json.loads((tmp_path / 'results.json').read_text())['runs'] == runs
    picture = cv2.imread(str(tmp_path / 'accuracy_energy.png'))
    assert picture.std() > 1


def test_no_figure_of_the_paper_without_a_config(results):
    assert sorted(results.MODELS) == CONFIGS
    assert {results.TWIN, results.TWIN_OF} <= set(CONFIGS)


def test_models_differ_by_backbone_and_neuron_only(results):
    from mmpretrain import get_model
    others, sizes = [], {}
    for name in CONFIGS:
        cfg = Config.fromfile(PROJECT / 'configs' / f'{name}.py')
        with torch.device('meta'):
            model = get_model(cfg)
        sizes[name] = sum(p.numel() for p in model.parameters())
        cfg.model.pop('backbone')
        cfg.model.head.pop('neuron')
        cfg.model.head.module.pop('in_channels')
        cfg.pop('neuron')
        cfg.pop('custom_hooks')
        others.append(cfg.to_dict())
    assert all(other == others[0] for other in others)
    # As many parameters, as in the paper.
    assert max(sizes.values()) < 1.02 * min(sizes.values())


@pytest.fixture
def ablation(results, tmp_path, monkeypatch):
    """The module run.py, in a folder with two images per class."""
    for split in ('train', 'test'):
        for label in range(10):
            folder = tmp_path / 'data' / 'cifar10_12k' / split / f'{label}'
            folder.mkdir(parents=True)
            for i in range(2):
                cv2.imwrite(str(folder / f'{i}.jpg'), np.random.randint(
                    0, 256, (32, 32, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    # main() sets them; what they were comes back with the end of the test.
    monkeypatch.setenv('MMSNN_DATA', 'data')
    monkeypatch.setenv('PYTHONPATH', '')
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    import run
    yield run
    del sys.modules['run']


WORDS = ['--seeds', '1', '--models', 'espikeformer_sfa4', '--epochs']


def test_command(ablation, capsys):
    ablation.main(WORDS + ['2'])
    study = Path('work_dirs/ablation')
    folder = study / 'espikeformer_sfa4' / 'seed0'
    assert capsys.readouterr().out.endswith(
        (study / 'table.md').read_text())
    run = read_json(folder / 'run.json')
    # Accuracy on 20 images goes by steps of 5%.
    assert run['accuracy'] % 5 == pytest.approx(0)
    assert len(training_seconds(folder)) == 2
    assert run['epoch_seconds'] > 0
    assert run['peak_mb'] > 100
    assert 0 < run['energy_uj'] < run['twin_uj']
    weights = torch.load(folder / 'epoch_2.pth', weights_only=False)
    assert run['parameters'] == sum(
        value.numel() for key, value in weights['state_dict'].items()
        if 'running' not in key and 'num_batches' not in key)

    # Repeated, it has nothing to do; other settings do not mix with it.
    def again(epochs):
        args = ablation.parse_args(WORDS + [epochs])
        return ablation.Run('espikeformer_sfa4', 0, args).finish()

    logs = sorted(folder.glob('*/'))
    assert again('2') == dict(run, model='espikeformer_sfa4', seed=0)
    assert sorted(folder.glob('*/')) == logs
    with pytest.raises(SystemExit, match='choose another --work-dir'):
        again('3')


def test_what_is_wrong_is_named(ablation, capsys):
    with pytest.raises(SystemExit, match='nowhere/cifar10_12k/train/CLASS'):
        ablation.check_data(Path('nowhere'))
    with pytest.raises(SystemExit):
        ablation.parse_args(['--epochs', '1'])
    assert '--epochs must be at least 2' in capsys.readouterr().err
