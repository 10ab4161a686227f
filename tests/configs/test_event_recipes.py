"""configs/events: what names say, the published settings, one epoch."""

import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope

from mmsnn.datasets.events import make_events
from mmsnn.datasets.events.formats.atis import write_atis
from mmsnn.engine.cli import build_runner

pytest.importorskip('mmpretrain')

ROOT = Path(__file__).parents[2]
CONFIGS = {path.stem: path
           for path in sorted(ROOT.glob('configs/events/*.py'))}
STATED = {model['Name']: model['Metadata'] for model in yaml.safe_load(
    (ROOT / 'configs/events/metafile.yml').read_text())['Models']}
DETECTORS = [name for name in CONFIGS if re.match('retinanet|fcos', name)]


def read(name: str) -> Config:
    return Config.fromfile(CONFIGS[name])


@pytest.fixture(autouse=True)
def mmdet_for_detectors(request):
    case = getattr(request.node, 'callspec', None)
    if case and case.params.get('name') in DETECTORS:
        pytest.importorskip('mmdet')


@pytest.mark.parametrize('name', CONFIGS)
def test_name_says_what_the_config_does(name):
    cfg, stated = read(name), STATED[name]
    gpus, batch, length, unit = re.search(
        r'_(\d+)xb(\d+)-(\d+)([ei])_', name).groups()
    assert cfg.train_dataloader.batch_size == int(batch)
    assert stated['Batch Size'] == int(gpus) * int(batch)
    key, label = dict(e=('max_epochs', 'Epochs'),
                      i=('max_iters', 'Iterations'))[unit]
    assert cfg.train_cfg[key] == stated[label] == int(length)
    if 'auto_scale_lr' in cfg:
        assert cfg.auto_scale_lr.base_batch_size == stated['Batch Size']

    kind, spikes, timesteps = re.search(
        r'_(sfa|lif)(\d?)-t(\d+)_', name).groups()
    neuron = dict(type='mmsnn.LIFNeuron', timesteps=int(timesteps))
    if kind == 'sfa':
        neuron = dict(type='mmsnn.SFANeuron', timesteps=int(timesteps),
                      max_spikes=int(spikes))
    assert stated['Timesteps'] == int(timesteps)
    assert stated['Max Spikes'] == int(spikes or 1)
    # One neuron in all parts, which --cfg-options neuron... changes.
    assert cfg.neuron == neuron
    for part in ('backbone', 'neck', 'head', 'bbox_head'):
        found = dict(cfg.model.get(part, {}).get('neuron') or neuron)
        assert found.pop('scale', 1.) == 1.
        assert found == neuron, part
    head = cfg.model.get('head') or cfg.model.bbox_head
    assert head.mean_over_time
    # As many frames as time steps, in all loaders.
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        bins, = (step.bins for step in cfg[loader].dataset.pipeline
                 if 'bins' in step)
        assert bins == int(timesteps)


@pytest.mark.parametrize('name', CONFIGS)
def test_parameters_and_transforms(name):
    cfg = read(name)
    with DefaultScope.overwrite_default_scope(
            cfg.default_scope), torch.device('meta'):
        model = MODELS.build(cfg.model)
        for loader in ('train_dataloader', 'test_dataloader'):
            for step in cfg[loader].dataset.pipeline:
                TRANSFORMS.build(step)
    assert STATED[name]['Parameters'] == sum(
        p.numel() for p in model.parameters())
    assert type(model.data_preprocessor).__name__ in (
        'EventDataPreprocessor', 'EventDetDataPreprocessor')


@pytest.mark.parametrize(
    'name', [name for name in CONFIGS if 'espikeformer-19m' in name])
