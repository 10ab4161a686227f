"""The COCO and ADE20K recipes: names, sizes, strides, neurons."""

import copy
import re
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmsnn.neurons import is_spiking

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

ROOT = Path(__file__).parents[2]
COCO = {path.stem: path for path in sorted(
    ROOT.glob('configs/*/*_1x_coco.py'))}
ADE = {path.stem: path for path in sorted(
    ROOT.glob('configs/*/*_ade20k-512x512.py'))}
CONFIGS = {**COCO, **ADE}
STATED = {model['Name']: model['Metadata']
          for path in ROOT.glob('configs/*/metafile.yml')
          for model in yaml.safe_load(path.read_text())['Models']}
MASK_RCNN = 'mask-rcnn_espikeformer-10m_fpn_sfa4_1x_coco'
SEMANTIC_FPN = ('espikeformer-10m_semantic-fpn_sfa4_8xb2-160k_'
                'ade20k-512x512')
WIDTHS = [8, 8, 16, 16]
TINY = dict(_delete_=True, embed_dims=WIDTHS, depths=[1, 1, 0, 1, 1],
            num_heads=2)


@cache
def read(name: str) -> Config:
    return Config.fromfile(CONFIGS[name])


def build(cfg: Config) -> nn.Module:
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(cfg.model)


def parts(cfg: Config) -> list:
    """The parts of a model that have neurons."""
    return [key for key, value in cfg.model.items()
            if isinstance(value, dict) and 'neuron' in value]


@pytest.fixture(scope='module', params=CONFIGS)
def recipe(request):
    """Name, config, and model without memory."""
    cfg = copy.deepcopy(read(request.param))
    with torch.device('meta'):
        return request.param, cfg, build(cfg)


def test_size_as_stated(recipe):
    name, cfg, model = recipe
    assert STATED[name]['Parameters'] == sum(
        p.numel() for p in model.parameters())
    arch = re.search(r'spikeformer-([\d.]+m)_', name).group(1)
    assert cfg.model.backbone.arch == arch
    meta = 'metaspikeformer-' in name
    assert cfg.model.backbone.type == (
        'mmsnn.MetaSpikeFormer' if meta else 'mmsnn.ESpikeFormer')
    assert tuple(model.neck.in_channels) == model.backbone.arch['embed_dims']


def test_one_kind_of_neuron(recipe):
    name, cfg, model = recipe
    kind, number = re.search(r'_(sfa|lif-t)(\d)_', name).groups()
    spikes, steps = (int(number), 1) if kind == 'sfa' else (1, int(number))
    assert cfg.neuron.type == (
        'mmsnn.SFANeuron' if kind == 'sfa' else 'mmsnn.LIFNeuron')
    assert (STATED[name]['Max Spikes'], STATED[name]['Timesteps']) == (
        spikes, steps)
    # What is behind a neck that merges time has one time step.
    one_step = ('rpn_head', 'roi_head')
    for path, module in model.named_modules():
        if is_spiking(module):
            assert type(module).__name__ == cfg.neuron.type.split('.')[1]
            assert module.max_spikes == spikes, path
            assert module.timesteps == (
                1 if path.startswith(one_step) else steps), path
    merging = {'neck'} if 'rpn_head' in cfg.model else {
        'decode_head', 'bbox_head'} & set(cfg.model)
    assert {key for key in parts(cfg)
            if cfg.model[key].get('mean_over_time')} == merging
    assert all(getattr(model, key).timesteps == steps
               for key in merging if steps > 1)


def test_every_synapse_of_neck_and_heads_has_a_neuron(recipe):
    name, cfg, model = recipe
    synapses = 0
    for key in set(parts(cfg)) - {'backbone'}:
        for path, module in getattr(model, key).named_modules():
            if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
                synapses += 1
                assert is_spiking(module.neuron), path
            # The next neuron is the activation.
            assert not isinstance(module, nn.ReLU), path
    lateral, levels, head = 4, 4, 7  # of the segmentor
    if 'retinanet' in name:
        lateral, levels, head = 3, 5, 2 * 4 + 2
    elif 'cascade' in name:
        head = 3 + 3 * (4 + 6)
    elif 'mask-rcnn' in name:
        head = 3 + 4 + 6  # RPN, box head, mask head
    assert synapses == lateral + levels + head
    # Of the backbone, the stem sees an image.
    stem = model.backbone.stages[0].downsample.conv
    assert type(stem) is nn.Conv2d and stem.in_channels == 3


