"""One config of mmdet or mmseg behind a tiny spiking backbone, tried."""

import copy
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData
from torch import nn

import mmsnn  # noqa: F401  registers the scope
from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.hardware import estimate
from mmsnn.models.backbones.strides import read_outputs

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=4)
#: All stages have one width, so that a head may read any of them.
WIDTH = 16
ARCH = dict(embed_dims=[WIDTH] * 4, depths=[1] * 5, num_heads=4)
STAGES = (2, 4, 8, 16, 16)
#: Strides of upstream's backbones; those of ResNets are the default.
STRIDES = dict(
    CSPDarknet=(8, 16, 32), CSPNeXt=(8, 16, 32), Darknet=(8, 16, 32),
    HourglassNet=(4, 4), SSDVGG=(8, 16), BiSeNetV1=(8, 16, 32),
    BiSeNetV2=(4, 8, 16, 32, 8), DDRNet=(8, 8), FastSCNN=(8, 32, 8),
    HRNet=(4, 8, 16, 32), ICNet=(16, 8, 4), MobileNetV3=(2, 4, 8),
    PIDNet=(8, 8, 8), STDCContextPathNet=(8, 8, 16, 8), EfficientNet=(8, 16,
                                                                      32))
#: Sides of the pictures, and those of detectors that need larger ones: a
#: deformable convolution has no padding beyond its own.
SIDE = dict(mmdet=128, mmseg=64)
LARGER = dict(DDOD=264)
#: The most regions or queries of a picture.
REGIONS = 32
PRODUCTS = ('conv', 'linear', 'matmul')
SYNAPSES = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def strides_of(backbone: dict) -> tuple[int, ...]:
    """Strides of the maps that an upstream backbone returns.

    Args:
        backbone (dict): Its config.

    Returns:
        tuple[int, ...]: One of each map.
    """
    kind = backbone['type'].split('.')[-1]
    if kind in STRIDES:
        return STRIDES[kind]
    indices = backbone.get('out_indices', (0, 1, 2, 3))
    indices = (indices, ) if isinstance(indices, int) else indices
    strides = 4 * np.cumprod([1, *backbone.get('strides', (1, 2, 2, 2))[1:]])
    if all(i in range(len(strides)) for i in indices):
        return tuple(int(strides[i]) for i in indices)
    return (4, 8, 16, 16)[-len(indices):]  # of a transformer with one stride


def spiking_backbone(strides: tuple[int, ...]) -> dict:
    """Config of a tiny E-SpikeFormer that gives as many maps.

    Args:
        strides (tuple[int, ...]): Strides of the maps it replaces.

    Returns:
        dict: With ``out_strides`` where its stages can be led to these, else
        with the strides of its own last stages.
    """
    config = dict(type='mmsnn.ESpikeFormer', arch=ARCH, neuron=NEURON)
    try:
        read_outputs(None, strides, STAGES)
    except ValueError:
        config['out_indices'] = tuple(range(5))[-len(strides):]
    else:
        config['out_strides'] = strides
    return config


def adapt(model: dict, framework: str) -> dict:
    """The config of a model with a spiking backbone, neck and heads.

    Args:
        model (dict): ``model`` of an upstream config.
        framework (str): ``'mmdet'`` or ``'mmseg'``.

    Returns:
        dict: A config of its own.
    """
    model = _plain(copy.deepcopy(model))
    model['data_preprocessor'].pop('batch_augments', None)
    if framework == 'mmseg':
        model['data_preprocessor'].pop('size_divisor', None)
        model['data_preprocessor']['size'] = (SIDE[framework], ) * 2
        model['test_cfg'] = dict(mode='whole')
    parts = [k for k, v in model.items() if _is_part(k, v)]
    model['backbone'] = spiking_backbone(strides_of(model['backbone']))
    neck = model.get('neck')
    for key in ['neck'] if neck else parts:
        first = model[key]
        for part in first[:1] if key == 'neck' and isinstance(
                first, list) else [first]:
            _set_width(part, key)
    if {'encoder', 'decoder'} & model.keys():  # the detector in one piece
        return _wrapped(model)
    for key in parts:
        part = model[key]
        model[key] = ([_wrapped(x) for x in part] if isinstance(part, list)
                      else _wrapped(part))
    return model


