"""Folding batch norms into the synapses in front of them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from operator import attrgetter, is_
from typing import Any

import mmcv.cnn
import mmcv.cnn.bricks.conv2d_adaptive_padding as adaptive_padding
import mmcv.cnn.bricks.wrappers as wrappers
import torch
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn
from torch.nn.utils import parametrize

from mmsnn.layers import SparseConv2d, SpikeConv2d, norm_as_affine
from mmsnn.layers.sync_norm import SyncBatchNorm

#: Layers that compute ``weight * input + bias``, and nothing behind it.
_LINEAR = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d,
           nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear, wrappers.Conv2d,
           wrappers.Conv3d, wrappers.ConvTranspose2d, wrappers.ConvTranspose3d,
           wrappers.Linear, adaptive_padding.Conv2dAdaptivePadding,
           SpikeConv2d, SparseConv2d)
_NORMS = (_BatchNorm, nn.SyncBatchNorm, SyncBatchNorm)
_VERSION = attrgetter('_version')
_METHODS = ('forward', '_conv_forward', '__call__')


def _definitions(kinds: tuple[type, ...]) -> set:
    return {
        vars(base)[name]
        for kind in kinds for base in kind.__mro__ for name in _METHODS
        if name in vars(base)
    }


_KNOWN = _definitions(_LINEAR), _definitions(_NORMS)


def fold_norms(model: nn.Module) -> int:
    """Fold every batch norm whose synapse is known, in place.

    Known are a synapse and the norm right behind it in an ``nn.Sequential``,
    and mmcv's ``ConvModule``. Any other norm stays, and the op trace charges
    it. Folding is done in float64 and rounded once.

    That a model really runs the norm behind the synapse, and reads the
    synapse's output nowhere else, can't be seen here:
    :func:`~mmsnn.conversion.to_spike_train` proves it.

    Args:
        model (nn.Module): In eval mode, since the running statistics are
            what is folded.

    Returns:
        int: Number of norms folded.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
        >>> fold_norms(net), net[1]
        (1, FoldedNorm())
    """
    folds = find_folds(model)[0]
    number = sum(fold.apply() for fold in folds)
    for fold in folds:
        fold.keep()
    return number


class FoldedNorm(nn.Identity):
    """What a batch norm becomes: it lets pass what the synapse has done.

    It is the very module, of another class, so that whoever holds it has it.
    """


class Fold:
    """A batch norm, and the synapses that it stands behind.

    A fold gives the synapses other weights and a bias, and the norm another
    class. While it is :attr:`hidden`, the modules have again what they had
    before, so that Python code that looks at them finds what it would find
    without the fold; :meth:`run` then runs a synapse as folded.

    Args:
        path (str): Path of the norm in the model.
        norm (_BatchNorm): The norm.
        synapses (dict[str, Module]): The synapses by their paths. They are
            several where places share the norm.

    Attributes:
        applied (bool): Whether the norm is folded now.
        hidden (bool): Whether it is, but the modules don't show it.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False),
        ...                     nn.BatchNorm2d(1)).eval()
        >>> fold = Fold('1', net[1], {'0': net[0]})
        >>> fold.apply(), net[1], net[0].bias is None
        (1, FoldedNorm(), False)
        >>> fold.hide()
        >>> type(net[1]), net[0].bias is None
        (<class 'torch.nn.modules.batchnorm.BatchNorm2d'>, True)
    """

    def __init__(self, path: str, norm: nn.Module,
                 synapses: dict[str, nn.Module]) -> None:
        self.path = path
        self.norm = norm
        self.synapses = synapses
        self.applied = self.hidden = False
        self._held = [vars(synapse) for synapse in synapses.values()]

    def apply(self) -> int:
        """Fold the norm.

        Returns:
            int: Number of synapses that it is folded into; 0 if their type
            can't hold the weights that would be theirs.
        """
        scale, shift = norm_as_affine(self.norm)
        new = [_folded(s, scale, shift) for s in self.synapses.values()]
        if not all(p.isfinite().all() for pair in new for p in pair):
            return 0
        for held, (weight, bias) in zip(self._held, new):
            held['_unseen'] = dict(held['_parameters'], weight=weight,
                                   bias=bias)
        self.norm._unseen = FoldedNorm, {}, {}
        self.applied = self.hidden = True
        self._learn()
        self.show()
        return len(new)

    def undo(self) -> None:
        """Make everything as it was before."""
        self.hide()
        if self.applied:
            for module in (*self.synapses.values(), self.norm):
                module._unseen = None  # not one attribute less: no new state
        self.applied = self.hidden = False

    def keep(self) -> None:
        """Leave the modules as they look now, for good."""
        if self.applied:
            for module in (*self.synapses.values(), self.norm):
                del module._unseen
        self.applied = self.hidden = False

    def _shown(self) -> list[torch.Tensor | None]:
        """The tensors that the modules show."""
        shown = [*self.norm._parameters.values(), *self.norm._buffers.values()]
        for held in self._held:
            shown += held['_parameters'].values()
        return shown

    def _learn(self) -> None:
        """Keep which tensors the hidden modules show."""
        self._known = self._shown()
        # Inference tensors count no writes: a call can't write into them.
        self._counting = [x for x in self._known
                          if x is not None and not x.is_inference()]
        self._versions = list(map(_VERSION, self._counting))

    def is_outdated(self) -> bool:
        """Whether tensors that the hidden modules show were replaced, or
        written into, since the norm was folded."""
        shown = self._shown()
        return (len(shown) != len(self._known)
                or not all(map(is_, shown, self._known))
                or list(map(_VERSION, self._counting)) != self._versions)

    def hide(self) -> None:
        """Give the modules what they had before, for Python code to see."""
        if not self.applied or self.hidden:
            return
        self._exchange()
        for synapse, held in zip(self.synapses.values(), self._held):
            folded = held['_unseen']['weight']
            weight = held['_parameters']['weight']
            if folded.device != weight.device or folded.dtype != weight.dtype:
                # The model was moved meanwhile.
                for module in (synapse, self.norm):
                    module.to(device=folded.device, dtype=folded.dtype)
                self._learn()

    def show(self) -> None:
        """Let the modules look as what they are, folded."""
        if self.hidden:
            self._exchange()

    def _exchange(self) -> None:
        """Exchange what modules show with what they keep unseen."""
        for held in self._held:
            held['_parameters'], held['_unseen'] = (held['_unseen'],
                                                    held['_parameters'])
        norm = self.norm
        held = vars(norm)
        kind, parameters, buffers = held['_unseen']
        held['_unseen'] = type(norm), held['_parameters'], held['_buffers']
        held['_parameters'], held['_buffers'] = parameters, buffers
        object.__setattr__(norm, '__class__', kind)
        self.hidden = not self.hidden

    @staticmethod
    def run(synapse: nn.Module, forward: Callable, args: tuple,
            kwargs: dict) -> Any:
        """Run a synapse as folded, while the fold is hidden.

        Args:
            synapse (Module): One of :attr:`synapses`.
            forward (Callable): Its ``forward``.
            args (tuple): Arguments of that.
            kwargs (dict): Its keyword arguments.

        Returns:
            What ``forward`` returns.
        """
        held = vars(synapse)
        seen, held['_parameters'] = held['_parameters'], held['_unseen']
        try:
            return forward(*args, **kwargs)
        finally:
            held['_parameters'] = seen


def _folded(synapse: nn.Module, scale: torch.Tensor,
            shift: torch.Tensor) -> tuple[nn.Parameter, nn.Parameter]:
    shape = [1] * synapse.weight.dim()
    shape[1 if getattr(synapse, 'transposed', False) else 0] = -1
    weight = synapse.weight.detach().double() * scale.view(shape)
    bias = shift
    if synapse.bias is not None:
        bias = synapse.bias.detach().double() * scale + shift
    kind = dict(dtype=synapse.weight.dtype,
                memory_format=torch.preserve_format)
    return (nn.Parameter(weight.to(**kind), requires_grad=False),
            nn.Parameter(bias.to(**kind), requires_grad=False))


def find_folds(model: nn.Module) -> tuple[list[Fold], list[str]]:
    """Batch norms that can be folded, and those that can't.

    Args:
        model (nn.Module): In eval mode.

    Returns:
        tuple[list[Fold], list[str]]: What can be folded; and for each norm
        that can't, its path and the reason.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        >>> find_folds(net)  # in train mode
        ([], ['1: it uses the statistics of each batch'])
    """
    paths = {module: path for path, module in model.named_modules()}
    uses = Counter(
        child for module in model.modules()
        for child in module._modules.values())
    behind = defaultdict(list)
    for synapse, norm in _pairs(model):
        behind[norm].append(synapse)
    folds, reasons = [], []
    for norm, synapses in behind.items():
        fold = Fold(paths[norm], norm, {paths[s]: s for s in synapses})
        reason = _why_not(fold, uses)
        if uses[norm] != len(synapses):
            reason = 'it stands elsewhere, too'
        if reason:
            reasons.append(f'{fold.path}: {reason}')
        else:
            folds.append(fold)
    reasons += [
        f'{path}: it is not looked for here, but right behind a synapse in an '
        'nn.Sequential or ConvModule' for norm, path in paths.items()
        if isinstance(norm, _BatchNorm) and norm not in behind]
    return folds, reasons


def _pairs(model: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Synapses, each with the batch norm that follows it."""
    for module in model.modules():
        found = []
        if isinstance(module, mmcv.cnn.ConvModule):
            order = [o for o in module.order if o != 'act'
                     or module.with_activation]
            together = order.index('norm') == order.index('conv') + 1
            if module.with_norm and together:
                found = [(module.conv, module.norm)]
        elif (getattr(type(module), 'forward', None)
              is nn.Sequential.forward):  # scripted modules have none
            # All of them, also a child that stands there twice.
            children = list(module._modules.values())
            found = list(zip(children, children[1:]))
        for synapse, norm in found:
            if isinstance(norm, _BatchNorm) and isinstance(
                    synapse, (nn.modules.conv._ConvNd, nn.Linear)):
                yield synapse, norm


