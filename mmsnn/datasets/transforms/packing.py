"""The transform that packs frames for models."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS

from mmsnn.registry import TRANSFORMS

from .base import check_choice


@TRANSFORMS.register_module()
class PackEventInputs(BaseTransform):
    """Pack frames as upstream packs images.

    ``inputs`` is a tensor (T, C, H, W); ``data_samples`` is what mmpretrain's
    ``PackInputs`` or mmdet's ``PackDetInputs`` makes of the other keys.

    Required Keys:

    - frames
    - what upstream's transform packs, e.g. gt_label, gt_bboxes

    Args:
        task (str): 'cls' (mmpretrain) or 'det' (mmdet). Defaults to 'cls'.
        **kwargs: Passed to upstream's transform, e.g. ``meta_keys``.

    Example:
        The end of a pipeline::

            dict(type='mmsnn.PackEventInputs', task='det')
    """

    def __init__(self, task: str = 'cls', **kwargs) -> None:
        check_choice('task', task, ('cls', 'det'))
        if task == 'cls':
            kwargs.setdefault(
                'meta_keys', ('sample_idx', 'events_path', 'img_path',
                              'ori_shape', 'img_shape', 'scale_factor',
                              'flip', 'flip_direction'))
        name = dict(cls='mmpretrain.PackInputs', det='mmdet.PackDetInputs')
        self.upstream = ROOT_TRANSFORMS.build(
            dict(type=name[task], **kwargs))

    def transform(self, results: dict) -> dict:
        """Pack a sample.

        Args:
            results (dict): The sample: ``frames``, (T, C, H, W), and what
                upstream's transform packs.

        Returns:
            dict: ``inputs``, (T, C, H, W), and ``data_samples``.
        """
        import torch
        frames = np.ascontiguousarray(results['frames'])
        packed = self.upstream(
            {k: v for k, v in results.items() if k not in ('img', 'frames')})
        return dict(inputs=torch.from_numpy(frames), **packed)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.upstream})'
