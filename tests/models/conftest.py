import os
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from mmsnn.models.published import classifier_config


@pytest.fixture(scope='session')
def goldens():
    """Folder of the golden vectors: ``$MMSNN_SHARED/goldens``, by default in
    a folder ``shared`` beside the checkout."""
    beside = Path(__file__).parents[3] / 'shared'
    folder = Path(os.environ.get('MMSNN_SHARED', beside)) / 'goldens'
    if not folder.is_dir():
        pytest.skip(f'no golden vectors in {folder}; MMSNN_SHARED names '
                    'another folder')
    return folder


NORM = ('weight', 'bias', 'running_mean', 'running_var',
        'num_batches_tracked')
STAGES = ('1_1', '1_2', '2', '3', '4')


class Names:
    """Names of a published checkpoint -> ours: parameters, neurons.

    Written down from the published models, block by block, and not with the
    rules of the converter.
    """

    def __init__(self, depths, neuron='spike'):
        self.depths = depths
        self.parameters, self.neurons = {}, {}
        for i, stage in enumerate(STAGES[:len(depths)]):
            ours = f'backbone.stages.{i}'
            down = f'downsample{stage}.encode'
            self.conv_norm(f'{down}_conv', f'{down}_bn', f'{ours}.downsample',
                           bias=True)
            if i:
                self.neurons[f'{down}_{neuron}'] = (
                    f'{ours}.downsample.conv.neuron')
            for j in range(depths[i]):
                block = f'{ours}.blocks.{j}'
                if i < 2:
                    self.conv_block(f'ConvBlock{stage}.{j}', block)
                elif i == 2:  # two lists of one block each
                    self.conv_block(f'ConvBlock2_{j + 1}.0', block)
                else:
                    self.block(f'block{stage}.{j}', block)
                    for k, part in dict(
                            head='neuron', q='query_neuron', k='key_neuron',
                            v='value_neuron',
                            attn='attention_neuron').items():
                        self.neurons[f'block{stage}.{j}.attn.{k}_{neuron}'] = (
                            f'{block}.attention.{part}')
                    for k, part in ((1, 'expand'), (2, 'reduce')):
                        new = f'{block}.mlp.{part}'
                        old = f'block{stage}.{j}.mlp.fc{k}'
                        self.conv_norm(f'{old}_conv', f'{old}_bn', new, True)
                        self.neurons[f'{old}_{neuron}'] = f'{new}.conv.neuron'
        self.linear('head', 'head.fc')

    def linear(self, old, ours):
        for key in ('weight', 'bias'):
            self.parameters[f'{old}.{key}'] = f'{ours}.{key}'

    def norm(self, old, ours):
        for key in NORM:
            self.parameters[f'{old}.{key}'] = f'{ours}.{key}'

    def conv_norm(self, conv, norm, ours, bias=False):
        for key in ['weight', 'bias'] if bias else ['weight']:
            self.parameters[f'{conv}.{key}'] = f'{ours}.conv.{key}'
        self.norm(norm, f'{ours}.norm')

    def projections(self, old, block):
        for k, part in dict(
                q='query', k='key', v='value', proj='proj').items():
            yield f'{old}.attn.{k}_conv', f'{block}.attention.{part}'


class BaseNames(Names):

    def __init__(self, depths):
        super().__init__(depths)
        self.neurons['spike'] = 'head.fc.neuron'

    def sep_conv(self, old, ours):
        parts = dict(pwconv1='expand', dwconv='depthwise', pwconv2='reduce')
        for i, (theirs, part) in enumerate(parts.items(), 1):
            self.conv_norm(f'{old}.{theirs}.0', f'{old}.{theirs}.1',
                           f'{ours}.{part}')
            self.neurons[f'{old}.spike{i}'] = f'{ours}.{part}.conv.neuron'

    def conv_block(self, old, block):
        self.sep_conv(f'{old}.Conv', f'{block}.sep_conv')
        for k, part in ((1, 'expand'), (2, 'reduce')):
            new = f'{block}.mixer.{part}'
            self.conv_norm(f'{old}.conv{k}', f'{old}.bn{k}', new)
            self.neurons[f'{old}.spike{k}'] = f'{new}.conv.neuron'

    def block(self, old, block):
        self.sep_conv(f'{old}.conv', f'{block}.sep_conv')
        for theirs, ours in self.projections(old, block):
            self.conv_norm(f'{theirs}.0', f'{theirs}.1', ours)


class LargeNames(Names):

    def __init__(self, depths):
        super().__init__(depths, 'lif')
        self.linear('head_kd', 'head.fc_kd')
        self.neurons['lif'] = 'head.fc_kd.neuron'

    def conv_block(self, old, block):
        for k, part in ((1, 'expand'), (2, 'reduce')):
            new = f'{block}.mixer.{part}'
            self.conv_norm(f'{old}.conv{k}.0.0', f'{old}.conv{k}.0.1', new,
                           True)
            self.neurons[f'{old}.neuron{k}'] = f'{new}.conv.neuron'

    def pair(self, old, ours):
        for k in (1, 2):
            self.parameters[f'{old}.conv{k}.0.weight'] = (
                f'{ours}.branch.conv{k}.weight')
            self.norm(f'{old}.conv{k}.1', f'{ours}.branch.norm{k}')

    def block(self, old, block):
        for k, part in ((1, 'attention'), (2, 'mlp')):
            self.parameters[f'{old}.layer_scale{k}'] = (
                f'{block}.layer_scales.{part}.weight')
        self.pair(f'{old}.rep_conv', f'{block}.pair.linear')
        self.neurons[f'{old}.lif'] = f'{block}.pair.neuron'
        for theirs, ours in self.projections(old, block):
            self.pair(f'{theirs}.0', ours)
            self.norm(f'{theirs}.1', f'{ours}.branch.norm')


