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