def test_hardvs_as_published(name):
    cfg = read(name)
    assert STATED[name]['Parameters'] == 18_733_236
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.lr * 256 / cfg.auto_scale_lr.base_batch_size == 4e-5
    assert optimizer.weight_decay == 1e-2
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.model.head.module.num_classes == 300
    assert cfg.neuron.timesteps == 8
    sizes = [step.size for step in cfg.train_dataloader.dataset.pipeline
             if step.type == 'mmsnn.DownsampleEvents']
    assert sizes == [(224, 224)]
    assert [cfg[f'{split}_dataloader'].dataset.split
            for split in ('train', 'val', 'test')] == ['train', 'val', 'test']


def some_events(width, height, n=400):
    t = np.sort(np.random.randint(0, 90_000, n))
    return make_events(t, np.random.randint(0, width, n),
                       np.random.randint(0, height, n),
                       np.random.randint(0, 2, n))


def aedat2(events) -> bytes:
    """CIFAR10-DVS's form, without the fields that x, y and p leave."""
    address = (events['y'].astype('>u4') << 8 | events['x'].astype('>u4') << 1
               | events['p'])
    words = np.stack([address, events['t'].astype('u4')], 1).astype('>u4')
    return b'#!AER-DAT2.0\r\n' + words.tobytes()


def write_hardvs(root):
    for number in (1, 300):
        folder = root / 'hardvs' / f'action_{number:03d}'
        folder.mkdir(parents=True)
        events = some_events(346, 260)
        np.savez(folder / 'a.npz', **{key: events[key] for key in 'txyp'})
    for split in ('train', 'val', 'test'):
        (root / 'hardvs' / f'{split}_label.txt').write_text(
            'action_001/a 0 0\naction_300/a 0 299\n')


def write_cifar10dvs(root):
    from mmsnn.datasets import CIFAR10DVS
    for name in CIFAR10DVS.METAINFO['classes']:
        folder = root / 'cifar10_dvs' / name
        folder.mkdir(parents=True)
        for number in (0, 100):
            (folder / f'cifar10_{name}_{number}.aedat').write_bytes(
                aedat2(some_events(128, 128)))


def write_gesture(root):
    for split in ('train', 'test'):
        for label in (1, 11):
            folder = root / 'dvs_gesture' / split / f'{label:02d}'
            folder.mkdir(parents=True)
            np.save(folder / 'user01_led_00.npy', some_events(128, 128))


def write_ncaltech101(root):
    for name in ('ant', 'bass'):
        folder = root / 'ncaltech101' / name
        folder.mkdir(parents=True)
        for i in range(6):
            write_atis(folder / f'image_{i:04d}.bin', some_events(240, 180))


def write_nmnist(root):
    for split in ('train', 'test'):
        for label in (3, 7):
            folder = root / 'nmnist_1100' / split / str(label)
            folder.mkdir(parents=True)
            write_atis(folder / '00001.bin', some_events(34, 34))


def write_gen1(root):
    from mmsnn.datasets.event_sets.gen1 import convert_gen1
    boxes = np.zeros(2, [('ts', '<u8'), ('x', '<f4'), ('y', '<f4'),
                         ('w', '<f4'), ('h', '<f4'), ('class_id', 'u1')])
    boxes['ts'] = 560_000, 600_000
    boxes['x'], boxes['y'], boxes['w'], boxes['h'] = 40, 50, 90, 60
    for split in ('train', 'val', 'test'):
        folder = root / 'gen1' / split
        folder.mkdir(parents=True)
        np.save(folder / 'a_bbox.npy', boxes)
        events = some_events(304, 240)
        words = b''.join(
            struct.pack('<II', 510_000 + t, x | y << 14 | p << 28)
            for t, x, y, p in events.tolist())
        (folder / 'a_td.dat').write_bytes(
            b'% Version 2\n% Height 240\n% Width 304\n% end\n\x0c\x08' + words)
    convert_gen1(root / 'gen1')


TINY = ['model.backbone.arch._delete_=True',
        'model.backbone.arch.embed_dims=[8,8,16,16]',
        'model.backbone.arch.depths=[0,0,1,1,0]',
        'model.backbone.arch.num_heads=2']
