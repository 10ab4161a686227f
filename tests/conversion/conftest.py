import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import nn

from mmsnn.models.published import classifier_config
from mmsnn.neurons import is_spiking

WIDTHS = [16, 24, 32, 40]


def calibrate(model, run, gain=1.):
    """Random norms, and running statistics that fit the weights, so that
    every neuron fires, those of attention included."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.weight.data.uniform_(0.7 * gain, 1.5 * gain)
            module.bias.data.uniform_(0, 1.5 * gain)
            module.momentum = None  # the mean over all batches
    model.train()
    with torch.no_grad():
        for _ in range(4):
            run()
    return model.eval()


def build_classifier(max_spikes=4):
    """A tiny classifier, in eval mode."""
    torch.manual_seed(max_spikes)
    model = MODELS.build(
        classifier_config(WIDTHS, [1, 1, 1, 1, 1], 4, 5, max_spikes))
    calibrate(model, lambda: model.backbone(torch.randn(4, 3, 37, 50)),
              gain=max(1, max_spikes / 4))
    silent = []

    def note(name):

        def hook(module, args, output):
            if not output.any():
                silent.append(name)

        return hook

    handles = [
        m.register_forward_hook(note(k)) for k, m in model.named_modules()
        if is_spiking(m)
    ]
    with torch.no_grad():
        model(images())
    for handle in handles:
        handle.remove()
    assert not silent
    return model


def images(number=2, height=37, width=50, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(
        number, 3, height, width, generator=generator).to(dtype)


@pytest.fixture(scope='session')
def make_images():
    return images


@pytest.fixture(scope='session')
def classifiers():
    """``classifiers(max_spikes)``: built once per D. Tests leave them as
    they are."""
    made = {}

    def get(max_spikes=4):
        if max_spikes not in made:
            made[max_spikes] = build_classifier(max_spikes)
        return made[max_spikes]

    return get


@pytest.fixture(scope='session')
def segmentor():
    """A tiny spiking segmentor: backbone, FPN, FPN head, all of mmseg."""
    pytest.importorskip('mmseg')
    neuron = dict(type='mmsnn.SFANeuron', max_spikes=4)
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='mmseg.EncoderDecoder',
            data_preprocessor=dict(
                type='mmseg.SegDataPreProcessor',
                mean=[128.] * 3,
                std=[60.] * 3,
                bgr_to_rgb=False),
            backbone=dict(
                type='mmsnn.ESpikeFormer',
                arch=dict(
                    embed_dims=WIDTHS, depths=[1, 1, 1, 1, 1], num_heads=4),
                out_indices=(1, 2, 3, 4),
                neuron=neuron),
            neck=dict(
                type='mmsnn.SpikingModule',
                neuron=neuron,
                module=dict(
                    type='mmseg.FPN',
                    in_channels=WIDTHS,
                    out_channels=16,
                    norm_cfg=dict(type='BN'),
                    num_outs=4)),
            decode_head=dict(
                type='mmsnn.SpikingModule',
                neuron=neuron,
                module=dict(
                    type='mmseg.FPNHead',
                    in_channels=[16] * 4,
                    in_index=[0, 1, 2, 3],
                    feature_strides=[4, 8, 16, 16],
                    channels=16,
                    dropout_ratio=0.1,
                    num_classes=5,
                    norm_cfg=dict(type='BN'),
                    align_corners=False)),
            test_cfg=ConfigDict(mode='whole')))

    return calibrate(
        model, lambda: model.decode_head(
            model.extract_feat(torch.randn(2, 3, 64, 96))))


STRIDES = [4, 8, 16, 16, 32]
NEURON = dict(type='mmsnn.SFANeuron', max_spikes=4)
NMS = dict(type='nms', iou_threshold=0.7)


def spiking(**module):
    return dict(type='mmsnn.SpikingModule', neuron=NEURON, module=module)


def _coder(stds):
    return dict(
        type='DeltaXYWHBBoxCoder', target_means=[0.] * 4, target_stds=stds)


def _anchors(scales):
    return dict(
        type='AnchorGenerator', scales=scales, ratios=[0.5, 1., 2.],
        strides=STRIDES)


def _bbox_head(stds=(0.1, 0.1, 0.2, 0.2), **kwargs):
    return spiking(
        type='Shared2FCBBoxHead', in_channels=16, fc_out_channels=32,
        roi_feat_size=3, num_classes=3, bbox_coder=_coder(list(stds)),
        **kwargs)


def _rois(size):
    return dict(
        type='SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=size, sampling_ratio=0),
        out_channels=16, finest_scale=14, featmap_strides=STRIDES[:4])


def _two_stage(kind, **roi_head):
    return dict(
        type=kind, train_cfg=None,
        rpn_head=spiking(
            type='RPNHead', in_channels=16, feat_channels=16,
            anchor_generator=_anchors([4]), bbox_coder=_coder([1.] * 4)),
        roi_head=dict(
            bbox_roi_extractor=_rois(3),
            mask_roi_extractor=_rois(4),
            mask_head=spiking(
                type='FCNMaskHead', in_channels=16, conv_out_channels=16,
                num_convs=1, num_classes=3),
            **roi_head),
        test_cfg=dict(
            rpn=dict(nms_pre=60, max_per_img=20, nms=NMS, min_bbox_size=0),
            rcnn=dict(score_thr=0.05, nms=dict(NMS, iou_threshold=0.5),
                      max_per_img=10, mask_thr_binary=0.5)))


def _dense(kind, head, **kwargs):
    return dict(
        type=kind, train_cfg=None,
        bbox_head=spiking(
            type=head, num_classes=3, in_channels=16, feat_channels=16,
            stacked_convs=1, **kwargs),
        test_cfg=dict(
            nms_pre=60, min_bbox_size=0, score_thr=0.05,
            nms=dict(NMS, iou_threshold=0.5), max_per_img=10))


DETECTORS = {
    'mask_rcnn': lambda: _two_stage(
        'MaskRCNN', type='StandardRoIHead', bbox_head=_bbox_head()),
    'cascade': lambda: _two_stage(
        'CascadeRCNN', type='CascadeRoIHead', num_stages=2,
        stage_loss_weights=[1, 0.5],
        bbox_head=[_bbox_head(reg_class_agnostic=True),
                   _bbox_head([0.05, 0.05, 0.1, 0.1],
                              reg_class_agnostic=True)]),
    'retinanet': lambda: _dense(
        'RetinaNet', 'RetinaHead', anchor_generator=_anchors([4]),
        bbox_coder=_coder([1.] * 4)),
    'fcos': lambda: _dense('FCOS', 'FCOSHead', strides=STRIDES,
                           norm_cfg=None),
}


def build_detector(kind):
    """A tiny spiking detector, all of mmdet, whose neurons fire."""
    torch.manual_seed(0)
    config = DETECTORS[kind]()
    model = MODELS.build(
        ConfigDict(
            config,
            type=f'mmdet.{config["type"]}',
            _scope_='mmdet',
            data_preprocessor=dict(
                type='DetDataPreprocessor', mean=[128.] * 3, std=[60.] * 3,
                pad_size_divisor=32),
            backbone=dict(
                type='mmsnn.ESpikeFormer',
                arch=dict(
                    embed_dims=WIDTHS, depths=[1, 1, 1, 1, 1], num_heads=4),
                out_indices=(1, 2, 3, 4),
                neuron=NEURON),
            neck=spiking(
                type='FPN', in_channels=WIDTHS, out_channels=16,
                num_outs=5)))
    for name, module in model.named_modules():
        if not name.startswith('backbone') and isinstance(
                module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            module.weight.data *= 3
            module.bias.data.uniform_(-0.5, 1)
    return calibrate(model, lambda: model.backbone(torch.randn(2, 3, 64, 96)))


@pytest.fixture(scope='session')
def detectors():
    """``detectors(kind)``: built once each. Tests leave them as they are."""
    pytest.importorskip('mmdet')
    from mmdet.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    made = {}

    def get(kind):
        if kind not in made:
            made[kind] = build_detector(kind)
        return made[kind]

    return get


def detection_data(*sizes, seed=0):
    """A batch of noisy images of these (height, width), as a data loader
    gives it. Half of each image is plain."""
    from mmdet.structures import DetDataSample
    generator = torch.Generator().manual_seed(seed)
    inputs, samples = [], []
    for number, (height, width) in enumerate(sizes):
        image = torch.randint(
            0, 256, (3, height, width), generator=generator).byte()
        image[:, :, width // 2 + 1:] = 90
        inputs.append(image)
        samples.append(
            DetDataSample(
                metainfo=dict(
                    img_id=number, img_path=f'{number}.png',
                    ori_shape=(2 * height, 2 * width),
                    img_shape=(height, width), scale_factor=(0.5, 0.5))))
    return dict(inputs=inputs, data_samples=samples)


@pytest.fixture(scope='session')
def make_detection_data():
    return detection_data
