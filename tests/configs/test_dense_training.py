"""One iteration of the COCO and ADE20K recipes, and one validation."""

import math
from pathlib import Path

import pytest
import torch

from mmsnn.engine.cli import build_runner

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

CONFIGS = {path.stem: path
           for path in Path(__file__).parents[2].glob('configs/*/*.py')}

# Small networks on small images, whose boxes all count; the folders are those
# of the recipes.
LOADERS = [f'{split}_dataloader.{key}'
           for split in ('train', 'val', 'test')
           for key in ('num_workers=0', 'persistent_workers=False')]
BACKBONE = [
    'model.backbone.arch._delete_=True',
    'model.backbone.arch.embed_dims=[8,8,16,16]',
    'model.backbone.arch.depths=[1,1,0,1,1]',
    'model.backbone.arch.num_heads=2',
    'model.neck.module.in_channels=[8,8,16,16]',
    'model.neck.module.out_channels=8']
DETECTION = [
    'train_cfg.max_epochs=1',
    'train_dataloader.dataset.pipeline.2.scales=[(96,64),(120,80)]',
    'val_dataloader.dataset.pipeline.1.scale=(96,64)',
    'test_dataloader.dataset.pipeline.1.scale=(96,64)']
TWO_STAGES = [
    *DETECTION,
    'model.test_cfg.rcnn.score_thr=1e-4',
    'model.rpn_head.module.in_channels=8',
    'model.rpn_head.module.feat_channels=8',
    'model.roi_head.module.bbox_roi_extractor.out_channels=8',
    'model.roi_head.module.mask_roi_extractor.out_channels=8',
    'model.roi_head.module.mask_head.in_channels=8',
    'model.roi_head.module.mask_head.conv_out_channels=8']
ONE_BOX_HEAD = [
    *TWO_STAGES,
    'model.roi_head.module.bbox_head.in_channels=8',
    'model.roi_head.module.bbox_head.fc_out_channels=8']
THREE_BOX_HEADS = [
    *TWO_STAGES,
    *(f'model.roi_head.module.bbox_head.{i}.{key}=8' for i in range(3)
      for key in ('in_channels', 'fc_out_channels'))]
ONE_STAGE = [
    *DETECTION,
    'model.test_cfg.score_thr=1e-4',
    'model.bbox_head.module.in_channels=8',
    'model.bbox_head.module.feat_channels=8']
SEGMENTATION = [
    'train_cfg.max_iters=1', 'train_cfg.val_interval=1',
    'train_dataloader.dataset.pipeline.2.scale=(128,64)',
    'train_dataloader.dataset.pipeline.3.crop_size=(64,64)',
    'val_dataloader.dataset.pipeline.1.scale=(128,64)',
    'test_dataloader.dataset.pipeline.1.scale=(128,64)',
    'model.data_preprocessor.size=(64,64)',
    'model.decode_head.module.in_channels=[8,8,8,8]',
    'model.decode_head.module.channels=8']
SMALL = {
    'mask-rcnn_espikeformer-10m_fpn_sfa4_1x_coco': ONE_BOX_HEAD,
    'mask-rcnn_metaspikeformer-15m_fpn_lif-t4_1x_coco': ONE_BOX_HEAD,
    'cascade-mask-rcnn_espikeformer-10m_fpn_sfa4_1x_coco': THREE_BOX_HEADS,
    'retinanet_metaspikeformer-15m_fpn_lif-t4_1x_coco': ONE_STAGE,
    'espikeformer-10m_semantic-fpn_sfa4_8xb2-160k_ade20k-512x512':
    SEGMENTATION,
    'metaspikeformer-15m_semantic-fpn_lif-t4_8xb2-160k_ade20k-512x512':
    SEGMENTATION,
}


@pytest.mark.parametrize('name', SMALL)
def test_one_epoch(name, request, from_command_line, validate_one_answer,
                   validate_truth):
    segments = 'ade20k' in name
    request.getfixturevalue('ade20k' if segments else 'coco')
    cfg = from_command_line(
        CONFIGS[name], LOADERS + BACKBONE + SMALL[name])
    runner = build_runner(cfg)
    model = runner.model
    before = {key: value.clone()
              for key, value in model.named_parameters()}
    runner.train()
    changed = {key.split('.')[0] for key, value in model.named_parameters()
               if not torch.equal(before[key], value)}
    # Whatever has weights has neurons, and learns.
    assert changed == {key for key, value in cfg.model.items()
                       if isinstance(value, dict) and 'neuron' in value}
    losses = {key: runner.message_hub.get_scalar(key).current()
              for key in runner.message_hub.log_scalars
              if key.startswith('train/') and 'loss' in key}
    assert losses and all(map(math.isfinite, losses.values()))
    masks = 'mask-rcnn' in name
    assert any('loss_mask' in key for key in losses) == masks
    if segments:  # IoU of 25% and of 0%
        found = validate_one_answer(
            runner, [model.decode_head.conv_seg], 2)
        expected = dict(mIoU=12.5)
    else:
        found = validate_truth(runner)
        expected = {f'coco/{kind}_mAP': 1.
                    for kind in ['bbox'] + ['segm'] * masks}
    for metric, value in expected.items():
        assert f'val/{metric}' in runner.message_hub.log_scalars
        assert found[metric] == value
    assert list(Path(cfg.work_dir).glob('*_1.pth'))
