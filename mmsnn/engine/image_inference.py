"""Run one image in spike-train form: what the model predicts, how much energy
it takes, and what is known of its latency."""

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import load_checkpoint
from mmengine.structures import BaseDataElement
from torch import nn

from mmsnn.checkpoints.fit import model_of
from mmsnn.conversion import Depth, NeuronDepth, to_spike_train
from mmsnn.files import whole_file
from mmsnn.hardware import Estimate, estimate, load_chips
from mmsnn.hardware.chips.spec import pricing_chip
from mmsnn.trace import OpTrace
from mmsnn.visualization import plot_image_result

from .cli import framework, tested_dataset
from .drawing import draw_prediction
from .provenance import processor


@dataclass(frozen=True)
class Latency:
    """What is known of the time that one image takes.

    Attributes:
        training_ms (float): Measured time of a ``test_step`` in training
            form, in ms.
        spiking_ms (float): Measured time of a ``test_step`` in spike-train
            form, on the same machine. It is no time of a neuromorphic chip.
        machine (str): Processor that both were measured on, and its threads.
        depth (Depth): The longest chain of neuron layers. Its sub-steps are
            the lossless synchronous latency, in which a layer fires when all
            its input has arrived; how long a sub-step takes is up to a chip.
    """

    training_ms: float
    spiking_ms: float
    machine: str
    depth: Depth


@dataclass(frozen=True)
class ImageResult:
    """One image in spike-train form.

    Attributes:
        name (str): File name of the image.
        form (str): ``'spikes'`` or ``'counts'``.
        prediction (BaseDataElement): Data sample of the framework, in
            spike-train form.
        drawn (np.ndarray): The prediction on the image, (H, W, 3), uint8,
            RGB.
        trace (OpTrace): What every op did.
        estimate (Estimate): Energy of the spiking form and of its twins, and
            on chips with cores also time.
        latency (Latency): What is known of the time.
    """

    name: str
    form: str
    prediction: BaseDataElement
    drawn: np.ndarray
    trace: OpTrace
    estimate: Estimate
    latency: Latency

    def rows(self) -> dict[str, list[str]]:
        """The result in words, for a terminal or beside the picture.

        Returns:
            dict[str, list[str]]: Heading -> lines below it.
        """
        latency = self.latency
        depth = latency.depth
        ran = dict(
            spikes='run sub-step by sub-step',
            counts='run as spike counts, nothing expanded')[self.form]
        energies = {
            f'energy per image, {e.title}': [
                *(f'{result.title}: {result.energy_mj:.4g} mJ'
                  for result in e.results
                  if not result.key.startswith('formula')), *e.verdicts,
                'Not charged: ' + '; '.join(e.not_charged) + '.'
            ]
            for e in self.estimate.operations
        }
        cores = [e.summary for e in self.estimate.on_chip] + [
            f'{chip}: not measured: {why}'
            for chip, why in self.estimate.failed.items()
        ]
        return {
            **energies,
            **({'chips with cores': cores} if cores else {}),
            f'time measured on {latency.machine}': [
                f'training form: {latency.training_ms:,.1f} ms',
                f'spike-train form, {ran}: {latency.spiking_ms:,.1f} ms',
                'These are no times of a neuromorphic chip.'
            ],
            'lossless synchronous latency': [
                f'{depth.substeps} sub-steps: on the longest path '
                f'{depth.layers} neuron layers fire one after the other, '
                'each for T x D sub-steps',
                'How long a sub-step takes is up to a chip.'
            ],
        }


