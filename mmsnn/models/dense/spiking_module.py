"""What makes any neck or head spiking."""

from typing import Dict

import mmcv.cnn
from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

from mmsnn.layers import SpikeConv2d, SpikeLinear
from mmsnn.neurons import is_spiking
from mmsnn.registry import MODELS

#: Layers that are synapses, and their spiking forms.
SPIKING = {
    nn.Conv2d: SpikeConv2d,
    nn.Linear: SpikeLinear,
    mmcv.cnn.Conv2d: SpikeConv2d,
    mmcv.cnn.Linear: SpikeLinear
}

#: Activations that a neuron in front of the next synapse replaces.
REPLACED = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU)


@MODELS.register_module(name='SpikingModule')
def spiking_module(module: dict,
                   neuron: dict = dict(type='mmsnn.SFANeuron', max_spikes=4),
                   **kwargs) -> nn.Module:
    """Build any module with a neuron in front of each of its synapses.

    A registered builder: what it returns is the upstream module itself, with
    its convolutions and linears turned into :class:`mmsnn.SpikeConv2d` and
    :class:`mmsnn.SpikeLinear` and its activations taken out, since the neuron
    of the next synapse takes their place. Parameters keep their names.

    Args:
        module (dict): Config of the module, e.g. a neck or a head.
        neuron (dict): Config of the neurons.
        **kwargs: More keys for ``module``; frameworks add some on their own
            (``train_cfg`` and ``test_cfg`` of detection heads).

    Returns:
        nn.Module: The module that ``module`` describes.

    Raises:
        TypeError: If a layer has weights that this mechanism can't place;
            the message names its path.

    Example:
        >>> spiking_module(
        ...     dict(type=nn.Linear, in_features=4, out_features=2))
        SpikeLinear(
          in_features=4, out_features=2, bias=True
          (neuron): SFANeuron(max_spikes=4, scale=0.25, threshold=1)
        )
    """
    built = ROOT_MODELS.build({**module, **kwargs})
    return make_spiking(built, neuron)


def make_spiking(module: nn.Module, neuron: dict, path: str = '') -> nn.Module:
    """Put a neuron in front of each synapse of a module, in place.

    Args:
        module (nn.Module): Any module.
        neuron (dict): Config of the neurons.
        path (str): Its path, for error messages.

    Returns:
        nn.Module: The same module, or its spiking form where ``module`` is a
        synapse itself.
    """
    return _make_spiking(module, neuron, path, {})


def _make_spiking(module: nn.Module, neuron: dict, path: str,
                  made: Dict[nn.Module, nn.Module]) -> nn.Module:
    """``made`` keeps what is shared in the module shared."""
    if module not in made:
        made[module] = _spiking_form(module, neuron, path)
        if not isinstance(made[module], tuple(SPIKING.values())):
            children = made[module]._modules
            for name, child in list(children.items()):
                if child is not None:
                    child_path = f'{path}.{name}' if path else name
                    children[name] = _make_spiking(child, neuron, child_path,
                                                   made)
    return made[module]


def _spiking_form(module: nn.Module, neuron: dict, path: str) -> nn.Module:
    """What takes the place of one module, its children left as they are."""
    if isinstance(module, tuple(SPIKING.values())) or is_spiking(module):
        return module
    if type(module) in SPIKING:
        return SPIKING[type(module)].from_plain(module, neuron)
    if isinstance(module, REPLACED):
        return nn.Identity()
    weight = module._parameters.get('weight')
    if isinstance(module, nn.MultiheadAttention) or (
            weight is not None and weight.dim() > 1
            and not isinstance(module, (nn.Embedding, nn.LayerNorm))):
        raise TypeError(f'{path or "module"}: no spiking form of '
                        f'{type(module).__name__} is known, only of Conv2d '
                        'and Linear')
    if isinstance(module, mmcv.cnn.ConvModule) and module.with_activation:
        module.with_activation = False
        del module.activate
    return module
