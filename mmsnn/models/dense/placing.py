"""Places neurons in modules that were written without them."""

from collections.abc import Sequence

import mmcv.cnn
from mmengine.model import BaseModel
from torch import nn

from mmsnn.layers import SpikeConv2d, SpikeConvTranspose2d, SpikeLinear
from mmsnn.neurons import is_spiking

#: Layers that are synapses, and their spiking forms.
SPIKING = {
    nn.Conv2d: SpikeConv2d,
    nn.ConvTranspose2d: SpikeConvTranspose2d,
    nn.Linear: SpikeLinear,
    mmcv.cnn.Conv2d: SpikeConv2d,
    mmcv.cnn.ConvTranspose2d: SpikeConvTranspose2d,
    mmcv.cnn.Linear: SpikeLinear
}

#: Activations that a neuron in front of the next synapse replaces. Gates
#: (sigmoid, tanh) are multiplied with something, so they stay.
REPLACED = (nn.ReLU, nn.ReLU6, nn.RReLU, nn.LeakyReLU, nn.ELU, nn.GELU,
            nn.SiLU, nn.Hardswish, nn.Mish, mmcv.cnn.Swish, mmcv.cnn.HSwish)

#: Modules whose parameters are no weights of a synapse.
NO_SYNAPSES = (nn.Embedding, nn.LayerNorm)

#: Modules that at inference read the weights of their children themselves.
READERS = (nn.TransformerEncoderLayer, )


def make_spiking(module: nn.Module,
                 neuron: dict,
                 path: str = '',
                 keep_real: Sequence[str] = ()) -> nn.Module:
    """Put a neuron in front of each synapse of a module, in place.

    A module with a true attribute ``neurons_placed`` is left as it is: it
    says that its own code has done it.

    Args:
        module (nn.Module): Any module.
        neuron (dict): Config of the neurons.
        path (str): Its path, for error messages.
        keep_real (Sequence[str]): Modules that are left as they are, by
            class name or by path within ``module``; and parameters that are
            no weights of a synapse, by path. Defaults to none.

    Returns:
        nn.Module: The same module, or its spiking form where ``module`` is a
        synapse itself.

    Raises:
        TypeError: If a layer has weights that have no spiking form; the
            message names its path.
        ValueError: If ``keep_real`` names what is not there, or a neuron
            would stand in front of the image.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Linear(4, 2))
        >>> make_spiking(net, dict(type='ReLU'), keep_real=['2'])
        Sequential(
          (0): SpikeConv2d(
            3, 4, kernel_size=(1, 1), stride=(1, 1)
            (neuron): ReLU()
          )
          (1): Identity()
          (2): Linear(in_features=4, out_features=2, bias=True)
        )
    """
    kept = _named(module, keep_real)
    if isinstance(module, BaseModel):
        _check_stem(module, kept)
    return _make_spiking(module, neuron, path, kept, {})


def _named(module: nn.Module, names: Sequence[str]) -> set[object]:
    """Modules and parameters that ``keep_real`` names."""
    if isinstance(names, str):
        raise ValueError('keep_real must be a list of class names and paths, '
                         f'but is {names!r}: write [{names!r}]')
    kept, left = set(), set(names)
    for path, child in module.named_modules(remove_duplicate=False):
        found = {path, type(child).__name__}.intersection(names)
        left -= found
        kept.update([child] if found else [])
    for path, parameter in module.named_parameters(remove_duplicate=False):
        left.discard(path)
        kept.update([parameter] if path in names else [])
    if left:
        raise ValueError(
            f'keep_real names {", ".join(map(repr, sorted(left)))}, but '
            f'{type(module).__name__} has no module of that class name, and '
            'no module or parameter at that path')
    return kept


def _check_stem(model: nn.Module, kept: set[object]) -> None:
    """Raise where a neuron would read the image and cut its values to 0..D."""
    backbone = getattr(model, 'backbone', nn.Identity())
    left = {
        inner
        for module in backbone.modules() if _is_left(module, kept)
        for inner in module.modules()
    }
    path, stem = next(((path, module)
                       for path, module in backbone.named_modules()
                       if isinstance(module, tuple(SPIKING))), ('', None))
    if stem is not None and stem not in left:
        raise ValueError(
            f'backbone.{path}: a neuron would stand between the image and '
            f'the first layer of {type(backbone).__name__}; take a backbone '
            "of mmsnn, or name this layer or the whole 'backbone' in "
            'keep_real')


def _is_left(module: nn.Module, kept: set[object]) -> bool:
    return (module in kept or is_spiking(module)
            or isinstance(module, tuple(SPIKING.values()))
            or getattr(module, 'neurons_placed', False))


def _make_spiking(module: nn.Module, neuron: dict, path: str,
                  kept: set[object],
                  made: dict[nn.Module, nn.Module]) -> nn.Module:
    """``made`` has what was made already: a shared module stays shared."""
    if module not in made:
        if _is_left(module, kept):
            made[module] = module
        elif type(module) in SPIKING:
            made[module] = SPIKING[type(module)].from_plain(module, neuron)
        elif isinstance(module, REPLACED):
            made[module] = nn.Identity()
        else:
            made[module] = module
            _check(module, path, kept)
            if isinstance(module, mmcv.cnn.ConvModule):
                _prepare_conv_module(module, kept)
            for name, child in list(module._modules.items()):
                if child is not None:
                    child_path = f'{path}.{name}' if path else name
                    module._modules[name] = _make_spiking(
                        child, neuron, child_path, kept, made)
    return made[module]


def _prepare_conv_module(module: mmcv.cnn.ConvModule,
                         kept: set[object]) -> None:
    # The shortcut calls the convolution's op past its neuron.
    module.turn_on_efficient_conv_bn_eval(False)
    if (module.with_activation and isinstance(module.activate, REPLACED)
            and module.activate not in kept):
        module.with_activation = False
        del module.activate


def _check(module: nn.Module, path: str, kept: set[object]) -> None:
    """Raise where a layer has weights that would have no neuron."""
    hidden = _hidden_weights(module, kept)
    if hidden is None and not isinstance(module, READERS):
        return
    kind = type(module).__name__
    names = f'{kind!r} or {path!r}' if path else repr(kind)
    if hidden not in (None, 'weight'):
        names += f", or {f'{path}.{hidden}' if path else hidden!r} alone"
    raise TypeError(
        f'{path or "module"}: no spiking form of {kind} is known, only of '
        'Conv2d, ConvTranspose2d and Linear; to leave it real, name '
        f'{names} in keep_real')


def _hidden_weights(module: nn.Module, kept: set[object]) -> str | None:
    """Name of a parameter that may be the weights of a synapse."""
    if isinstance(module, NO_SYNAPSES):
        return None
    return next((name for name, p in module._parameters.items()
                 if p is not None and p.dim() > 1 and p not in kept), None)
