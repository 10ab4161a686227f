"""tools/analysis_tools/upstream_models.py and what it is made of."""

import os
import resource
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = ('upstream_models', 'upstream_catalogue', 'upstream_configs',
           'upstream_trial')


@pytest.fixture(scope='module')
def tool():
    pytest.importorskip('mmdet.models')
    pytest.importorskip('mmseg.models')
    sys.path.insert(0, str(ROOT / 'tools' / 'analysis_tools'))
    import upstream_configs
    import upstream_models
    import upstream_trial
    upstream_models.configs = upstream_configs
    upstream_models.trial = upstream_trial
    yield upstream_models
    sys.path.pop(0)
    for name in MODULES:
        del sys.modules[name]


@pytest.fixture(scope='module')
def entries(tool):
    return {entry.name: entry for entry in tool.catalogue()}


def test_each_folder_is_tried_or_skipped_with_a_reason(tool, entries):
    catalogue = sys.modules['upstream_catalogue']
    tried = {(e.framework, e.folder) for e in entries.values()}
    for framework in tool.FRAMEWORKS:
        root = catalogue.config_root(framework)
        folders = {f.name for f in root.iterdir() if f.is_dir()} - {'_base_'}
        skipped = tool.SKIPPED[framework].keys()
        named = {folder for f, folder in tried if f == framework}
        assert named | skipped == folders and not named & skipped
        assert catalogue.CONFIGS[framework].keys() <= named
    assert all(entry.config.is_file() for entry in entries.values())
    assert 'mmdet/atss/atss_r50_fpn_1x_coco' in entries


def test_the_table_of_the_page_has_each_of_them(tool, entries):
    page = (ROOT / 'docs' / 'dense_prediction.md').read_text()
    table, skipped = page.split(tool.HEAD)[1].split(
        tool.skipped_rows()[0])
    names = [line.split(' | ')[0][2:] for line in table.splitlines()
             if line.startswith('| ')]
    assert names == list(entries)
    assert skipped.split() == '\n'.join(tool.skipped_rows()[1:]).split()


@pytest.mark.parametrize('backbone,strides', [
    (dict(type='ResNet'), (4, 8, 16, 32)),
    (dict(type='ResNet', out_indices=(3, )), (32, )),
    (dict(type='ResNetV1c', strides=(1, 2, 1, 1)), (4, 8, 8, 8)),
    (dict(type='mmdet.CSPDarknet', out_indices=(2, 3, 4)), (8, 16, 32)),
    (dict(type='VisionTransformer', out_indices=(9, 14, 19, 23)),
     (4, 8, 16, 16)),
    (dict(type='VisionTransformer', out_indices=11), (16, ))])
def test_strides_of_upstream(tool, backbone, strides):
    assert tool.configs.strides_of(backbone) == strides


@pytest.mark.parametrize('strides,keys', [
    ((4, 8, 16, 32), dict(out_strides=(4, 8, 16, 32))),
    ((32, ), dict(out_strides=(32, ))),
    ((4, 8, 8, 8), dict(out_indices=(1, 2, 3, 4))),
    ((4, 4), dict(out_indices=(3, 4)))])
def test_a_backbone_in_its_place(tool, strides, keys):
    made = tool.configs.spiking_backbone(strides)
    assert {k: v for k, v in made.items() if k.startswith('out_')} == keys


def test_adapting_a_detector(tool):
    upstream = dict(
        type='X',
        data_preprocessor=dict(type='P', batch_augments=[1]),
        backbone=dict(type='ResNet', init_cfg=dict(type='Pretrained')),
        neck=[dict(type='N', in_channels=[256, 512, 1024, 2048]),
              dict(type='M', in_channels=256)],
        bbox_head=dict(type='H', in_channels=256,
                       init_cfg=dict(type='Pretrained', checkpoint='x'),
                       norm_cfg=dict(type='SyncBN')),
        train_cfg=dict(sampler=dict(type='S', num=512)))
    made = tool.configs.adapt(upstream, 'mmdet')
    assert made['backbone']['out_strides'] == (4, 8, 16, 32)
    first, second = made['neck']
    assert first['type'] == second['type'] == 'mmsnn.SpikingModule'
    assert first['module'] == dict(type='N', in_channels=[16] * 4)
    assert second['module']['in_channels'] == 256
    assert made['bbox_head']['module'] == dict(
        type='H', in_channels=256, norm_cfg=dict(type='BN'))
    assert made['train_cfg']['sampler']['num'] == 32
    assert 'batch_augments' not in made['data_preprocessor']
    assert upstream['neck'][0]['in_channels'][0] == 256


def test_what_has_no_neck_reads_the_backbone(tool):
    made = tool.configs.adapt(
        dict(type='X', data_preprocessor=dict(type='P'),
             backbone=dict(type='ResNetV1c', strides=(1, 2, 1, 1)),
             decode_head=[dict(type='H', in_channels=2048, channels=512)],
             auxiliary_head=dict(type='A', in_channels=(256, 512))), 'mmseg')
    assert made['decode_head'][0]['module'] == dict(
        type='H', in_channels=16, channels=512)
    assert made['auxiliary_head']['module']['in_channels'] == (16, 16)
    assert made['data_preprocessor']['size'] == (64, 64)


