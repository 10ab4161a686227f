"""Places neurons in modules that were written without them."""

from collections.abc import Iterator, Sequence
from logging import WARNING

from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import nn

from mmsnn.layers import is_spiking_form, spiking_form
from mmsnn.layers.activation import ReplacedActivation
from mmsnn.layers.spiking_form import (
    SPIKING,
    is_known,
    qualified_name,
    why_real,
)
from mmsnn.neurons import is_spiking

from .keep_real import named_parts
from .upstream import (
    READS_ON_PURPOSE,
    REPLACED,
    Rectifier,
    prepare,
    staying_activations,
)
from .weights_read import weights_read

#: Modules whose parameters are no weights of a synapse.
NO_SYNAPSES = (nn.Embedding, nn.LayerNorm)


def make_spiking(module: nn.Module,
                 neuron: dict,
                 path: str = '',
                 keep_real: Sequence[str] = (),
                 strict: bool = False) -> nn.Module:
    """Put a neuron in front of each synapse of a module, in place.

    A module with a true attribute ``neurons_placed`` is left as it is: it
    says that its own code has done it. Layers of OpenMMLab whose products can
    not be spiking stay real, and a warning lists them.

    Args:
        module (nn.Module): Any module.
        neuron (dict): Config of the neurons.
        path (str): Its path, for error messages.
        keep_real (Sequence[str]): Modules that are left as they are, by
            class name, by path within ``module`` or by pattern; and
            parameters that are no weights of a synapse, by path or pattern.
            Defaults to none.
        strict (bool): Raise where a warning would list what stays real, and
            ``keep_real`` does not name it. Defaults to False.

    Returns:
        nn.Module: The same module, or its spiking form where ``module`` is a
        synapse itself.

    Raises:
        TypeError: If a layer has weights that have no spiking form, or code
            reads the weights of a layer past its neuron; the message names
            its path.
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
          (1): ReplacedActivation(ReLU)
          (2): Linear(in_features=4, out_features=2, bias=True)
        )
    """
    kept = named_parts(module, keep_real)
    if isinstance(module, BaseModel):
        _check_stem(module, kept)
    placing = _Placing(neuron, kept)
    made = placing.make(module, path)
    placing.check_reads(made, path)
    if placing.real and strict:
        raise TypeError(
            f'{path or type(module).__name__}: products stay real in '
            f'{placing.listed()}; with strict=True, name each in keep_real')
    if placing.real:
        print_log(
            f'{type(module).__name__} with spiking neurons: these products '
            f'stay real, and are charged as such: {placing.listed()}',
            logger='current',
            level=WARNING)
    return made


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
    return (module in kept or is_spiking(module) or is_spiking_form(module)
            or getattr(module, 'neurons_placed', False))


class _Placing:
    """One run over a module.

    Attributes:
        made (dict): What was made of each module: one that is shared stays
            shared.
        real (dict): Path of what stays real, to its class and the reason.
        staying (set): Activations that no neuron takes the place of.
    """

    def __init__(self, neuron: dict, kept: set[object]) -> None:
        self.neuron = neuron
        self.kept = kept
        self.made: dict[nn.Module, nn.Module] = {}
        self.real: dict[str, tuple[str, str]] = {}
        self.staying: set[nn.Module] = set()

    def make(self, module: nn.Module, path: str) -> nn.Module:
        if module not in self.made:
            self.made[module] = self._make(module, path)
        return self.made[module]

    def _make(self, module: nn.Module, path: str) -> nn.Module:
        if _is_left(module, self.kept):
            return module
        form = spiking_form(type(module))
        if form is not None:
            why = why_real(type(module))
            if why:
                self._stays_real(module, path, why)
            return form.from_plain(module, self.neuron)
        if module in self.staying:
            return Rectifier() if isinstance(module, nn.ReLU) else module
        if isinstance(module, REPLACED):
            return ReplacedActivation(module)
        hidden = _hidden_weights(module, self.kept)
        if hidden is not None and not is_known(type(module)):
            raise TypeError(_no_form(module, path, hidden))
        if hidden is not None:
            self._stays_real(
                module, _join(path, hidden), 'a parameter outside of layers')
        if qualified_name(type(module)) in READS_ON_PURPOSE:
            module.reads_weights = True  # for what watches a run
        self.staying.update(staying_activations(module))
        prepare(module, self.kept | self.staying)
        if is_known(type(module)):
            self._leave_what_is_read(module, path)
        for name, child in list(module._modules.items()):
            if child is not None:
                module._modules[name] = self.make(child, _join(path, name))
        return module

    def _leave_what_is_read(self, module: nn.Module, path: str) -> None:
        """Leave layers real whose weights a module reads by itself."""
        for method, inner in _reads(module):
            layer = module.get_submodule(inner)
            if spiking_form(type(layer)) and not _is_left(layer, self.kept):
                self.kept.add(layer)
                self._stays_real(
                    layer, _join(path, inner),
                    f'{type(module).__name__}.{method} reads its weights')

    def _stays_real(self, module: nn.Module, path: str, why: str) -> None:
        self.real[path or 'the module itself'] = type(module).__name__, why

    def listed(self) -> str:
        """What stays real, by class and reason."""
        groups: dict[tuple[str, str], list[str]] = {}
        for path, reason in self.real.items():
            groups.setdefault(reason, []).append(path)
        return '; '.join(f'{", ".join(paths)} ({kind}: {why})'
                         for (kind, why), paths in groups.items())

    def check_reads(self, made: nn.Module, path: str) -> None:
        """Raise where code reads weights past the neuron placed here."""
        placed = {m for m in self.made.values() if is_spiking_form(m)}
        for name, module in made.named_modules():
            if module not in self.made or module in placed:
                continue
            for method, inner in _reads(module):
                if module.get_submodule(inner) in placed:
                    layer = _join(_join(path, name), inner)
                    raise TypeError(
                        f'{_join(path, name) or "module"}: '
                        f'{type(module).__name__}.{method} reads the weights '
                        f'of {layer}, past its neuron; to leave that layer '
                        f'real, name {layer!r} in keep_real')


def _reads(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Reads of weights that are not known to be harmless."""
    if qualified_name(type(module)) not in READS_ON_PURPOSE:
        yield from weights_read(module)


def _join(path: str, name: str) -> str:
    return f'{path}.{name}' if path and name else path or name


def _no_form(module: nn.Module, path: str, hidden: str) -> str:
    """Says which part to name in ``keep_real``."""
    kind = type(module).__name__
    names = [repr(kind), repr(path)] if path else []
    whole = ' or '.join(names) or repr(kind)
    if any(True for _ in module.children()) or hidden != 'weight':
        alone = _join(path, hidden)
        whole = f'{whole}, or {alone!r} alone' if names else f'{alone!r}'
    return (f'{path or "module"}: no spiking form of {kind} is known, only '
            'of convolutions, transposed convolutions, Linear and '
            f'MultiheadAttention; to leave it real, name {whole} in '
            'keep_real')


def _hidden_weights(module: nn.Module, kept: set[object]) -> str | None:
    """Name of a parameter that may be the weights of a synapse."""
    if isinstance(module, NO_SYNAPSES):
        return None
    return next((name for name, p in module._parameters.items()
                 if p is not None and p.dim() > 1 and p not in kept), None)
