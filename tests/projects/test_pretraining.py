"""projects/pretraining: labelled files, the table, and the command itself."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmsnn.engine.study import build_model, read_json

pytest.importorskip('mmpretrain')

PROJECT = Path(__file__).parents[2] / 'projects' / 'pretraining'


@pytest.fixture
def results(monkeypatch):
    """The module results.py, as run.py imports it."""
    monkeypatch.syspath_prepend(str(PROJECT))
    import results
    yield results
    del sys.modules['results']


@pytest.fixture
def study(results, tmp_path, monkeypatch):
    """The module run.py, in a folder with four images per class."""
    for split in ('train', 'test'):
        for label in 'abcdefghij':
            folder = tmp_path / 'data' / 'cifar10_12k' / split / label
            folder.mkdir(parents=True)
            for i in range(4):
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


def trial(variant, seed, ranks, accuracy):
    looks = [dict(iter=i, rank=rank, rate=0.25)
             for i, rank in enumerate(ranks)]
    return dict(variant=variant, seed=seed, accuracy=accuracy, looks=looks)


def test_summary_and_table(results, tmp_path):
    trials = [trial('lif-t1', 0, [9., 4.], 30.),
              trial('ssc', 0, [5., 20.], 50.), trial('ssc', 1, [7., 24.], 56.)]
    scratch = [dict(neuron='sfa4', seed=1, accuracy=46.),
               dict(neuron='sfa4', seed=0, accuracy=44.),
               dict(neuron='lif-t1', seed=0, accuracy=31.)]
    table = results.write_results(tmp_path, trials, scratch)
    ssc, lif = results.summarise(trials, scratch)
    # 20 and 24, 50 - 44 and 56 - 46: seeds are compared with themselves.
    assert ssc['last_rank'] == dict(mean=22., std=pytest.approx(8**0.5))
    assert ssc['gain'] == dict(mean=8., std=pytest.approx(8**0.5))
    assert lif['gain'] == dict(mean=-1., std=0.)
    rows = [[cell.strip() for cell in line.strip('|').split('|')]
            for line in table.splitlines() if line.startswith('|')]
    assert {len(row) for row in rows} == {8}
    assert rows[2][:-1] == [
        'SSC, SFA (D = 4)', '6.00 ± 1.41', '22.00 ± 2.83', '0.250 ± 0.000',
        '53.00 ± 4.24', '45.00 ± 1.41', '+8.00 ± 2.83']
    assert rows[3][-2] == '-1.00 ± 0.00'
    assert (tmp_path / 'table.md').read_text() == table + '\n'
    assert json.loads(
        (tmp_path / 'results.json').read_text())['pretrained'] == trials
    assert cv2.imread(str(tmp_path / 'effective_rank.png')).std() > 1


def test_variants_differ_by_one_key(results):
    def model(name):
        return Config.fromfile(PROJECT / 'configs' / f'{name}.py').model

    for variant, (_, neuron, _) in results.VARIANTS.items():
        before, after = model(f'pretrain_{variant}'), model(
            f'finetune_{neuron}')
        scratch = model(f'scratch_{neuron}')
        assert before.backbone.arch == after.backbone.arch
        assert before.backbone.neuron == after.backbone.neuron
        assert after.head.neuron.type == after.backbone.neuron.type
        # What scratch lacks is the pre-trained start, and nothing else.
        assert after.backbone.pop('init_cfg').type == 'Pretrained'
        assert scratch == after
        assert before.backbone.get('ssc', True) == (variant != 'no-ssc')
    lif, sfa = model('pretrain_lif-t1'), model('pretrain_ssc')
    assert dict(lif.backbone.pop('neuron')) == dict(
        type='mmsnn.LIFNeuron', timesteps=1)
    assert sfa.backbone.pop('neuron').type == 'mmsnn.SFANeuron'
    assert lif == sfa


def test_labelled_files(study):
    train = Path('data/cifar10_12k/train')
    half = study.list_labelled(train, 0.5).splitlines()
    assert half == study.list_labelled(train, 0.5).splitlines()
    assert [line[0] for line in half] == [c for c in 'abcdefghij'
                                          for _ in range(2)]
    assert all((train / line.split()[0]).exists() for line in half)
    assert [int(line.split()[1]) for line in half] == [
        i for i in range(10) for _ in range(2)]
    assert len({line.split()[0][2] for line in half}) > 2  # at random
    with pytest.raises(SystemExit, match='nowhere/CLASS'):
        study.list_labelled(Path('nowhere'), 0.5)


WORDS = ['--seeds', '1', '--variants', 'ssc', '--jobs', '1', '--labels',
         '0.5', '--finetune-epochs', '3', '--epochs']


def test_command(study, capsys):
    study.main(WORDS + ['5'])
    folder = Path('work_dirs/pretraining')
    assert capsys.readouterr().out.endswith((folder / 'table.md').read_text())
    encoder, tuned, scratch = (
        folder / name / 'seed0'
        for name in ('pretrain_ssc', 'finetune_ssc', 'scratch_sfa4'))
    looks = read_json(encoder / 'run.json')['looks']
    assert [look['iter'] for look in looks] == [1, 2, 3, 4, 5]
    assert all(look['rank'] >= 1 for look in looks)
    assert (encoder / 'reconstructions' / 'epoch_5.png').exists()
    for run in (tuned, scratch):
        # Accuracy on 40 images goes by steps of 2.5%.
        accuracy = read_json(run / 'run.json')['accuracy']
        assert accuracy % 2.5 == pytest.approx(0)
    # Fine-tuning has read the encoder; three short epochs changed it little.
    def weight(path):
        return torch.load(path, weights_only=False)['state_dict'][
            'backbone.stages.0.downsample.conv.weight']
    before = weight(encoder / 'epoch_5.pth')
    after, plain = weight(tuned / 'epoch_3.pth'), weight(
        scratch / 'epoch_3.pth')
    assert 0 < (after - before).norm() < 0.1 * (plain - before).norm()

    # Other labels do not mix with these.
    with pytest.raises(SystemExit, match='choose another --work-dir'):
        study.main(WORDS + ['5', '--labels', '0.25'])


def test_networks_are_the_same(study):
    sizes = {
        name: {key: value.shape for key, value in build_model(
            Config.fromfile(PROJECT / 'configs' / f'{name}.py')
        ).state_dict().items()}
        for name in ('finetune_sfa4', 'scratch_sfa4', 'scratch_lif-t1')}
    assert len({str(size) for size in sizes.values()}) == 1


def test_what_is_wrong_is_named(study, capsys):
    for words, message in ((['--epochs', '2'], '--epochs must be at least 3'),
                           (['--finetune-epochs', '1'],
                            '--finetune-epochs must be at least 3'),
                           (['--labels', '0'], '--labels must be above 0')):
        with pytest.raises(SystemExit):
            study.parse_args(words)
        assert message in capsys.readouterr().err
