"""torch.compile of the tiny digit segmentor: time to the first training step,
and of a step. An empty TORCHINDUCTOR_CACHE_DIR shows a first start."""

import copy
import os
import time
from pathlib import Path

import mmseg.models  # noqa: F401
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from timing import interleaved, parse_arguments, report

import mmsnn.models  # noqa: F401
from mmsnn.engine.compiling import compile_parts

CONFIG = (
    Path(__file__).parents[2] / 'configs' / 'semantic_fpn' /
    'espikeformer-tiny_semantic-fpn_sfa4_1xb8-2400i_digits-64x64.py')


def batch(size: int, images: int = 8) -> tuple:
    samples = []
    for _ in range(images):
        samples.append(SegDataSample(metainfo=dict(img_shape=(size, size))))
        samples[-1].gt_sem_seg = PixelData(
            data=torch.randint(0, 11, (1, size, size)))
    return torch.rand(images, 3, size, size), samples


def step_of(model, data):

    def run():
        model.zero_grad(set_to_none=True)
        model(*data, mode='loss')['decode.loss_ce'].backward()

    return run


def processor_time() -> float:
    """Seconds of this process and of those that compiled for it."""
    return sum(os.times()[:4])


def main() -> None:
    arguments = parse_arguments(
        __doc__.splitlines()[0], rounds=25,
        backend=dict(default='inductor'), mode=dict(default=None),
        size=dict(type=int, default=64))
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(Config.fromfile(CONFIG).model)
    data = batch(arguments.size)
    plain, compiled = step_of(copy.deepcopy(model), data), step_of(model, data)
    compile_parts(model, dict(backend=arguments.backend, mode=arguments.mode))
    plain()
    start, used = time.perf_counter(), processor_time()
    compiled()
    print(f'first step: {time.perf_counter() - start:.0f} s, of processors '
          f'{processor_time() - used:.0f} s')
    rows = []
    for what, clock in (('step', time.perf_counter),
                        ('step, time of the process', time.process_time)):
        seconds = interleaved(dict(plain=plain, compiled=compiled),
                              arguments.rounds, clock)
        rows.append(dict(
            what=f'training {what}, 8 images, {arguments.size} px',
            baseline='plain', candidate='compiled',
            baseline_ms=seconds['plain'] * 1e3,
            candidate_ms=seconds['compiled'] * 1e3,
            ratio=seconds['compiled'] / seconds['plain'],
            target=None, rounds=arguments.rounds))
    report(rows, arguments.json)


if __name__ == '__main__':
    main()