def _why_not(fold: Fold, uses: Counter) -> str:
    """Why a norm can't be folded; empty if it can."""
    norm = fold.norm
    if norm.training or norm.running_mean is None:
        return 'it uses the statistics of each batch'
    for path, synapse in fold.synapses.items():
        if uses[synapse] > 1:
            return f'several places share {path}'
        if getattr(synapse, 'transposed', False) and synapse.groups > 1:
            return f'{path} is a transposed convolution with groups'
        channels = getattr(synapse, 'out_channels', None) or (
            synapse.out_features)
        if norm.num_features != channels:
            return (f'it has {norm.num_features} channels, but {path} has '
                    f'{channels}')
        reason = _unusual(path, synapse, _KNOWN[0])
        if reason:
            return reason
    return _unusual('it', norm, _KNOWN[1])


def _unusual(name: str, module: nn.Module, known: set) -> str:
    """What may make a module compute something else than its class does."""
    if parametrize.is_parametrized(module):
        return f'weights of {name} are computed (torch parametrizations)'
    if module._forward_hooks or module._forward_pre_hooks:
        return f'hooks are registered on {name}'
    if {'weight', 'bias'} - module._parameters.keys():
        return f'weights of {name} are no parameters of it'
    own = [m for m in _METHODS if m in vars(module)]
    for base in type(module).__mro__:
        own += [m for m in _METHODS
                if m in vars(base) and vars(base)[m] not in known]
    if own:
        return f'{name} ({type(module).__name__}) has its own {own[0]}'
    return ''
