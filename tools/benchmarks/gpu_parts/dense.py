"""A whole detector: training and inference; a whole segmentor and detector:
both forms fire the same spikes."""

import copy
from collections.abc import Callable
from functools import cache

import torch
from backbone import see_data
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmsnn import ZOO
from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.engine.neuron_key import map_neurons

from .classifier import RELU, TINY

DETECTOR = 'mask_rcnn/mask-rcnn_espikeformer-10m_fpn_sfa4_1x_coco.py'
SEGMENTOR = ('semantic_fpn/espikeformer-10m_semantic-fpn_sfa4_8xb2-160k_'
             'ade20k-512x512.py')
#: Share of spike counts that rounding may change in float32.
FLIPPED = 1e-4


@cache
def read(config: str) -> Config:
    """A config of the zoo; its bases take half a second."""
    return Config.fromfile(ZOO / 'configs' / config)


def zoo_model(bench, config: str, neuron: dict | None = None) -> nn.Module:
    """A model of the configs, not trained, on the device; its detector keeps
    boxes of any score."""
    cfg = read(config)
    init_default_scope(cfg.default_scope)
    model = copy.deepcopy(cfg.model)
    if neuron:
        model = map_neurons(model, lambda _: neuron)
    if 'rcnn' in (model.get('test_cfg') or {}):
        model.test_cfg.rcnn.update(
            score_thr=0., max_per_img=bench.size(100, 3))
        model.test_cfg.rpn.max_per_img = bench.size(1000, 10)
    if bench.dry_run:
        model.backbone.arch = TINY
        model.neck.module.in_channels = TINY['embed_dims']
    torch.manual_seed(0)
    return revert_sync_batchnorm(MODELS.build(model)).to(bench.device)


def detection_data(bench, number: int) -> dict:
    """A batch as a data loader gives it, with boxes and masks."""
    from mmdet.testing import demo_mm_inputs
    shape = (3, *bench.size((800, 1280), (64, 96)))
    return demo_mm_inputs(
        number, shape, num_items=[7] * number, num_classes=80,
        with_mask=True, device=bench.device)


def run_detector(bench) -> None:
    """Mask R-CNN on 10m, SFA against ReLU."""
    number = bench.size(
        max(1, min(8, bench.free_bytes() // 8_000_000_000)), 1)

    def training(neuron, half: bool) -> Callable:

        def build():
            model = zoo_model(bench, DETECTOR, neuron).train()
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
            scaler = torch.amp.GradScaler(bench.device.type, enabled=half)
            data = model.data_preprocessor(
                detection_data(bench, number), True)

            def run():
                optimizer.zero_grad()
                with torch.autocast(bench.device.type, torch.float16,
                                    enabled=half):
                    losses = model(**copy.copy(data), mode='loss')
                    loss = model.parse_losses(losses)[0]
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()

            return run

        return build

    def inference(neuron, half: bool) -> Callable:

        def build():
            model = zoo_model(bench, DETECTOR, neuron).eval()
            data = detection_data(bench, 1)

            def run():
                with torch.no_grad(), torch.autocast(
                        bench.device.type, torch.float16, enabled=half):
                    model.test_step(copy.copy(data))

            return run

        return build

    size = 'x'.join(map(str, bench.size((800, 1280), (64, 96))))
    # mmcv's RoIAlign takes float16 on GPUs alone.
    for half in (False, True) if bench.cuda else (False, ):
        kind = 'float16 autocast' if half else 'float32'
        for number_of, make, what in ((number, training, 'training step'),
                                      (1, inference, 'inference')):
            bench.compare(
                f'Mask R-CNN on 10m, {what}, {number_of} x {size}, {kind}',
                dict(ReLU=make(RELU, half), SFA=make(None, half)), number_of,
                0.35)


def segmentation_data(bench) -> dict:
    """An image as a data loader gives it."""
    from mmseg.structures import SegDataSample
    size = bench.size((512, 512), (64, 64))
    meta = dict(ori_shape=size, img_shape=size, pad_shape=size)
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    return dict(inputs=[image], data_samples=[SegDataSample(metainfo=meta)])


def let_fire(model: nn.Module) -> None:
    """Untrained heads without norms hardly fire: larger weights, biases."""
    for name, module in model.named_modules():
        if not name.startswith('backbone') and isinstance(
                module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            module.weight.data *= 3
            if module.bias is not None:
                module.bias.data.uniform_(-0.5, 1)


def run_equality(bench) -> None:
    """Compare spike counts of the training form with both others, and what
    these count."""
    for name, config, make_data in (
            ('segmentor', SEGMENTOR, segmentation_data),
            ('detector', DETECTOR, lambda b: detection_data(b, 1))):
        try:
            prove(bench, name, config, make_data(bench))
        except Exception as error:
            bench.fault(f'equality, {name}', error)


def prove(bench, name: str, config: str, data: dict) -> None:
    """Rows for a model, in both types."""
    model = zoo_model(bench, config)
    let_fire(model)
    inputs = model.data_preprocessor(copy.deepcopy(data), False)['inputs']
    see_data(model, lambda: model.extract_feat(inputs))
    for dtype in (torch.float64, torch.float32):
        training = copy.deepcopy(model).to(dtype).eval()
        sops = {}
        for form in ('counts', 'spikes'):
            spiking = to_spike_train(training, form)
            check = EqualityCheck(training, spiking)
            with spiking:
                check.compare_calls(
                    lambda: training.test_step(copy.deepcopy(data)),
                    lambda: spiking.test_step(copy.deepcopy(data)))
            report = check.report
            sops[form] = spiking.trace.total('sops')
            layers = len(report.rows)
            bench.add(
                f'equality, {name}', f'{form} form', note=f'{report}; '
                f'{layers - len(report.silent)} of {layers} layers fired')
            most = 0 if dtype == torch.float64 else (
                FLIPPED * report.total_neurons)
            if report.total_differences > most or (
                    dtype == torch.float64 and not report.equal) or (
                        len(report.silent) == layers):
                bench.fault(f'equality, {name}, {form} form', str(report))
        if dtype == torch.float64 and len(set(sops.values())) != 1:
            bench.fault(f'equality, {name}', f'SOPs differ: {sops}')
