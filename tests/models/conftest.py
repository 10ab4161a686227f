import os
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS

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


def published_names(depths):
    """Names of a published checkpoint -> ours: parameters, neurons.

    Written down from the published models, block by block, and not with the
    rules of the converter.
    """
    parameters, neurons = {}, {}

    def conv_norm(conv, norm, ours, bias=False):
        for key in ['weight', 'bias'] if bias else ['weight']:
            parameters[f'{conv}.{key}'] = f'{ours}.conv.{key}'
        for key in ('weight', 'bias', 'running_mean', 'running_var',
                    'num_batches_tracked'):
            parameters[f'{norm}.{key}'] = f'{ours}.norm.{key}'

    def sep_conv(old, ours):
        parts = dict(pwconv1='expand', dwconv='depthwise', pwconv2='reduce')
        for i, (theirs, part) in enumerate(parts.items(), 1):
            conv_norm(f'{old}.{theirs}.0', f'{old}.{theirs}.1',
                      f'{ours}.{part}')
            neurons[f'{old}.spike{i}'] = f'{ours}.{part}.conv.neuron'

    for i, stage in enumerate(['1_1', '1_2', '2', '3', '4']):
        ours = f'backbone.stages.{i}'
        down = f'downsample{stage}.encode'
        conv_norm(f'{down}_conv', f'{down}_bn', f'{ours}.downsample', True)
        if i:
            neurons[f'{down}_spike'] = f'{ours}.downsample.conv.neuron'
        if i < 2:
            old_blocks = [f'ConvBlock{stage}.{j}' for j in range(depths[i])]
        elif i == 2:  # two lists of one block each
            old_blocks = [f'ConvBlock2_{j + 1}.0' for j in range(depths[i])]
        else:
            old_blocks = [f'block{stage}.{j}' for j in range(depths[i])]
        for j, old in enumerate(old_blocks):
            block = f'{ours}.blocks.{j}'
            if i < 3:
                sep_conv(f'{old}.Conv', f'{block}.sep_conv')
                for k, part in ((1, 'expand'), (2, 'reduce')):
                    new = f'{block}.mixer.{part}'
                    conv_norm(f'{old}.conv{k}', f'{old}.bn{k}', new)
                    neurons[f'{old}.spike{k}'] = f'{new}.conv.neuron'
                continue
            sep_conv(f'{old}.conv', f'{block}.sep_conv')
            attention = f'{block}.attention'
            for k, part in dict(
                    q='query', k='key', v='value', proj='proj').items():
                conv_norm(f'{old}.attn.{k}_conv.0', f'{old}.attn.{k}_conv.1',
                          f'{attention}.{part}')
            for k, part in dict(
                    head='neuron', q='query_neuron', k='key_neuron',
                    v='value_neuron', attn='attention_neuron').items():
                neurons[f'{old}.attn.{k}_spike'] = f'{attention}.{part}'
            for k, part in ((1, 'expand'), (2, 'reduce')):
                new = f'{block}.mlp.{part}'
                conv_norm(f'{old}.mlp.fc{k}_conv', f'{old}.mlp.fc{k}_bn', new,
                          True)
                neurons[f'{old}.mlp.fc{k}_spike'] = f'{new}.conv.neuron'
    parameters['head.weight'] = 'head.fc.weight'
    parameters['head.bias'] = 'head.fc.bias'
    neurons['spike'] = 'head.fc.neuron'
    return parameters, neurons


@pytest.fixture(scope='session')
def names():
    return published_names


@pytest.fixture(scope='session')
def tiny():
    """A tiny classifier, D = 3, whose neurons fire: config, model, input."""
    torch.manual_seed(0)
    config = classifier_config([16, 24, 32, 40], (1, 1, 2, 2, 1), 4, 5, 3)
    model = MODELS.build(config)
    for name, parameter in model.named_parameters():
        if 'norm.bias' in name:
            parameter.data.uniform_(0, 1.5)
        elif 'norm.weight' in name:
            parameter.data.uniform_(0.7, 1.5)
    images = torch.randn(2, 3, 40, 24)
    model.train()
    with torch.no_grad():
        for _ in range(20):  # running statistics
            model.backbone(images)
    return config, model.eval(), images


@pytest.fixture(scope='session')
def published_state(tiny, names):
    """The tiny classifier's state under published names."""
    state = tiny[1].state_dict()
    published = {}
    for old, new in names(tiny[0]['backbone']['arch']['depths'])[0].items():
        value = state[new]
        if '.mlp.' in old and value.dim() == 4:
            value = value.squeeze(-1)  # theirs is a Conv1d over tokens
        published[old] = value.clone()
    return published
