"""Predictions drawn on their images."""

import copy

import numpy as np
from mmengine.structures import BaseDataElement, PixelData

#: Shorter edge, in pixels, that an image must have to be drawn on as it is.
LEAST_EDGE = 320


def draw_prediction(scope: str, pixels: np.ndarray, sample: BaseDataElement,
                    meta: dict, score_thr: float) -> np.ndarray:
    """Draw a prediction on its image, with the framework's own visualizer.

    Args:
        scope (str): 'mmpretrain', 'mmdet' or 'mmseg'.
        pixels (np.ndarray): The image, (H, W, 3), uint8, RGB.
        sample (BaseDataElement): Data sample with the prediction, on CPU.
        meta (dict): ``classes`` and ``palette`` of the dataset, where known.
        score_thr (float): Lowest score of a detection that is drawn.

    Returns:
        np.ndarray: (H', W', 3), uint8, RGB; a small image is enlarged by a
        whole number, so that lines and names can be read.
    """
    times = -(-LEAST_EDGE // min(pixels.shape[:2]))
    pixels = pixels.repeat(times, 0).repeat(times, 1)
    if scope == 'mmpretrain':
        from mmpretrain.visualization import UniversalVisualizer
        return UniversalVisualizer().visualize_cls(pixels, sample,
                                                   meta.get('classes'))
    sample = _enlarged(sample, times)
    if scope == 'mmdet':
        from mmdet.visualization import DetLocalVisualizer
        visualizer, options = DetLocalVisualizer(), dict(
            pred_score_thr=score_thr)
    else:
        from mmseg.visualization import SegLocalVisualizer
        visualizer, options = SegLocalVisualizer(alpha=0.5), {}
    # Where there are no colours, mmdet's visualizer can choose some; where
    # there are, it wants each to be a tuple.
    palette = meta.get('palette') or 'random'
    if not isinstance(palette, str):
        palette = [tuple(colour) for colour in palette]
    visualizer.dataset_meta = dict(meta, palette=palette)
    visualizer.add_datasample(
        'prediction', pixels, sample, draw_gt=False, **options)
    return visualizer.get_image()


def _enlarged(sample: BaseDataElement, times: int) -> BaseDataElement:
    """A copy of a prediction for the image that many times as large."""
    sample = copy.deepcopy(sample)

    def enlarge(maps):
        return maps.repeat_interleave(times, -2).repeat_interleave(times, -1)

    if 'pred_sem_seg' in sample:
        sample.pred_sem_seg = PixelData(data=enlarge(sample.pred_sem_seg.data))
    if 'pred_instances' in sample:
        instances = sample.pred_instances
        instances.bboxes = instances.bboxes * times
        if 'masks' in instances:
            instances.masks = enlarge(instances.masks)
    return sample