def infer_image(image: str | Path,
                config: str | Path | Config,
                checkpoint: str | Path,
                form: str = 'spikes',
                chips: str | Sequence[str] = 'cmos45',
                device: str = 'cpu',
                score_thr: float = 0.3,
                repeats: int = 3) -> ImageResult:
    """Run one image in spike-train form.

    Args:
        image (str | Path): Image file.
        config (str | Path | Config): Config of a classifier (mmpretrain),
            detector (mmdet) or segmentor (mmseg) with spiking neurons.
        checkpoint (str | Path): Its weights, all of them.
        form (str): ``'spikes'`` or ``'counts'``, see
            :func:`mmsnn.conversion.to_spike_train`. Defaults to 'spikes'.
        chips (str | Sequence[str]): Names or paths of chip specs, one or
            many; ``'cmos45'`` is added where none prices operations. Defaults
            to 'cmos45'.
        device (str): Device to run on. Defaults to 'cpu'.
        score_thr (float): Lowest score of a detection that is drawn.
            Defaults to 0.3.
        repeats (int): Runs of each form of which the median time is taken,
            after one that is not timed. Defaults to 3.

    Returns:
        ImageResult: Prediction, picture, energy and latency.

    Raises:
        FileNotFoundError: If image, config or checkpoint do not exist.
        ValueError: If the image can't be read, the config is for another
            framework, there is no such chip, or the weights are of another
            model; the message names the file.
    """
    path = Path(image)
    pixels = _read(path)
    if repeats < 1:
        raise ValueError(f'repeats must be at least 1, but is {repeats}')
    if not isinstance(config, Config):
        config = Config.fromfile(config)
    scope = framework(config)
    specs = load_chips(chips)
    first = pricing_chip(specs)
    if first not in specs:
        specs.insert(0, first)
    with DefaultScope.overwrite_default_scope(scope):
        model = load_model(config, checkpoint, device)
        data = image_batch(config, path)
        spiking = to_spike_train(model, form)
        with NeuronDepth(model) as depth:
            _predict(model, data)
        with spiking:
            prediction = _predict(spiking, data)
        trace = spiking.trace
        times = [
            _median_ms(lambda: _predict(x, data), repeats)
            for x in (model, spiking)
        ]
        drawn = draw_prediction(scope, pixels, prediction,
                                model.dataset_meta, score_thr)
    return ImageResult(
        name=path.name,
        form=form,
        prediction=prediction,
        drawn=drawn,
        trace=trace,
        estimate=estimate(trace, specs, missing='report'),
        latency=Latency(
            *times,
            machine=f'{processor(device)}, {torch.get_num_threads()} threads',
            depth=depth.longest))


def load_model(config: Config, checkpoint: str | Path,
               device: str = 'cpu') -> nn.Module:
    """Build the model of a config, with all weights of a checkpoint.

    Types are looked up in the present default scope.

    Args:
        config (Config): Config with ``model``; as a Runner does, a
            ``data_preprocessor`` beside it is used where it has none.
        checkpoint (str | Path): File of weights.
        device (str): Device of the model. Defaults to 'cpu'.

    Returns:
        nn.Module: The model in eval mode, with ``dataset_meta``: that of the
        checkpoint, or else of the config's test dataset.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        CheckpointError: If the file is no checkpoint or holds more than data,
            or a key is missing, left over or of another shape; the message
            names it.
    """
    described = copy.deepcopy(config.model)
    if 'data_preprocessor' in config:
        described.setdefault('data_preprocessor', config.data_preprocessor)
    model = revert_sync_batchnorm(MODELS.build(described))
    with model_of(config):
        loaded = load_checkpoint(
            model, str(checkpoint), map_location='cpu', strict=True)
    meta = loaded.get('meta', {}).get('dataset_meta')
    if meta is None:
        meta = DATASETS.build(
            dict(tested_dataset(config), lazy_init=True)).metainfo
    model.dataset_meta = {k.lower(): v for k, v in meta.items()}
    return model.to(device).eval()


def image_batch(config: Config, path: str | Path) -> dict:
    """An image file as a batch of one, prepared by the test pipeline.

    What loads annotations is left out of the pipeline.

    Args:
        config (Config): Its test dataset has the pipeline.
        path (str | Path): The image file.

    Returns:
        dict: For a model's ``test_step``.
    """
    transforms = [
        t for t in tested_dataset(config).pipeline
        if 'Annotation' not in t['type']
    ]
    # Some pipelines pack an id into the sample.
    return pseudo_collate(
        [Compose(transforms)(dict(img_path=str(path), img_id=0))])


def write_picture(result: ImageResult, path: str | Path) -> None:
    """Write the drawn prediction beside energy and latency, as one picture.

    Args:
        result (ImageResult): From :func:`infer_image`.
        path (str | Path): File to write, e.g. a PNG; its folder is made.
    """
    figure = plot_image_result(
        result.drawn, result.estimate.operations[0], result.rows(),
        result.name)
    with whole_file(path) as part:
        figure.savefig(part, dpi=120)


def _read(path: Path) -> np.ndarray:
    """Image (H, W, 3), uint8, RGB."""
    if not path.is_file():
        raise FileNotFoundError(f'image {path} does not exist')
    data = np.fromfile(path, np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if pixels is None:
        raise ValueError(f'{path} is no image that OpenCV can read')
    return np.ascontiguousarray(pixels[..., ::-1])


@torch.no_grad()
def _predict(model: nn.Module, data: dict) -> BaseDataElement:
    """The prediction on CPU, which also waits for the device."""
    return model.test_step(copy.deepcopy(data))[0].cpu()


def _median_ms(run: Callable, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)
