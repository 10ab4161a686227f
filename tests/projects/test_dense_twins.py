"""projects/dense_twins: the twins, the tables, and the command."""

import json
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmsnn.engine.study import build_model

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

PROJECT = Path(__file__).parents[2] / 'projects' / 'dense_twins'
CONFIGS = PROJECT.parents[1] / 'configs'

#: What the real tools leave behind, after no training at all.
TRAIN = '''
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
log = folder / '20260101_000000' / 'vis_data' / 'scalars.json'
log.parent.mkdir(parents=True)
log.write_text('{"iter": 4000, "time": 0.03}\\n')
(folder / 'last_checkpoint').write_text('iter_4000.pth')
'''
TEST = '''
import json, pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index('--out') + 1])
if '_relu' in sys.argv[1]:
    metrics = {'coco/bbox_mAP': 0.8}
else:
    metrics = {'coco/bbox_mAP': 0.6}
    report = out.parent / 'spike_inference' / 'test'
    report.mkdir(parents=True)
    (report / 'predictions.png').write_text('picture')
    log = out.parent / '20260102_000000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({
        'test/spike_energy_mj': 0.05, 'test/spike_float_twin_mj': 0.5,
        'test/spike_differences_float64': 0.,
        'test/spike_compared_float64': 1234.,
        'test/training_form_coco/bbox_mAP': 0.61}))
out.write_text(json.dumps(metrics))
'''


@pytest.fixture
def study(monkeypatch):
    """The modules run.py and results.py."""
    monkeypatch.syspath_prepend(str(PROJECT))
    import results
    import run
    yield run, results
    del sys.modules['run'], sys.modules['results']


def run_of(task, model, seed, value, **kwargs):
    names = dict(digits='coco/bbox_mAP', camvid='mIoU')
    return dict(task=task, model=model, seed=seed, parameters=1000,
                minutes=2., peak_mb=900., metrics={names[task]: value},
                **kwargs)


def spiking(task, seed, value, in_training):
    name = dict(digits='coco/bbox_mAP', camvid='mIoU')[task]
    return run_of(task, 'sfa', seed, value, differences=0., compared=600.,
                  energy_mj=0.2, twin_mj=2., training_form={name:
                                                            in_training})


def test_summary_and_table(study, tmp_path):
    _, results = study
    runs = [
        spiking('camvid', 0, 38., 38.5), spiking('camvid', 1, 42., 42.5),
        run_of('camvid', 'relu', 0, 50.), run_of('camvid', 'relu', 1, 50.),
        spiking('digits', 0, 0.6, 0.6)
    ]
    digits, sfa, relu = results.summarise(runs)
    assert 'ratio' not in digits  # there is no twin
    # 38 and 42: 40, with a standard deviation of sqrt(2 * 2^2 / 1).
    assert sfa['metric'] == dict(mean=pytest.approx(0.4),
                                 std=pytest.approx(0.08**0.5 / 10))
    assert sfa['ratio'] == pytest.approx(0.8)
    assert (sfa['differences'], sfa['compared']) == (0, 1200)
    assert relu['ratio'] == 1
    assert relu['training_form'] is None
    # The ReLU twin pays a MAC for every operation of the spiking model.
    assert relu['energy_mj']['mean'] == 2.
    text = results.write_results(tmp_path, runs)
    rows = [[cell.strip() for cell in line.strip('|').split('|')]
            for line in text.splitlines() if line.startswith('|')]
    assert rows[3] == [
        'Semantic FPN on CamVid', 'SFA, D = 8', '1,000', '2', '2.0', 'mIoU',
        '0.405 ± 0.028', '0.400 ± 0.028', '0.800', '0 of 1,200', '0.2000']
    assert rows[4][6:] == ['0.500', '-', '1.000', '-', '2.0000']
    assert rows[7] == ['Semantic FPN on CamVid', '0', 'mIoU', '38.500',
                       '38.000']
    assert (tmp_path / 'table.md').read_text() == text + '\n'
    assert json.loads((tmp_path / 'results.json').read_text())['runs'] == runs


def test_twin_differs_by_its_neurons_only(study):
    run, _ = study
    neuron = dict(type='mmsnn.SFANeuron', max_spikes=4)
    cfg = Config(dict(
        lr=1, custom_hooks=[dict(type='mmsnn.SpikeInferenceHook'),
                            dict(type='mmsnn.FreezeHook', modules=['neck'])],
        model=dict(backbone=dict(neuron=neuron, out=(1, 2)),
                   heads=[dict(neuron=neuron, module=dict(depth=2))])))
    twin = run.relu_twin(cfg).to_dict()
    relu = dict(type='ReLU')
    assert twin == dict(
        lr=1,
        custom_hooks=[dict(type='mmsnn.FreezeHook', modules=['neck'])],
        model=dict(
            backbone=dict(neuron=relu, out=(1, 2)),
            heads=[dict(neuron=relu, module=dict(depth=2))]))
    assert cfg.model.backbone.neuron == neuron


