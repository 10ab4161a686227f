"""The hook in a real Runner, on a tiny detector; and its pictures."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmsnn.engine.cli import build_runner
from mmsnn.engine.pictures import PictureCollector

pytest.importorskip('mmdet')
from mmdet.structures import DetDataSample  # noqa: E402
from mmdet.structures.bbox import HorizontalBoxes  # noqa: E402
from mmdet.structures.mask import BitmapMasks, PolygonMasks  # noqa: E402

WIDTHS = [8, 8, 16, 16]
NEURON = dict(type='mmsnn.SFANeuron', max_spikes=4)


def spiking(**module):
    return dict(type='mmsnn.SpikingModule', neuron=NEURON, module=module)


@pytest.fixture
def config(tmp_path):
    loader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='mmsnn.DigitScenes',
            root=str(tmp_path / 'digits'),
            task='det',
            split='val',
            scenes=dict(train=4, val=5),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='Resize', scale=(96, 96), keep_ratio=True),
                dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
                dict(
                    type='PackDetInputs',
                    meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                               'scale_factor'))
            ]))
    evaluator = dict(
        type='CocoMetric',
        ann_file=str(tmp_path / 'digits/det/annotations/instances_val.json'))
    return Config(
        dict(
            default_scope='mmdet',
            work_dir=str(tmp_path / 'work'),
            launcher='none',
            model=dict(
                type='FCOS',
                data_preprocessor=dict(
                    type='DetDataPreprocessor', mean=[60.] * 3,
                    std=[60.] * 3, pad_size_divisor=32),
                backbone=dict(
                    type='mmsnn.ESpikeFormer',
                    arch=dict(embed_dims=WIDTHS, depths=[1, 1, 1, 1, 1]),
                    out_indices=(1, 2, 3, 4),
                    neuron=NEURON),
                neck=spiking(
                    type='FPN', in_channels=WIDTHS, out_channels=16,
                    num_outs=4),
                bbox_head=spiking(
                    type='FCOSHead', num_classes=10, in_channels=16,
                    feat_channels=16, stacked_convs=1,
                    strides=[4, 8, 16, 16], norm_cfg=None,
                    regress_ranges=((-1, 16), (16, 32), (32, 64),
                                    (64, 1e8))),
                test_cfg=dict(
                    nms_pre=50, min_bbox_size=0, score_thr=0.05,
                    nms=dict(type='nms', iou_threshold=0.5),
                    max_per_img=5)),
            test_dataloader=loader,
            test_cfg=dict(),
            test_evaluator=evaluator,
            custom_hooks=[dict(type='mmsnn.SpikeInferenceHook', pictures=3)],
            randomness=dict(seed=0),
            visualizer=dict(
                type='DetLocalVisualizer',
                vis_backends=[dict(type='LocalVisBackend')])))


def test_report_of_a_detector(config, tmp_path):
    config.custom_hooks[0].update(dtype='float64', proof_dtypes=['float64'])
    runner = build_runner(config)
    head = runner.model.bbox_head  # so that it detects something
    torch.nn.init.normal_(head.conv_cls.weight)
    head.conv_centerness.bias.data.fill_(2)
    head.conv_cls.bias.data.fill_(0)
    metrics = runner.test()
    folder = tmp_path / 'work' / 'spike_inference' / 'test'
    assert {'report.html', 'predictions.png', 'energy.json', 'energy.csv',
            'trace.json'} <= {p.name for p in folder.iterdir()}
    trace = json.loads((folder / 'trace.json').read_text())
    assert trace['images'] == 5
    nms, = [r for r in trace['records'] if r['op'] == 'nms']
    assert nms['module'] == 'bbox_head' and nms['calls'] == 5
    scalar = runner.message_hub.get_scalar
    assert scalar('test/spike_differences_float64').current() == 0
    name = 'coco/bbox_mAP_50'
    assert metrics[name] == scalar(f'test/training_form_{name}').current()
    html = (folder / 'report.html').read_text()
    assert 'score of at least 0.3' in html and ', in float64.' in html
    assert runner.model.bbox_head is head
    assert head.conv_cls.weight.dtype == torch.float32


def sample(boxes, labels, scores, masks, truth, truth_masks):
    """Predictions and annotations on an original image of 20 x 40, which
    was shown as 40 x 80."""
    return DetDataSample(
        metainfo=dict(ori_shape=(20, 40), img_shape=(40, 80),
                      scale_factor=(2., 2.), img_path='folder/scene.png'),
        pred_instances=InstanceData(
            bboxes=torch.tensor(boxes).view(-1, 4),
            labels=torch.tensor(labels),
            scores=torch.tensor(scores), masks=masks),
        gt_instances=InstanceData(
            bboxes=truth, labels=torch.tensor([1]), masks=truth_masks))


@pytest.mark.parametrize('kind', [BitmapMasks, PolygonMasks])
def test_a_detection_sample_is_in_pixels_of_the_original_image(kind):
    # Resized by two, then padded at the right and below.
    shown = torch.zeros(3, 48, 96, dtype=torch.uint8)
    shown[0, :40, :80] = 255  # blue: OpenCV's order
    shown[2, :40, 40:80] = 255  # the right half is magenta
    masks = torch.zeros(2, 20, 40, dtype=torch.bool)
    masks[1, 2:6, 3:9] = True
    polygon = [[np.array([3., 2, 9, 2, 9, 6, 3, 6])]]
    truth_masks = PolygonMasks(polygon, 20, 40)
    if kind is BitmapMasks:
        truth_masks = BitmapMasks(masks[1:].numpy().astype(np.uint8), 20, 40)
    spikes = sample([[0., 0, 5, 5], [3, 2, 9, 6]], [0, 1], [0.2, 0.9], masks,
                    HorizontalBoxes(torch.tensor([[3., 2, 9, 6]])),
                    truth_masks)
    training = sample([[3., 2, 9, 7.]], [1], [0.8], masks[1:],
                      torch.tensor([[3., 2, 9, 6]]), truth_masks)
    collector = PictureCollector(2, dict(classes=('zero', 'one')))
    collector.add(dict(inputs=[shown]), [spikes], [training])
    collector.add(dict(inputs=[shown]), [spikes], None)
    found, other = collector.samples
    assert found.image.shape == (20, 40, 3) and found.name == 'scene.png'
    assert (found.image[:, :19] == [0, 0, 255]).all()
    assert (found.image[:, 21:] == [255, 0, 255]).all()
    # The first has too low a score.
    assert found.spike_train.boxes.tolist() == [[3, 2, 9, 6]]
    assert found.spike_train.labels.tolist() == [1]
    assert found.truth.boxes.tolist() == [[3, 2, 9, 6]]
    assert found.truth.scores is None
    expected = masks[1].numpy()
    assert np.array_equal(found.truth.masks[0].astype(bool), expected)
    assert np.array_equal(found.spike_train.masks[0], expected)
    assert other.training is None
    # A detector of boxes: masks would be compared with nothing.
    del spikes.pred_instances.masks
    boxes_only = PictureCollector(1, dict(classes=('zero', 'one')))
    boxes_only.add(dict(inputs=[shown]), [spikes], None)
    assert boxes_only.samples[0].truth.masks is None
    (name, figure, caption), = collector.pictures()
    assert name == 'predictions.png' and len(figure.axes) == 6
    assert figure.axes[2].get_xlabel() == (
        'boxes differ by up to 1 px, scores by up to 0.1,\n'
        'masks in 0 pixels')
