"""Do neurons stand where upstream's code needs them? Seen in a run."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.weak import WeakIdKeyDictionary

from mmsnn.conversion.rules.rule import Call, Effect
from mmsnn.conversion.rules.table import find_rule
from mmsnn.conversion.spikes.spike_tensor import SpikeTensor
from mmsnn.conversion.upstream.nested import tensors
from mmsnn.layers import is_spiking_form
from mmsnn.layers.activation import ReplacedActivation, replaced_at_the_end

from .module_path import ModulePath
from .tensor_sources import TensorSources, memory_of

#: Kinds of ops that may stand between an activation and the neuron which
#: replaces it: sums, means, interpolations and norms.
_BETWEEN = ('add', 'pool', 'interpolate', 'norm')
#: Products, also by a number or by what the model holds.
_PRODUCTS = ('mul', 'mul_', 'div', 'div_', 'true_divide')
#: Ops behind which nothing is negative, where that is so for any bounds.
_RECTIFIERS = ('relu', 'relu_', 'relu6', 'relu6_')


class PlacementWatch:
    """Watches two things in a call of a model that was made spiking.

    An activation was taken out, since the neuron of the next synapse does its
    work. Is there one, on each way that the activation's result takes? Moves,
    sums, means, interpolations, norms, and products with what is not negative
    may lie in between; if anything else reads the result, or the model
    returns it, the activation is missing there.

    A layer has a neuron in front of its weights. Does other code read them?
    What it computes with them passes that neuron.

    Args:
        path (ModulePath): Knows which module is running.
        sources (TensorSources): Knows what follows the model's input.
    """

    def __init__(self, path: ModulePath, sources: TensorSources) -> None:
        self._path, self._sources = path, sources
        self._modules = dict(path.model.named_modules())
        # A tensor -> paths of the activations that are missing in it so far.
        self._missing = WeakIdKeyDictionary()
        # Path of an activation -> what reads its result without a neuron.
        self._readers: dict[str, str] = {}
        # Memory of weights -> the layers behind neurons that they belong to.
        self._owners: dict[StorageWeakRef, set[str]] = defaultdict(set)
        # Path of a layer -> what reads its weights.
        self._weights_read: dict[str, str] = {}
        for name, module in self._modules.items():
            if is_spiking_form(module):
                for parameter in module.parameters():
                    self._owners[memory_of(parameter)].add(name)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Context in which activations that were taken out are met."""
        with ExitStack() as handles:
            for name, module in self._modules.items():
                part = replaced_at_the_end(module)
                if isinstance(module, ReplacedActivation):
                    hook = self._met(name, module)
                elif part:
                    hook = self._met(f'{name}.{part}'.lstrip('.'),
                                     module.activate)
                else:
                    continue
                handle = module.register_forward_hook(hook, with_kwargs=True)
                handles.callback(handle.remove)
            yield

    def _met(self, name: str, activation: ReplacedActivation) -> Callable:

        def hook(module, args, kwargs, x):
            runs = args[1] if len(args) > 1 else kwargs.get('activate', True)
            if not isinstance(x, torch.Tensor) or isinstance(
                    x, SpikeTensor) or not runs:
                return None
            # Who reads what went into it does not read its result.
            result = x if activation.inplace else x.view_as(x)
            self._missing[result] = self._missing.get(x, frozenset()) | {name}
            return result

        return hook

    def ran(self, func, args: tuple, kwargs: dict, out: Any,
            cost: dict | None) -> None:
        """Note an op.

        Args:
            func (OpOverload): The op.
            args (tuple): Its arguments.
            kwargs (dict): Its keyword arguments.
            out: What it returned.
            cost (dict, optional): Its cost; None if it is free.
        """
        rule = find_rule(func)
        if rule is not None and rule.effect is Effect.MADE:
            return
        given = [x for x in tensors((args, kwargs))
                 if not isinstance(x, SpikeTensor)]
        name = func.overloadpacket.__name__
        self._read(given, name)
        missing = self._missing_in(given)
        if not missing:
            return
        call = Call(func, args, kwargs, out)
        if _rectifies(name, call):
            missing = frozenset()
        elif not self._goes_on(rule, name, call, given, cost):
            self._note(missing, f'{self._path.name} reads it ({name})')
            missing = frozenset()
        for x in tensors(out):
            if not isinstance(x, SpikeTensor):
                self._missing[x] = missing

    def ran_compiled(self, name: str, arguments: Any) -> None:
        """Note an op that PyTorch does not know.

        Args:
            name (str): Its name.
            arguments: Tensors, nested.
        """
        given = [x for x in tensors(arguments)
                 if not isinstance(x, SpikeTensor)]
        self._read(given, name)
        self._note(self._missing_in(given),
                   f'{self._path.name} reads it ({name})')

    def returned(self, results: Any) -> None:
        """Note what the model returns.

        Args:
            results: Tensors, nested, also in attributes of objects.
        """
        self._note(self._missing_in(_inside(results, set())),
                   'the model returns it')

    def _missing_in(self, given) -> frozenset[str]:
        return frozenset().union(
            *(self._missing.get(x, ()) for x in given))

    def _note(self, missing: frozenset[str], reader: str) -> None:
        for name in missing:
            self._readers.setdefault(name, reader)

    def _goes_on(self, rule, name: str, call: Call, given: list,
                 cost: dict | None) -> bool:
        """Whether a neuron behind an op can do an activation's work."""
        if rule is not None and rule.effect in (
                Effect.MOVED, Effect.EXTREME, Effect.UNCHANGED):
            return True
        if cost is None or cost['kind'] in _BETWEEN:
            return True
        if name not in _PRODUCTS:
            return False
        factors = [x for x in given if not self._missing.get(x)]
        divisor = call.get('other') if 'div' in name else None
        if any(x is divisor and self._missing.get(x) for x in given):
            return False
        # Commutes with ReLU if no factor is negative; one that the model
        # holds is part of what it has learnt.
        return len(factors) == len(given) - 1 and all(
            not self._sources.depend_on_input(self._sources.of(x))
            or not bool((x < 0).any()) for x in factors)

    def _read(self, given: list, name: str) -> None:
        """Note that an op reads weights."""
        running = self._path.name
        module = self._modules.get(running, self._path.model)
        for x in given:
            owners = x.layout is torch.strided and self._owners.get(
                memory_of(x))
            if not owners or getattr(module, 'reads_weights', False):
                continue
            inside = any(f'{running}.'.startswith(f'{owner}.') or not owner
                         for owner in owners)
            own = any(x is p or memory_of(p) == memory_of(x)
                      for p in module._parameters.values() if p is not None)
            if not inside and not own:
                for owner in owners:
                    self._weights_read.setdefault(
                        owner, f'{running} reads them ({name})')

    def faults(self) -> list[str]:
        """What the call has shown.

        Returns:
            list[str]: Sentences that name paths, and what to write.
        """
        found = []
        for head, entries in (
            ('these activations were taken out, but no neuron of a layer '
             'behind them does their work', {
                 name: (f'{self._modules[name].replaced}, {reader}')
                 for name, reader in self._readers.items()}),
            ('code reads the weights of layers past their neurons',
             self._weights_read)):
            by_owner = defaultdict(list)
            for name in entries:
                by_owner[self._built_by(name)].append(name)
            for owner, names in by_owner.items():
                told = ', '.join(f'{n} ({entries[n]})' for n in names)
                inside = [n[len(owner):].lstrip('.') for n in names]
                found.append(f'{head}: {told}; to leave them, write '
                             f'keep_real={inside!r} where '
                             f'{owner or "the model"} is made spiking')
        return found

    def _built_by(self, name: str) -> str:
        """Path of the module whose config has the key ``keep_real``."""
        while name:
            name = name.rpartition('.')[0]
            if vars(self._modules[name]).get('neurons_placed'):
                return name
        return ''


def _rectifies(name: str, call: Call) -> bool:
    """Whether nothing behind an op is negative."""
    lowest = call.get('min', call.get('min_val'))
    return name in _RECTIFIERS or (
        name.startswith(('clamp', 'hardtanh'))
        and isinstance(lowest, (int, float)) and lowest >= 0)


def _inside(x: Any, known: set[int]) -> Iterator[torch.Tensor]:
    """Tensors in containers and in attributes of plain objects."""
    if isinstance(x, torch.Tensor):
        yield x
    elif id(x) not in known and not isinstance(x, (nn.Module, type, str)):
        known.add(id(x))
        if isinstance(x, dict):
            x = list(x.values())
        elif not isinstance(x, (list, tuple)):
            x = list(getattr(x, '__dict__', {}).values())
        for y in x:
            yield from _inside(y, known)