def test_strides_of_the_backbone_reach_anchors_and_rois(recipe):
    name, cfg, model = recipe
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict({
        'model.backbone.arch': TINY,
        'model.neck.module.in_channels': WIDTHS,
        'model.neck.module.out_channels': 8})
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        net = nn.Sequential(MODELS.build(cfg.model.backbone),
                            MODELS.build(cfg.model.neck)).eval()
    with torch.no_grad():
        maps = net(torch.rand(1, 3, 128, 192))
    strides = [128 // x.shape[2] for x in maps]
    assert strides == [192 // x.shape[3] for x in maps]
    if name in ADE:
        assert strides == [4, 8, 16, 16]
        assert cfg.model.decode_head.module.feature_strides == strides
        return
    dense = model.rpn_head if 'rpn_head' in cfg.model else model.bbox_head
    generator = dense.prior_generator
    assert generator.strides == [(s, s) for s in strides]
    # Levels of equal stride still differ in the size of their anchors.
    sizes = generator.base_sizes
    assert sizes == [sizes[0] * 2**i for i in range(5)]
    assert strides[:2] == sizes[:2]
    if 'retinanet' in name:
        assert strides == [8, 16, 16, 32, 64]
        return
    assert strides == [4, 8, 16, 16, 32]
    roi_head = cfg.model.roi_head.module
    for extractor in (roi_head.bbox_roi_extractor,
                      roi_head.mask_roi_extractor):
        assert extractor.featmap_strides == strides[:4]
        assert extractor.out_channels == model.neck.out_channels


def without_ours(part):
    """A config of a detector without neurons, backbone and what follows from
    its strides and widths."""
    ours = {'_scope_', 'backbone', 'in_channels', 'norm_cfg', 'strides',
            'base_sizes', 'featmap_strides'}
    if isinstance(part, list):
        return [without_ours(x) for x in part]
    if not isinstance(part, dict):
        return part
    return {key: without_ours(value)
            for key, value in part.get('module', part).items()
            if key not in ours}


@pytest.mark.parametrize(
    'name', [n for n in COCO if '_espikeformer-19m_fpn_sfa4_' in n])
def test_the_rest_of_a_detector_is_that_of_mmdet(name, tmp_path):
    detector = name.split('_')[0]
    path = tmp_path / 'theirs.py'
    path.write_text(f'_base_ = "mmdet::_base_/models/{detector}_r50_fpn.py"')
    assert without_ours(read(name).model.to_dict()) == without_ours(
        Config.fromfile(path).model.to_dict())


@pytest.mark.parametrize('name', COCO)
def test_coco_as_published(name):
    cfg = read(name)
    assert cfg.train_dataloader.dataset.data_root == 'data/coco/'
    assert cfg.train_dataloader.batch_size * 8 == (
        cfg.auto_scale_lr.base_batch_size) == 16
    assert cfg.optim_wrapper.optimizer == dict(
        type='AdamW', lr=2e-4, weight_decay=0.05)
    warm_up, steps = cfg.param_scheduler
    assert (warm_up.end, warm_up.by_epoch) == (1000, False)
    assert steps.milestones == [8, 11] and cfg.train_cfg.max_epochs == 12
    resize, = [step for step in cfg.train_dataloader.dataset.pipeline
               if 'Resize' in step.type]
    assert resize.scales[0] == (1333, 480) and resize.scales[-1] == (1333, 800)
    width, box_head = ((192, 768) if '-10m_' in name else (256, 1024))
    assert cfg.model.neck.module.out_channels == width
    if 'mask-rcnn' in name:
        heads = cfg.model.roi_head.module.bbox_head
        heads = heads if isinstance(heads, list) else [heads]
        assert len(heads) == (3 if 'cascade' in name else 1)
        for head in heads:
            assert (head.in_channels, head.fc_out_channels) == (
                width, box_head)


@pytest.mark.parametrize('name', ADE)
def test_ade20k_as_published(name):
    cfg = read(name)
    assert cfg.train_dataloader.dataset.data_root == (
        'data/ade/ADEChallengeData2016')
    gpus, batch, thousands = map(int, re.search(
        r'_(\d+)xb(\d+)-(\d+)k_', name).groups())
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.auto_scale_lr.base_batch_size == gpus * batch
    assert cfg.train_cfg.max_iters == thousands * 1000
    assert cfg.param_scheduler[-1].type == 'PolyLR'
    assert cfg.param_scheduler[-1].end == thousands * 1000
    assert cfg.optim_wrapper.optimizer == dict(
        type='AdamW', lr=1e-3, weight_decay=0.005)
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys == dict(
        decode_head=dict(lr_mult=2.))
    assert cfg.model.data_preprocessor.size == cfg.crop_size == (512, 512)
    assert cfg.model.neck.module.out_channels == 128
    assert cfg.model.decode_head.module.channels == 128
    assert cfg.model.decode_head.module.num_classes == 150


@pytest.mark.parametrize('name', [n for n in CONFIGS if '_sfa8_' in n])
def test_eight_spikes_are_one_key(name):
    cfg = read(name)
    cfg4 = copy.deepcopy(read(name.replace('_sfa8_', '_sfa4_')))
    assert cfg4.model != cfg.model
    keys = ['neuron', *(f'model.{key}.neuron' for key in parts(cfg))]
    # Nothing else is different.
    cfg4.merge_from_dict({f'{key}.max_spikes': 8 for key in keys})
    assert cfg4.to_dict() == cfg.to_dict()


@pytest.mark.parametrize('name', [MASK_RCNN, SEMANTIC_FPN])
def test_another_neuron_on_the_command_line(name, from_command_line):
    keys = [f'model.{key}.neuron' for key in parts(read(name))]
    cfg = from_command_line(CONFIGS[name], [
        f'{key}.max_spikes=8' for key in keys])
    assert cfg.model == read(name.replace('_sfa4_', '_sfa8_')).model
    cfg = from_command_line(CONFIGS[name], [
        option for key in keys
        for option in (f'{key}._delete_=True', f'{key}.type=ReLU')])
    with torch.device('meta'):
        twin = build(cfg)
    assert not any(is_spiking(module) for module in twin.modules())
    assert sum(p.numel() for p in twin.parameters()) == (
        STATED[name]['Parameters'])