@pytest.mark.parametrize('neck,heads', [
    (dict(type='Feature2Pyramid', embed_dim=768), (16, 16)),
    (dict(type='JPU', in_channels=(512, 1024, 2048)), (768, 16)),
    (dict(type='ICNeck', in_channels=(64, 256)), (768, 768))])
def test_necks_that_hand_widths_on(tool, neck, heads):
    made = tool.configs.adapt(
        dict(type='X', data_preprocessor=dict(type='P'), neck=neck,
             backbone=dict(type='ResNetV1c'),
             decode_head=dict(type='H', in_channels=768),
             auxiliary_head=dict(type='A', in_channels=768)), 'mmseg')
    assert tuple(made[key]['module']['in_channels'] for key in (
        'decode_head', 'auxiliary_head')) == heads


@pytest.mark.parametrize('framework,key,head,side', [
    ('mmdet', 'bbox_head', 'ATSSHead', 128), ('mmseg', 'x_head', 'H', 64),
    ('mmdet', 'bbox_head', 'SSDHead', 300)])
def test_sides_of_pictures(tool, framework, key, head, side):
    plain = {key: dict(type=head)}
    wrapped = {key: dict(type='mmsnn.SpikingModule', module=plain[key])}
    for model in (plain, wrapped):
        assert tool.configs.side_of(model, framework) == side
    data = tool.trial.pictures(framework, side, with_masks=False)
    assert data['inputs'][1].shape == (3, side, side)
    if framework == 'mmdet':
        assert 'masks' not in data['data_samples'][0].gt_instances


def test_a_detector_in_one_piece_is_wrapped_whole(tool):
    made = tool.configs.adapt(
        dict(type='X', data_preprocessor=dict(type='P'), decoder=dict(),
             backbone=dict(type='ResNet', out_indices=(3, )),
             neck=dict(type='N', in_channels=[2048])), 'mmdet')
    assert made['type'] == 'mmsnn.SpikingModule'
    assert made['module']['neck'] == dict(type='N', in_channels=[16])


def test_rows(tool):
    found = dict(done=['build', 'train', 'predict', 'proof', 'estimate'],
                 equal=True, energy_mj=0.12345, real_share=0.125,
                 real={'a': 1, 'b': 9, 'c': 5, 'd': 2}, seconds=3.4)
    assert tool.row('x', found) == (
        '| x | yes | yes | equal | 0.123 | 12.5% | `b`, `c`, `d` and 1 more '
        '|  |')
    assert tool.row('x', dict(
        done=['build'], failed='train', seconds=1, reason='E: a\nb | c')) == (
            r'| x |  |  |  |  |  |  | train: E: a b \| c |')
    assert {len(line.split('|')) for line in tool.HEAD.splitlines()} == {
        len(tool.row('x', found).split('|'))} == {10}


def test_selecting(tool, entries):
    every = list(entries.values())
    assert tool.select(every, []) == every
    names = [e.name for e in tool.select(every, ['fcos', 'mmseg/fcn/'])]
    assert [n.split('/')[:2] for n in names] == [['mmdet', 'fcos'],
                                                 ['mmseg', 'fcn']]
    with pytest.raises(SystemExit, match='--only fcoss: no such algorithm'):
        tool.select(every, ['fcoss'])


def work(task):
    if task == 'slow':
        time.sleep(60)
    elif task == 'dies':
        os._exit(3)
    elif task == 'limit':
        return dict(limit=resource.getrlimit(resource.RLIMIT_AS))
    return dict(process=os.getpid())


def test_each_task_has_a_process_with_limits(tool):
    tasks = ['a', 'slow', 'dies', 'b', 'limit']
    start = time.time()
    found = dict(tool.in_processes(work, tasks, 2, timeout=2, memory=1000))
    assert time.time() - start < 30 and found.keys() == set(tasks)
    assert len({os.getpid(), *(found[t]['process'] for t in 'ab')}) == 3
    assert found['slow']['reason'] == 'took longer than 2 s'
    assert found['dies']['reason'] == 'its process ended with status 3'
    assert found['limit']['limit'] == (10**12, 10**12)


#: Of each kind the fastest: what failed before strides, layouts, precision,
#: attention, deformable and 1-d convolutions and rules of costs were right.
QUICK = dict(
    centernet='mmdet/centernet/centernet_r18', psanet='mmseg/psanet',
    dmnet='mmseg/dmnet', yolox='mmdet/yolox', rtmdet='mmdet/rtmdet/rtmdet_',
    panoptic_fpn='mmdet/panoptic_fpn', conditional_detr='mmdet/conditional',
    segnext='mmseg/segnext', segmenter='mmseg/segmenter',
    centripetalnet='mmdet/centripetalnet', point_rend='mmseg/point_rend',
    gfl='mmdet/gfl')


@pytest.mark.parametrize('name', list(QUICK))
def test_an_upstream_model(tool, entries, name):
    entry, = (e for e in entries.values() if e.name.startswith(QUICK[name]))
    found = tool.trial.try_config(entry.framework, str(entry.config))
    assert found['done'] == ['build', 'train', 'predict', 'proof',
                             'estimate'], found
    assert found['equal'], found['report']
    assert found['layers'] > 30
    assert len(found['silent']) <= 0.05 * found['layers']
    assert found['energy_mj'] > 0 and 0 < found['real_share'] < 1
