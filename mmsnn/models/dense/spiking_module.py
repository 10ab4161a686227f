"""What makes any neck or head spiking."""

from functools import lru_cache
from typing import Dict, Type

import mmcv.cnn
from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

from mmsnn.layers import SpikeConv2d, SpikeLinear, merge_time
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
                   merge_time: bool = False,
                   **kwargs) -> nn.Module:
    """Build any module with a neuron in front of each of its synapses.

    A registered builder: what it returns is the upstream module itself, with
    its convolutions and linears turned into :class:`mmsnn.SpikeConv2d` and
    :class:`mmsnn.SpikeLinear` and its activations taken out, since the neuron
    of the next synapse takes their place. Parameters keep their names.

    Args:
        module (dict): Config of the module, e.g. a neck or a head.
        neuron (dict): Config of the neurons.
        merge_time (bool): Average what the module returns over the time steps
            of its neurons, (N * T, ...) to (N, ...): for heads, whose logits
            are a mean over time. Does nothing with T = 1 or without spiking
            neurons. Defaults to False.
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
    built = make_spiking(
        ROOT_MODELS.build({
            **module,
            **kwargs
        }), neuron)
    timesteps = next(
        (m.timesteps for m in built.modules() if is_spiking(m)), 1)
    if merge_time and timesteps > 1:
        # Heads call their own ``forward``, where no hook would run.
        built.__class__ = merging_form(type(built))
        built.timesteps = timesteps
    return built


class TimeMerging:
    """Mixed into a module's class: its outputs are averaged over time."""

    timesteps: int

    def forward(self, *args, **kwargs):
        """Run the module, and average over time."""
        return merge_time(super().forward(*args, **kwargs), self.timesteps)

    def __reduce_ex__(self, protocol):
        """Copied and pickled by its plain class, since no module has ours."""
        plain = type(self).__mro__[2]
        return _restore, (plain, ), self.__dict__


@lru_cache(maxsize=None)
def merging_form(kind: Type[nn.Module]) -> Type[nn.Module]:
    """Subclass of a module's class whose outputs are averaged over time."""
    return type(kind.__name__, (TimeMerging, kind),
                dict(__module__=kind.__module__))


def _restore(plain: Type[nn.Module]) -> nn.Module:
    kind = merging_form(plain)
    return kind.__new__(kind)


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
