"""Registries of mmsnn: children of mmengine's root registries.

Only the registries that mmsnn fills are declared. A type is written with
its scope, ``type='mmsnn.ESpikeFormer'``, and then resolves under the default
scope of any OpenMMLab framework without ``custom_imports``. A misspelt one
raises an error with the nearest name.

Example:
    >>> from mmsnn.registry import MODELS
    >>> MODELS.scope
    'mmsnn'
"""

import inspect
import sys
from collections.abc import Callable

from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS as ROOT_OPTIM_WRAPPER_CONSTRUCTORS,
)
from mmengine.registry import RUNNERS as ROOT_RUNNERS
from mmengine.registry import STRATEGIES as ROOT_STRATEGIES
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import DefaultScope
from mmengine.registry import Registry as BaseRegistry

from .suggest import did_you_mean, naming_keys


class Registry(BaseRegistry):
    """A registry that raises an error where a name is not registered, and
    whose classes name a key that they do not have.

    mmengine's registry returns None instead. Its caller, most often the
    registry of a framework, then complains that ``mmsnn.X`` is not in the
    framework's registry, which sends the reader to the wrong place.

    Example:
        >>> MODELS.get('mmsnn.SFANeurn')
        Traceback (most recent call last):
        KeyError: "no model is registered as 'mmsnn.SFANeurn' (did you mean
        'mmsnn.SFANeuron'?): mmsnn.registry.MODELS.names() lists all"
        >>> HOOKS.build(dict(type='FreezeHook', module=['backbone']))
        Traceback (most recent call last):
        TypeError: mmsnn.FreezeHook has no key 'module' (did you mean
        'modules'?); its keys are modules, begin
    """

    def _register_module(self, module: type | Callable,
                         module_name: str | list[str] | None = None,
                         force: bool = False) -> None:
        """Register a class, or a function that builds an object; a class
        checks its keys from now on."""
        super()._register_module(module, module_name, force)
        if inspect.isclass(module) and '__init__' in vars(module):
            module.__init__ = naming_keys(
                module.__init__, f'{self.scope}.{module.__name__}')

    def names(self) -> list[str]:
        """The registered names, as a config writes them.

        Returns:
            list[str]: Names with scope, in alphabetical order.

        Example:
            >>> RUNNERS.names()
            ['mmsnn.FlexibleRunner', 'mmsnn.GlooRunner', \
'mmsnn.ResumableRunner']
        """
        self.import_from_location()
        return [f'{self.scope}.{name}' for name in sorted(self.module_dict)]

    def get(self, key: str) -> type | None:
        """What is registered under a name, here or in the parent.

        Args:
            key (str): A name, with or without scope.

        Returns:
            type | None: None where another answers: for a module or another
            scope (``'torch.nn.ReLU'``, ``'mmdet.FPN'``), for a name like none
            of ours under default scope mmsnn, and where a registry is only
            asked whether it has a name (``'mmsnn.X' in MODELS``).

        Raises:
            KeyError: If there is none; the message has the nearest name.
        """
        found = super().get(key)
        name = key.removeprefix(f'{self.scope}.')
        if found is None and '.' not in name and not _is_only_asked():
            near = did_you_mean(name, self.module_dict, f'{self.scope}.')
            scope = DefaultScope.get_current_instance()
            if not near and scope and scope.scope_name == self.scope:
                return None
            variable = f'{self.name.upper()}S'.replace(' ', '_').replace(
                'YS', 'IES')
            known = (f'{__name__}.{variable}.names() lists all' if near else
                     f'{self.scope} registers {", ".join(self.names())}')
            raise KeyError(f'no {self.name} is registered as '
                           f"'{self.scope}.{name}'{near}: {known}")
        return found


def _is_only_asked() -> bool:
    """Whether a registry, here or further up, wants to know if it has a name,
    and builds nothing."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code is BaseRegistry.__contains__.__code__:
            return True
        frame = frame.f_back
    return False


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
# Runs that can be resumed exactly, and several processes on CPU.
RUNNERS = Registry(
    'runner',
    parent=ROOT_RUNNERS,
    scope='mmsnn',
    locations=['mmsnn.engine.runner', 'mmsnn.engine.flexible_runner'])
# Several processes, for FlexibleRunner.
STRATEGIES = Registry(
    'strategy',
    parent=ROOT_STRATEGIES,
    scope='mmsnn',
    locations=['mmsnn.engine.strategies'])
# Layer-wise learning rate decay.
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optim wrapper constructor',
    parent=ROOT_OPTIM_WRAPPER_CONSTRUCTORS,
    scope='mmsnn',
    locations=['mmsnn.engine.optimizers'])
