"""Evaluation with SpikeInferenceHook against mmengine's own, whole runs."""

import os
import tempfile
import time
from pathlib import Path

from mmengine.config import Config

from mmsnn import ZOO
from mmsnn.engine.cli import build_runner

CONFIG = ('semantic_fpn/espikeformer-tiny_semantic-fpn_sfa4_1xb8-2400i_'
          'digits-64x64.py')


def run_hook(bench) -> None:
    """Seconds of a test of a tiny segmentor on digit scenes."""
    images = bench.size(256, 4)
    plain = None
    with tempfile.TemporaryDirectory() as folder:
        os.environ['MMSNN_DATA'] = folder
        if not bench.dry_run:  # makes the data
            evaluate(Path(folder), '', images)
        for form in bench.size(('', 'counts', 'spikes'), ('', 'spikes')):
            try:
                start = time.perf_counter()
                differ = evaluate(Path(folder), form, images)
                seconds = time.perf_counter() - start
            except Exception as error:
                bench.fault(f'evaluation in {form or "plain"} form', error)
                continue
            if differ:
                bench.fault(f'evaluation in {form} form',
                            f'{differ:.0f} spike counts differ in float64')
            if not form:
                plain = seconds
            bench.add(f'a test run, {images} images of 64x64',
                      f'SpikeInferenceHook, {form}' if form else 'no hook',
                      **({} if bench.dry_run else dict(
                          ms=seconds * 1e3, ratio=plain and seconds / plain,
                          images=images / seconds)))


def evaluate(folder: Path, form: str, images: int) -> float:
    """Test, and return how many spike counts differ in float64."""
    cfg = Config.fromfile(ZOO / 'configs' / CONFIG)
    cfg.launcher = 'none'
    cfg.work_dir = str(folder / f'work_{form}')
    cfg.custom_hooks = [
        dict(type='mmsnn.SpikeInferenceHook', form=form)] if form else []
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[name].update(num_workers=0, persistent_workers=False)
        cfg[name].dataset.update(scenes=dict(train=8, val=images))
    runner = build_runner(cfg)
    runner.test()
    if not form:
        return 0.
    name = 'test/spike_differences_float64'
    return runner.message_hub.get_scalar(name).current()
