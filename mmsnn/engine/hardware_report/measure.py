"""Test images of a config through a model in spike-train form."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmsnn.conversion import FreeRunningRun, SpikeTrainModel, to_spike_train
from mmsnn.engine.cli import framework, set_loader_defaults
from mmsnn.engine.image_inference import load_model
from mmsnn.trace import OpTrace
from mmsnn.visualization.metrics import numbers_of

from .free_running import measure_free_running
from .spike_maps import spike_maps


@dataclass
class Measured:
    """What images through a model gave.

    Attributes:
        trace (OpTrace): Of all images.
        one_size (OpTrace): Of those of the commonest size.
        maps (dict[str, ndarray]): Spike maps of the first image.
        metrics (dict[str, float]): In spike-train form, those that are
            numbers; empty if not asked for.
        free_running (FreeRunningRun | str | None): The first image in that
            form; why it was not measured; None if not asked for.
    """

    trace: OpTrace
    one_size: OpTrace
    maps: dict[str, np.ndarray] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    free_running: FreeRunningRun | str | None = None


def measure(config: Config,
            checkpoint: str | Path,
            images: int = 16,
            device: str = 'cpu',
            metrics: bool = False,
            free_running: bool = False) -> Measured:
    """Run test images of a config, one by one, in spike-train form.

    Args:
        config (Config): Of a classifier, detector or segmentor.
        checkpoint (str | Path): Its weights.
        images (int): Number of images; 0 for the whole test set. Defaults to
            16.
        device (str): Device to run on. Defaults to 'cpu'.
        metrics (bool): Also evaluate the config's metrics on them.
        free_running (bool): Also measure how wrong firing while input still
            arrives is, and what it costs, on the first image.

    Returns:
        Measured: The traces and what else was asked for.

    Raises:
        ValueError: If ``images`` is negative, or the test set is empty.
    """
    if images < 0:
        raise ValueError(f'images must be 0 (all) or more, but is {images}')
    scope = framework(config)
    if scope == 'mmpretrain':
        set_loader_defaults(config)
    with DefaultScope.overwrite_default_scope(scope):
        model = load_model(config, checkpoint, device)
        loader = Runner.build_dataloader(
            dict(config.test_dataloader, batch_size=1, num_workers=0,
                 persistent_workers=False))
        spiking = to_spike_train(model, 'counts')
        evaluator = _evaluator(config, loader) if metrics else None
        sizes = _record(spiking, islice(loader, images or None), evaluator)
        if not sizes:
            raise ValueError('the test dataset of the config holds no image')
        trace = one_size = spiking.trace
        most = max(set(sizes), key=sizes.count)
        if len(set(sizes)) > 1:
            _record(spiking, (batch for size, batch in zip(sizes, loader)
                              if size == most))
            one_size = spiking.trace
        first = next(iter(loader))
        return Measured(
            trace, one_size, spike_maps(spiking, first),
            numbers_of(evaluator.evaluate(len(sizes))) if evaluator else {},
            measure_free_running(model, first) if free_running else None)


def _evaluator(config: Config, loader) -> Evaluator:
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = loader.dataset.metainfo
    return evaluator


def _record(spiking: SpikeTrainModel, batches: Iterable,
            evaluator: Evaluator | None = None) -> list[tuple]:
    """Record a trace; returns the shape of the image of each batch."""
    shapes = []
    with spiking:
        for batch in batches:
            outputs = spiking.test_step(batch)
            shapes.append(spiking.image_shape)
            if evaluator is not None:
                evaluator.process(data_samples=outputs, data_batch=batch)
    return shapes
