"""Registries of mmsnn: children of mmengine's root registries.

Only the registries that mmsnn fills are declared. A type is written with
its scope, ``type='mmsnn.ESpikeFormer'``, and then resolves under the default
scope of any OpenMMLab framework without ``custom_imports``.

Example:
    >>> from mmsnn.registry import MODELS
    >>> MODELS.scope
    'mmsnn'
"""

from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS as ROOT_OPTIM_WRAPPER_CONSTRUCTORS,
)
from mmengine.registry import RUNNERS as ROOT_RUNNERS
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import Registry

# Neurons, layers, backbones and what makes necks and heads spiking.
MODELS = Registry(
    'model',
    parent=ROOT_MODELS,
    scope='mmsnn',
    locations=['mmsnn.neurons', 'mmsnn.layers', 'mmsnn.models'])
# Digit scenes and recordings of event cameras.
DATASETS = Registry(
    'dataset',
    parent=ROOT_DATASETS,
    scope='mmsnn',
    locations=['mmsnn.datasets'])
# From recordings to the input of models.
TRANSFORMS = Registry(
    'transform',
    parent=ROOT_TRANSFORMS,
    scope='mmsnn',
    locations=['mmsnn.datasets.transforms'])
# Hooks that run the conversion and the energy estimate.
HOOKS = Registry(
    'hook',
    parent=ROOT_HOOKS,
    scope='mmsnn',
    locations=['mmsnn.engine.hooks'])
# The runner for several processes on CPU.
RUNNERS = Registry(
    'runner',
    parent=ROOT_RUNNERS,
    scope='mmsnn',
    locations=['mmsnn.engine.runner'])
# Layer-wise learning rate decay.
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=ROOT_OPTIM_WRAPPER_CONSTRUCTORS,
    scope='mmsnn',
    locations=['mmsnn.engine.optimizers'])
