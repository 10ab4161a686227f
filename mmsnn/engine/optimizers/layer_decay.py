"""Layer-wise learning rate decay for any model."""

from collections.abc import Callable
from functools import partial

from mmpretrain.engine.optimizers import (
    LearningRateDecayOptimWrapperConstructor,
)
from torch import nn

from mmsnn.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(
        LearningRateDecayOptimWrapperConstructor):
    """mmpretrain's layer-wise learning rate decay, for any model whose
    backbone knows its layers: detectors and segmentors as well.

    A classifier of mmpretrain is treated as upstream does. Of other models
    the layer is what ``model.backbone.get_layer_depth`` says; necks and heads
    are the last layer. Keys of ``paramwise_cfg`` are those of upstream:
    ``layer_decay_rate``, ``norm_decay_mult``, ``bias_decay_mult``,
    ``flat_decay_mult``, ``custom_keys``.

    Raises:
        ValueError: If the model's backbone does not know its layers, or the
            optimiser has no ``weight_decay``, which upstream needs.

    Example:
        >>> from mmsnn.models import ESpikeFormer
        >>> model = nn.ModuleDict(dict(
        ...     backbone=ESpikeFormer('2.7m'), head=nn.Linear(128, 3)))
        >>> wrapper = LayerDecayOptimWrapperConstructor(
        ...     dict(optimizer=dict(type='SGD', lr=1., weight_decay=0.05)),
        ...     dict(layer_decay_rate=0.5))(model)
        >>> rates = {g['param_name']: g['lr']
        ...          for g in wrapper.optimizer.param_groups}
        >>> rates['head.bias'], rates['backbone.stages.4.blocks.1.mlp.expand'
        ...                           '.conv.bias']
        (1.0, 0.5)
    """

    def add_params(self,
                   params: list[dict],
                   module: nn.Module,
                   prefix: str = '',
                   get_layer_depth: Callable | None = None,
                   **kwargs) -> None:
        """Add the parameters of a module, each with its learning rate.

        Args:
            params (list[dict]): Groups of parameters, added to.
            module (nn.Module): The model, or a part of it.
            prefix (str): Path of the part in the model, with a dot behind.
            get_layer_depth (Callable, optional): Gives the layer of a
                parameter by its name, and the number of layers. Defaults to
                None: the backbone knows.
            **kwargs: Those of upstream.

        Raises:
            ValueError: See the class.
        """
        if self.base_wd is None:
            raise ValueError('optim_wrapper.optimizer needs the key '
                             'weight_decay (0 for none)')
        if get_layer_depth is None and not hasattr(module, 'get_layer_depth'):
            backbone = getattr(module, 'backbone', None)
            if not hasattr(backbone, 'get_layer_depth'):
                raise ValueError(
                    'optim_wrapper.constructor = LayerDecayOptimWrapper'
                    'Constructor needs a model whose backbone has the method '
                    f'get_layer_depth, but {type(module).__name__} has the '
                    f'backbone {type(backbone).__name__}')
            get_layer_depth = partial(
                backbone.get_layer_depth, prefix=f'{prefix}backbone.')
        super().add_params(params, module, prefix, get_layer_depth, **kwargs)