def _plain(config: Any) -> Any:
    """A config without weights to load and norms of several processes."""
    if isinstance(config, (list, tuple)):
        return type(config)(_plain(x) for x in config)
    if not isinstance(config, dict):
        return config
    config = {
        k: _plain(v)
        for k, v in config.items()
        if k != 'pretrained' and not (isinstance(v, dict) and v.get('type') ==
                                      'Pretrained')
    }
    if config.get('type') == 'SyncBN':
        config['type'] = 'BN'
    # Few regions are enough.
    sampler = config.get('sampler') or {}
    if sampler.get('num', 0) > REGIONS:
        sampler['num'] = REGIONS
    for key in ('max_per_img', 'num_queries'):
        if (config.get(key) or 0) > REGIONS:
            config[key] = REGIONS
    return config


def _is_part(key: str, value: Any) -> bool:
    return bool(value) and isinstance(value, (dict, list)) and (
        key == 'neck' or key.endswith(('_head', '_branch', 'shared_head'))
    ) and key != 'panoptic_fusion_head'


def _set_width(config: Any, key: str) -> None:
    """Say how wide the maps of the backbone are that a part reads."""
    if isinstance(config, list):
        for part in config:
            _set_width(part, key)
    elif isinstance(config, dict):
        for name, value in config.items():
            if name in ('in_channels', 'c1_in_channels', 'in_channel'):
                config[name] = ([WIDTH] * len(value) if isinstance(
                    value, (list, tuple)) else WIDTH)
            elif key == 'roi_head' and name.endswith('_head'):
                _set_width(value, key)


def _wrapped(module: dict) -> dict:
    return dict(type='mmsnn.SpikingModule', neuron=NEURON, module=module)


def pictures(framework: str, side: int, number: int = 2) -> dict:
    """Random pictures with two objects each.

    Args:
        framework (str): ``'mmdet'`` or ``'mmseg'``.
        side (int): Height and width.
        number (int): Of pictures. Defaults to 2.

    Returns:
        dict: ``inputs`` and ``data_samples``, as a data loader gives them.
    """
    generator = torch.Generator().manual_seed(1)
    make = _detection_sample if framework == 'mmdet' else _segmentation_sample
    return dict(
        inputs=[
            torch.randint(
                256, (3, side, side), generator=generator, dtype=torch.uint8)
            for _ in range(number)
        ],
        data_samples=[make(side, i) for i in range(number)])


def _detection_sample(side: int, number: int):
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks
    boxes = torch.tensor([[10., 10., 70., 70.], [60., 50., 120., 110.]])
    boxes = boxes * side / 128
    masks = np.zeros((2, side, side), np.uint8)
    labels = torch.full((1, side, side), 90)
    for i, (x0, y0, x1, y1) in enumerate(boxes.int().tolist()):
        masks[i, y0:y1, x0:x1] = 1
        labels[:, y0:y1, x0:x1] = i
    sample = DetDataSample(
        gt_instances=InstanceData(
            bboxes=HorizontalBoxes(boxes),
            labels=torch.tensor([0, 1]),
            masks=BitmapMasks(masks, side, side)),
        ignored_instances=InstanceData(
            bboxes=HorizontalBoxes(boxes[:0]),
            labels=torch.zeros(0, dtype=torch.long)),
        proposals=InstanceData(
            bboxes=boxes + 2, scores=torch.ones(2)),
        gt_sem_seg=PixelData(sem_seg=labels))
    sample.set_metainfo(
        dict(
            img_id=number, img_shape=(side, side), ori_shape=(side, side),
            pad_shape=(side, side), scale_factor=(1., 1.),
            border=np.array([0, side, 0, side]), flip=False,
            img_path=f'{number}.png'))
    return sample


def _segmentation_sample(side: int, number: int):
    from mmseg.structures import SegDataSample
    labels = torch.zeros(1, side, side, dtype=torch.long)
    labels[:, side // 4:side // 2, side // 4:] = 1
    labels[:, :2] = 255  # of no class
    return SegDataSample(
        gt_sem_seg=PixelData(data=labels),
        gt_edge_map=PixelData(data=(labels == 1).long()),
        metainfo=dict(
            img_shape=(side, side), ori_shape=(side, side),
            pad_shape=(side, side), img_path=f'{number}.png'))


def wake(model: nn.Module) -> None:
    """Weights under which neurons fire, whatever the initial ones.

    Args:
        model (nn.Module): Weights of its spiking synapses and norms are
            drawn again; norms take the statistics of what they see.
    """
    for module in model.modules():
        if isinstance(module, SYNAPSES) and hasattr(module, 'neuron'):
            nn.init.normal_(module.weight, std=2 / module.weight[0].numel()
                            **0.5)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -0.5, 1.5)
        elif isinstance(module, NORMS) and module.weight is not None:
            nn.init.uniform_(module.weight, 0.7, 1.5)
            nn.init.uniform_(module.bias, 0., 1.5)
            module.momentum = None