CLASSIFIER = [*TINY, 'model.head.module.in_channels=16',
              'train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
#: One recipe of each set, what writes some of it, smaller networks, and of
#: classifiers a label and how many recordings to validate on have it, in %.
RUNS = {
    'espikeformer-19m_sfa1-t8_8xb32-100e_hardvs-224x224':
    (write_hardvs, CLASSIFIER, 299, 50),
    'metaspikeformer-15m_lif-t8_1xb32-100e_cifar10-dvs':
    (write_cifar10dvs, CLASSIFIER, 9, 10),
    'espikeformer-2.7m_sfa4-t16_1xb32-200e_dvs-gesture':
    (write_gesture, CLASSIFIER, 10, 50),
    'espikeformer-2.7m_sfa4-t8_1xb32-100e_ncaltech101':
    (write_ncaltech101, CLASSIFIER, 1, 50),
    'espikeformer-tiny_sfa1-t8_1xb25-40e_nmnist-1100':
    (write_nmnist, CLASSIFIER, 7, 50),
    'retinanet_espikeformer-10m_fpn_sfa4-t5_4xb16-24e_gen1': (write_gen1, [
        *TINY, 'model.neck.module.in_channels=[8,8,16,16]',
        'model.neck.module.out_channels=8', 'model.test_cfg.score_thr=1e-4',
        'model.bbox_head.module.in_channels=8',
        'model.bbox_head.module.feat_channels=8', 'train_cfg.max_epochs=1']),
}


@pytest.mark.parametrize('name', RUNS)
def test_one_epoch(name, tmp_path, from_command_line, monkeypatch,
                   validate_one_answer, validate_truth):
    write, options, *answer = RUNS[name]
    monkeypatch.setenv('MMSNN_DATA', str(tmp_path / 'data'))
    write(tmp_path / 'data')
    cfg = from_command_line(CONFIGS[name], options + [
        f'{split}_dataloader.{key}' for split in ('train', 'val', 'test')
        for key in ('num_workers=0', 'persistent_workers=False',
                    'batch_size=2')])
    # The last epoch of a warm-up that is longer than the training.
    cfg.param_scheduler = [dict(type='LinearLR', by_epoch=True, end=1,
                                convert_to_iter_based=True)]
    runner = build_runner(cfg)
    before = {key: value.clone()
              for key, value in runner.model.named_parameters()}
    runner.train()
    changed = {key.split('.')[0]
               for key, value in runner.model.named_parameters()
               if not torch.equal(before[key], value)}
    assert changed == {key for key, value in cfg.model.items()
                       if isinstance(value, dict) and 'neuron' in value}
    if name in DETECTORS:
        metric, expected = 'coco/bbox_mAP', 1
        found = validate_truth(runner)
    else:
        metric, (label, expected) = 'accuracy/top1', answer
        found = validate_one_answer(runner, [runner.model.head.fc], label)
    assert f'val/{metric}' in runner.message_hub.log_scalars
    assert found[metric] == expected
    if 'tiny' in name:  # the hook has proved and drawn it
        report = Path(cfg.work_dir) / 'spike_inference' / 'val'
        assert (report / 'predictions.png').exists()
        energy = json.loads((report / 'energy.json').read_text())
        assert energy['results']


def test_other_time_steps_by_one_key(from_command_line):
    cfg = from_command_line(
        CONFIGS['espikeformer-tiny_sfa1-t8_1xb25-40e_nmnist-1100'],
        ['neuron.timesteps=2', 'neuron.max_spikes=4'])
    kind = dict(type='mmsnn.SFANeuron', max_spikes=4, timesteps=2)
    assert cfg.model.backbone.neuron == kind
    assert cfg.model.head.neuron == dict(kind, scale=1.)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert [step.bins for step in cfg[loader].dataset.pipeline
                if 'bins' in step] == [2]