@pytest.mark.parametrize('task', ['digits', 'camvid', 'coco_200'])
def test_configs_and_their_twins(study, task):
    from mmsnn.neurons import is_spiking
    run, results = study
    cfg = Config.fromfile(CONFIGS / results.TASKS[task].config)
    # Times are exact, see training_seconds, and resuming loses little.
    assert cfg.log_processor.window_size == cfg.default_hooks.logger.interval
    assert 4 * cfg.default_hooks.checkpoint.interval <= cfg.train_cfg.max_iters
    assert cfg.train_cfg.max_iters % cfg.default_hooks.logger.interval == 0
    assert cfg.param_scheduler[0]['end'] == run.WARM_UP
    spiking, twin = map(build_model, (cfg, run.relu_twin(cfg)))
    assert {m.max_spikes for m in spiking.modules() if is_spiking(m)} == {
        results.TASKS[task].max_spikes}
    assert not any(is_spiking(m) for m in twin.modules())
    assert [(k, v.shape) for k, v in spiking.state_dict().items()
            ] == [(k, v.shape) for k, v in twin.state_dict().items()]


def rates(model, image):
    """Share of each neuron's outputs that are spikes."""
    from mmsnn.neurons import is_spiking
    found = {}

    def note(name):
        return lambda module, inputs, out: found.setdefault(name, []).append(
            (out > 0).float().mean().item())

    hooks = [m.register_forward_hook(note(name))
             for name, m in model.named_modules() if is_spiking(m)]
    with torch.no_grad():
        features = model.extract_feat(image)
        if hasattr(model, 'rpn_head'):
            model.rpn_head(features)
            boxes = torch.tensor([[0., 8., 8., 40., 40.]])
            model.roi_head.forward(features, [boxes_of(boxes)])
        else:
            model.bbox_head(features)
    for hook in hooks:
        hook.remove()
    return {name: sum(r) / len(r) for name, r in found.items()}


def boxes_of(rois):
    from mmengine.structures import InstanceData
    return InstanceData(bboxes=rois[:, 1:])


@pytest.mark.parametrize('task', ['digits', 'coco_200'])
def test_necks_and_heads_fire_before_training(study, task):
    _, results = study
    torch.manual_seed(0)
    model = build_model(
        Config.fromfile(CONFIGS / results.TASKS[task].config))
    model.init_weights()
    found = rates(model.train(), torch.randn(2, 3, 64, 64))
    # mmdet allows no other initial weights for the layer in front of this.
    found.pop('roi_head.mask_head.conv_logits.neuron', None)
    silent = {name: rate for name, rate in found.items()
              if not name.startswith('backbone') and rate < 0.05}
    assert len(found) > 20 and not silent


def test_command(study, tmp_path, monkeypatch, capsys):
    run, _ = study
    root = tmp_path / 'root'
    (root / 'tools').mkdir(parents=True)
    (root / 'tools' / 'train.py').write_text(TRAIN)
    (root / 'tools' / 'test.py').write_text(TEST)
    (root / 'configs').symlink_to(CONFIGS)
    monkeypatch.setattr(run, 'ROOT', root)
    # main() sets them; what they were comes back with the end of the test.
    for name in ('MMSNN_DATA', 'PYTHONPATH', 'OMP_NUM_THREADS'):
        monkeypatch.setenv(name, '')
    words = ['--work-dir', str(tmp_path / 'work'), '--data', str(tmp_path),
             '--tasks', 'digits', '--seeds', '1']
    run.main(words)
    table = (tmp_path / 'work' / 'table.md').read_text()
    assert capsys.readouterr().out.endswith(table)
    assert '| 1 | 2.0 | box mAP | 0.610 | 0.600 | 0.750 | 0 of 1,234 |' in (
        table)
    picture = tmp_path / 'work' / 'pictures' / 'digits.png'
    assert picture.read_text() == 'picture'


def test_what_is_wrong_is_named(study, tmp_path, capsys):
    run, _ = study
    with pytest.raises(SystemExit):
        run.parse_args(['--iterations', '100'])
    assert '--iterations must be more than 100' in capsys.readouterr().err
    run.check_data(tmp_path, ['digits'])  # generated where it is missing
    with pytest.raises(SystemExit, match='camvid/images/training'):
        run.check_data(tmp_path, ['digits', 'camvid'])
