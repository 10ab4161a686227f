"""Pictures of an evaluation: samples with the predictions of both forms."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from mmengine.dist import all_gather_object

from mmsnn.visualization import (
    Objects,
    PictureSample,
    plot_classifications,
    plot_detections,
    plot_predictions,
)
from mmsnn.visualization.event_frames import colour_frames

#: Stands for every label that is no class.
IGNORED = 255

#: Objects that are detected with a lower score are not shown.
LEAST_SCORE = 0.3


class PictureCollector:
    """Keeps the first samples of an evaluation, with both predictions.

    Classification by one label, detection and segmentation have pictures;
    other tasks keep nothing.

    Args:
        number (int): Samples to keep.
        metainfo (dict): Of the dataset: ``classes`` and ``palette``.

    Attributes:
        samples (list[PictureSample]): What was kept.
    """

    def __init__(self, number: int, metainfo: dict) -> None:
        self.number = number
        self.metainfo = metainfo
        self.samples: list[PictureSample] = []
        self._task = ''  # what the model predicts, see _TASKS

    def add(self, data_batch: dict, spiking: Sequence,
            training: Sequence | None) -> None:
        """Look at a batch, for as long as samples are wanted.

        Args:
            data_batch (dict): What the data loader gave.
            spiking (Sequence): Predictions in spike-train form.
            training (Sequence, optional): Predictions in training form.
        """
        images = data_batch.get('inputs') if isinstance(data_batch,
                                                        dict) else None
        if images is None:
            return
        training = training or [None] * len(spiking)
        for image, second, first in zip(images, spiking, training):
            task = _task(second)
            if task is None or len(self.samples) >= self.number:
                return
            self._task = task
            name = str(getattr(second, 'img_path', '')).rpartition('/')[-1]
            self.samples.append(
                replace(_TASKS[task](image, second, first), name=name))

    def gather(self) -> None:
        """Keep the first samples of all processes, in the order of these. All
        must call it at the same time."""
        found = all_gather_object((self._task, self.samples))
        self._task = next((task for task, _ in found if task), '')
        self.samples = [x for _, samples in found for x in samples
                        ][:self.number]

    def pictures(self) -> list[tuple[str, Figure, str]]:
        """Draw what was kept.

        Returns:
            list[tuple[str, Figure, str]]: File name, figure and caption of
            each picture; empty if nothing was kept.
        """
        if not self.samples:
            return []
        classes, palette = self._classes_and_palette()
        if self._task == 'pred_sem_seg':
            figure = plot_predictions(self.samples, classes, palette, IGNORED)
            caption = ('Predictions beside the ground truth, in training '
                       'form and in spike-train form.')
        elif self._task == 'pred_instances':
            figure = plot_detections(self.samples, classes, palette or None)
            caption = ('Annotated objects, and those detected in training '
                       'form and in spike-train form with a score of at '
                       f'least {LEAST_SCORE}.')
        else:
            figure = plot_classifications(self.samples, classes)
            caption = ('Images with their class and what both forms '
                       'predict.')
        return [('predictions.png', figure, caption)]


    def _classes_and_palette(self) -> tuple[list[str], list[tuple]]:
        """Names and colours of all labels, also of those that the dataset
        has none for. An annotated pixel of such a label is ignored."""
        classes = list(self.metainfo.get('classes') or ())
        palette = self.metainfo.get('palette')
        palette = list(palette) if isinstance(palette, (list, tuple)) else []
        of_pixels = self._task == 'pred_sem_seg'
        seen = [-1]
        for sample in self.samples:
            if of_pixels and classes and sample.truth is not None:
                sample.truth[sample.truth >= len(classes)] = IGNORED
            for shown in (sample.truth, sample.training, sample.spike_train):
                if shown is not None:
                    labels = np.ravel(getattr(shown, 'labels', shown))
                    seen += labels[~(of_pixels & (labels == IGNORED))].tolist()
        classes += [f'class {i}' for i in range(len(classes), max(seen) + 1)]
        if of_pixels or palette:
            colours = colormaps['tab20'].colors
            palette += [
                tuple(round(255 * x) for x in colours[i % 20])
                for i in range(len(palette), len(classes))
            ]
        return classes, palette[:len(classes)]


def _task(sample) -> str | None:
    """What of :data:`_TASKS` a data sample holds."""
    task = next((key for key in _TASKS if key in sample), None)
    if task == 'pred_label' and any(
            sample.get(key).numel() != 1 for key in ('pred_label', 'gt_label')
            if key in sample):
        return None  # each image has as many labels as it likes
    return task


def _rgb(image) -> np.ndarray:
    """(C, H, W) tensor in OpenCV's channel order to (H, W, 3) RGB; events of
    all time steps together of frames, (T, C, H, W)."""
    array = image.cpu().numpy()
    if array.ndim == 4:
        return colour_frames(array.sum(0, keepdims=True))[0]
    array = array.transpose(1, 2, 0)
    if array.shape[2] == 3:
        return np.ascontiguousarray(array[..., ::-1]).astype(np.uint8)
    return np.repeat(array[..., :1], 3, axis=2).astype(np.uint8)


def _both_forms(key: str, read: Callable[[Any], Any], spiking,
                training) -> dict[str, Any]:
    """Annotation and both predictions, read from data samples; None where
    there is none."""

    def find(sample, name):
        if sample is None or name not in sample:
            return None
        return read(sample.get(name))

    return dict(
        truth=find(spiking, f'gt_{key}'),
        training=find(training, f'pred_{key}'),
        spike_train=find(spiking, f'pred_{key}'))


def _segmentation(image, spiking, training) -> PictureSample:
    found = _both_forms(
        'sem_seg', lambda x: x.data.squeeze(0).cpu().numpy().copy(), spiking,
        training)
    height, width = found['spike_train'].shape
    return PictureSample(cv2.resize(_rgb(image), (width, height)), **found)


def _classification(image, spiking, training) -> PictureSample:
    return PictureSample(
        _rgb(image),
        **_both_forms('label', lambda x: int(x[0]), spiking, training))


def _detection(image, spiking, training) -> PictureSample:
    """Boxes and masks are in pixels of the original image: of detections by
    themselves; of annotations where they are loaded after resizing, as in
    mmdet's own test pipelines."""
    found = _both_forms('instances', _objects, spiking, training)
    truth = found['truth']
    if truth is not None and found['spike_train'].masks is None:
        found['truth'] = replace(truth, masks=None)  # compared with nothing
    height, width = spiking.ori_shape[:2]
    across, down = spiking.get('scale_factor', (1, 1))
    # Without what was padded.
    shown = _rgb(image)[:round(height * down), :round(width * across)]
    return PictureSample(cv2.resize(shown, (width, height)), **found)


def _objects(instances) -> Objects:
    """mmdet's instances, without those of low score."""
    scores = masks = None
    if 'scores' in instances:
        instances = instances[instances.scores >= LEAST_SCORE]
        scores = instances.scores.cpu().numpy()
    boxes = instances.bboxes
    boxes = getattr(boxes, 'tensor', boxes)  # mmdet's boxes
    if 'masks' in instances:
        masks = instances.masks
        masks = masks.to_ndarray() if hasattr(
            masks, 'to_ndarray') else masks.cpu().numpy()
    return Objects(boxes.cpu().numpy(), instances.labels.cpu().numpy(), scores,
                   masks)


#: What a data sample holds -> how to read it.
_TASKS = dict(
    pred_sem_seg=_segmentation,
    pred_instances=_detection,
    pred_label=_classification)
