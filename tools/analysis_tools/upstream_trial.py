"""One config of mmdet or mmseg behind a tiny spiking backbone, tried."""

import copy
import re
import time
from collections.abc import Iterator

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData
from torch import nn
from upstream_configs import adapt, side_of

import mmsnn  # noqa: F401  registers the scope
from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.conversion.upstream.copying import detached_copy
from mmsnn.hardware import estimate

PRODUCTS = ('conv', 'linear', 'matmul')
SYNAPSES = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def pictures(framework: str, side: int, number: int = 2,
             with_masks: bool = True, with_proposals: bool = False) -> dict:
    """Random pictures with two objects each.

    Args:
        framework (str): ``'mmdet'`` or ``'mmseg'``.
        side (int): Height and width.
        number (int): Of pictures. Defaults to 2.
        with_masks (bool): With masks of the objects. Defaults to True.
        with_proposals (bool): With regions, for detectors that propose none
            themselves. Defaults to False.

    Returns:
        dict: ``inputs`` and ``data_samples``, as a data loader gives them.
    """
    generator = torch.Generator().manual_seed(1)
    make = _detection_sample if framework == 'mmdet' else _segmentation_sample
    samples = [make(side, i) for i in range(number)]
    for sample in samples if framework == 'mmdet' else []:
        if not with_masks:
            del sample.gt_instances.masks
        if with_proposals:
            sample.proposals = InstanceData(
                bboxes=sample.gt_instances.bboxes.tensor + 2,
                scores=torch.ones(2))
    return dict(
        inputs=[
            torch.randint(
                256, (3, side, side), generator=generator, dtype=torch.uint8)
            for _ in range(number)
        ],
        data_samples=samples)


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
            # Boxes must not leave the picture altogether.
            size = 0.1 if len(module.weight) == 4 else 1
            fan_in = module.weight[0].numel()
            nn.init.normal_(module.weight, std=2 * size / fan_in**0.5)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -0.5 * size, 1.5 * size)
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


def trial(framework: str, model: dict,
          with_masks: bool = True) -> Iterator[tuple[str, dict]]:
    """Try a model, step by step.

    Args:
        framework (str): ``'mmdet'`` or ``'mmseg'``.
        model (dict): Its config, as :func:`adapt` gives it.
        with_masks (bool): Whether it learns from masks. Defaults to True.

    Yields:
        tuple[str, dict]: The step that was done (``build``, ``train``,
        ``predict``, ``proof``, ``estimate``), and what it found.
    """
    torch.manual_seed(0)
    data = pictures(
        framework, side_of(model, framework), with_masks=with_masks,
        with_proposals=model['type'] == 'FastRCNN')
    with DefaultScope.overwrite_default_scope(framework):
        built = MODELS.build(ConfigDict(model))
        built.init_weights()
        wake(built)
        yield 'build', {}

        built.train()
        MessageHub.get_current_instance().update_info('iter', 0)
        MessageHub.get_current_instance().update_info('epoch', 0)
        inputs = built.data_preprocessor(copy.deepcopy(data), True)
        loss, _ = built.parse_losses(built(**inputs, mode='loss'))
        if not torch.isfinite(loss):
            raise ValueError(f'the loss is {float(loss)}')
        loss.backward()
        built.zero_grad()
        yield 'train', dict(loss=float(loss.detach()))

        built.eval()
        data = {key: values[:1] for key, values in data.items()}
        with torch.no_grad():
            _predict(built, data)
        yield 'predict', {}

        double = detached_copy(built).double()
        check = EqualityCheck(double, to_spike_train(double))
        with torch.no_grad():
            check.compare_calls(
                lambda: _predict(double, data),
                lambda: _predict(check.spiking, data))
        report = check.report
        yield 'proof', dict(
            equal=report.equal,
            layers=len(report.rows),
            silent=report.silent,
            report=str(report))

        with torch.no_grad(), to_spike_train(built, 'counts') as counting:
            _predict(counting, data)
        trace = counting.trace
        macs = sum(r.macs for r in trace)
        dense = sum(r.dense_ops for r in trace if r.spiking)
        yield 'estimate', dict(
            energy_mj=estimate(trace, 'cmos45')['spiking_fp32'].energy_mj,
            real_share=macs / max(1, macs + dense),
            real=real_products(trace))


def _predict(model: nn.Module, data: dict) -> list:
    """A test step, with the random numbers that upstream code draws in it
    (the bases of SegNeXt's head)."""
    torch.manual_seed(0)
    return model.test_step(copy.deepcopy(data))


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
        upstream = Config.fromfile(config)
        masks = any(step.get('with_mask') or 'Panoptic' in step['type']
                    for step in upstream.get('train_pipeline', []))
        model = adapt(upstream.model, framework)
        for step, values in trial(framework, model, masks):
            found['done'].append(step)
            found.update(values)
    except Exception as error:
        found['failed'] = steps[len(found['done'])]
        found['reason'] = _reason(error)
        found['where'] = _where(error)
    found['seconds'] = time.time() - start
    return found


def _reason(error: Exception) -> str:
    missing = re.match(
        r'(\w+?)(_forward)?_impl: implementation for device cpu', str(error))
    if missing:
        return f"mmcv's {missing[1]} has no form for the CPU"
    return f'{type(error).__name__}: {error}'


def _where(error: Exception) -> str:
    """Innermost place of an error, for those who look for its cause."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    name = trace.tb_frame.f_code.co_filename.split('site-packages/')[-1]
    return f'{name}:{trace.tb_lineno}'