def real_products(trace) -> dict[str, float]:
    """Products of real values, beside the layer that reads the image.

    Args:
        trace (OpTrace): Of a converted model.

    Returns:
        dict[str, float]: MACs by path, numbers in paths written as ``*``.
    """
    found = {}
    for record in trace:
        if (record.kind in PRODUCTS and record.macs
                and record.module != 'backbone.stages.0.downsample.conv'):
            path = '.'.join('*' if p.isdigit() else p
                            for p in record.module.split('.'))
            found[path] = found.get(path, 0) + record.macs
    return found


def trial(framework: str, model: dict) -> Iterator[tuple[str, dict]]:
    """Try a model, step by step.

    Args:
        framework (str): ``'mmdet'`` or ``'mmseg'``.
        model (dict): Its config, as :func:`adapt` gives it.

    Yields:
        tuple[str, dict]: The step that was done (``build``, ``train``,
        ``predict``, ``proof``, ``estimate``), and what it found.
    """
    torch.manual_seed(0)
    kind = model.get('module', model)['type']
    data = pictures(framework, LARGER.get(kind, SIDE[framework]))
    with DefaultScope.overwrite_default_scope(framework):
        built = MODELS.build(ConfigDict(model))
        built.init_weights()
        wake(built)
        yield 'build', {}

        built.train()
        MessageHub.get_current_instance().update_info('iter', 0)
        inputs = built.data_preprocessor(copy.deepcopy(data), True)
        loss, _ = built.parse_losses(built(**inputs, mode='loss'))
        if not torch.isfinite(loss):
            raise ValueError(f'the loss is {float(loss)}')
        loss.backward()
        built.zero_grad()
        yield 'train', dict(loss=float(loss.detach()))

        built.eval()
        with torch.no_grad():
            built.test_step(copy.deepcopy(data))
        yield 'predict', {}

        double = copy.deepcopy(built).double()
        check = EqualityCheck(double, to_spike_train(double))
        with torch.no_grad():
            check.compare_calls(
                lambda: double.test_step(copy.deepcopy(data)),
                lambda: check.spiking.test_step(copy.deepcopy(data)))
        report = check.report
        yield 'proof', dict(
            equal=report.equal,
            neurons=report.total_neurons,
            silent=len(report.silent),
            report=str(report))

        with torch.no_grad(), to_spike_train(built, 'counts') as counting:
            counting.test_step(copy.deepcopy(data))
        trace = counting.trace
        macs = sum(r.macs for r in trace)
        dense = sum(r.dense_ops for r in trace if r.spiking)
        yield 'estimate', dict(
            energy_mj=estimate(trace, 'cmos45')['spiking_fp32'].energy_mj,
            real_share=macs / max(1, macs + dense),
            real=real_products(trace))


def try_config(framework: str, config: str) -> dict:
    """Try a config, up to the first step that fails.

    Args:
        framework (str): ``'mmdet'`` or ``'mmseg'``.
        config (str): Its path.

    Returns:
        dict: ``done`` (list of steps), what they found, ``seconds``, and, if
        one failed, ``failed`` (the step) and ``reason``.
    """
    start, found = time.time(), dict(done=[])
    steps = ['build', 'train', 'predict', 'proof', 'estimate']
    try:
        model = adapt(Config.fromfile(config).model, framework)
        for step, values in trial(framework, model):
            found['done'].append(step)
            found.update(values)
    except Exception as error:
        found['failed'] = steps[len(found['done'])]
        found['reason'] = f'{type(error).__name__}: {error}'
        found['where'] = _where(error)
    found['seconds'] = time.time() - start
    return found


def _where(error: Exception) -> str:
    """Innermost place of an error, for those who look for its cause."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    name = trace.tb_frame.f_code.co_filename.split('site-packages/')[-1]
    return f'{name}:{trace.tb_lineno}'