class MetaNames(Names):

    def __init__(self, depths):
        super().__init__(depths, 'lif')
        self.neurons['lif'] = 'head.fc.neuron'

    def conv_block(self, old, block):
        conv, sep_conv = f'{old}.Conv', f'{block}.sep_conv'
        self.conv_norm(f'{conv}.pwconv1', f'{conv}.bn1', f'{sep_conv}.expand')
        self.parameters[f'{conv}.dwconv.weight'] = (
            f'{sep_conv}.depthwise.conv.weight')
        self.conv_norm(f'{conv}.pwconv2', f'{conv}.bn2', f'{sep_conv}.reduce')
        self.neurons[f'{conv}.lif1'] = f'{sep_conv}.expand.conv.neuron'
        self.neurons[f'{conv}.lif2'] = f'{sep_conv}.depthwise.conv.neuron'
        for k, part in ((1, 'expand'), (2, 'reduce')):
            new = f'{block}.mixer.{part}'
            self.conv_norm(f'{old}.conv{k}', f'{old}.bn{k}', new)
            self.neurons[f'{old}.lif{k}'] = f'{new}.conv.neuron'

    def block(self, old, block):
        for theirs, ours in self.projections(old, block):
            body, branch = f'{theirs}.0.body', f'{ours}.branch'
            for k, part in (('0', 'conv1'), ('2.0', 'depthwise'),
                            ('2.1', 'conv2')):
                self.parameters[f'{body}.{k}.weight'] = (
                    f'{branch}.{part}.weight')
            self.norm(f'{body}.1.bn', f'{branch}.norm1.norm')
            self.norm(f'{body}.2.2', f'{branch}.norm2')
            self.norm(f'{theirs}.1', f'{branch}.norm')


NAMES = dict(
    espikeformer=BaseNames,
    espikeformer_large=LargeNames,
    metaspikeformer=MetaNames)


def published_names(depths, family='espikeformer'):
    made = NAMES[family](depths)
    return made.parameters, made.neurons


@pytest.fixture(scope='session')
def names():
    return published_names


def fit(model, images, gain=1.):
    """Norms and running statistics under which every neuron fires."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.weight.data.uniform_(0.7 * gain, 1.5 * gain)
            module.bias.data.uniform_(0, 1.5 * gain)
            module.momentum = None  # the mean over all batches
    model.train()
    with torch.no_grad():
        for _ in range(4):
            model.backbone(images)
    return model.eval()


#: Keys of a tiny classifier of each family; D is 3, T is 2 where LIF is.
TINY = dict(
    espikeformer=dict(
        embed_dims=[16, 24, 32, 40], depths=(1, 1, 2, 2, 1), num_heads=4,
        num_classes=5, max_spikes=3),
    espikeformer_large=dict(
        embed_dims=[16, 24, 40], depths=(1, 1, 2, 2), num_heads=4,
        num_classes=5, max_spikes=3, linear_pair=True,
        distillation_head=True, layer_scale_init_value=0.5),
    metaspikeformer=dict(
        embed_dims=[16, 24, 32, 40], depths=(1, 1, 2, 2, 1), num_heads=4,
        num_classes=5,
        neuron=dict(type='mmsnn.LIFNeuron', timesteps=2, max_spikes=1)))


@pytest.fixture(scope='session')
def tiny_models():
    """``tiny_models(family)``: a tiny classifier whose neurons fire: config,
    model, input. ``**changes`` replace keys of :data:`TINY`."""

    def get(family, **changes):
        torch.manual_seed(0)
        config = classifier_config(
            family=family, **{**TINY[family], **changes})
        images = torch.randn(2, 3, 40, 24)
        # LIF neurons halve their input.
        gain = 2. if family == 'metaspikeformer' else 1.
        return config, fit(MODELS.build(config), images, gain), images

    return get


@pytest.fixture(scope='session')
def tiny(tiny_models):
    """The tiny classifier of the base family."""
    return tiny_models('espikeformer')


@pytest.fixture(scope='session')
def publish(names):
    """``publish(model, depths, family)``: a classifier's state under
    published names."""

    def get(model, depths, family):
        state = model.state_dict()
        published = {}
        for old, new in names(depths, family)[0].items():
            value = state[new]
            flat = '.mlp.' in old or family.endswith('large')
            if flat and old.startswith('block') and value.dim() == 4:
                value = value.squeeze(-1)  # theirs is a Conv1d over tokens
            published[old] = value.clone()
        return published

    return get


@pytest.fixture(scope='session')
def published_state(tiny, publish):
    """The tiny classifier's state under published names."""
    depths = tiny[0]['backbone']['arch']['depths']
    return publish(tiny[1], depths, 'espikeformer')
