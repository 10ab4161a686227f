"""The longest chain of neuron layers in a model, found while it runs."""

from contextlib import ExitStack
from typing import NamedTuple

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef

from mmsnn.conversion.counting.tensor_sources import memory_of
from mmsnn.conversion.spikes.forms import SpikingForm
from mmsnn.conversion.upstream.mmcv_dispatch import (
    MmcvOpMode,
    expose_mmcv_ops,
)
from mmsnn.conversion.upstream.nested import tensors

from .watching import Firing, watch_neurons


class Depth(NamedTuple):
    """A chain of neuron layers.

    Attributes:
        substeps (int): Sum of their T x D.
        layers (int): Their number.
    """

    substeps: int = 0
    layers: int = 0


class NeuronDepth(MmcvOpMode):
    """Finds the longest chain of neuron layers while it is entered.

    In lossless synchronous execution a layer of neurons fires, for T x D
    sub-steps, when all its input has arrived. What comes last has then waited
    for the longest chain of layers of which each depends on the one before.
    Layers that do not depend on each other, such as those of queries, keys
    and values, fire at the same time. With T > 1 a layer is taken to go
    through all time steps before the next one starts; a pipeline over time
    steps would be faster and as lossless.

    Which tensors a tensor depends on is seen op by op, also through mmcv's
    compiled ops; all that shares memory counts as one tensor. What a model
    does with plain numbers in between is not seen.

    Args:
        model (nn.Module): The model in training form.

    Attributes:
        longest (Depth): The longest chain so far.

    Raises:
        TypeError: If the model is converted: it may run a call twice, and
            only one of both counts.

    Example:
        >>> from mmsnn.layers import ESDSA
        >>> model = ESDSA(16, dict(type='mmsnn.SFANeuron', max_spikes=4))
        >>> with NeuronDepth(model) as depth:
        ...     _ = model(torch.rand(1, 16, 3, 3))
        >>> depth.longest  # a neuron, those of q, k and v, the last one
        Depth(substeps=12, layers=3)
    """

    #: Neurons may run as kernels: none of their operations matter here.
    allows_kernels = True

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if any(isinstance(m, SpikingForm) for m in model.modules()):
            raise TypeError(
                f'NeuronDepth takes a model in training form, but '
                f'{type(model).__name__} is converted: give it the trained '
                'model, whose chains are the same')
        expose_mmcv_ops()
        self.model = model
        self.longest = Depth()
        # By memory; a weak reference keeps an address from being used again.
        self._depths: dict[StorageWeakRef, Depth] = {}
        self._watched = ExitStack()

    def __enter__(self) -> 'NeuronDepth':
        self._watched.enter_context(watch_neurons(self.model, self._fired))
        return super().__enter__()

    def __exit__(self, *exc) -> None:
        self._watched.close()
        super().__exit__(*exc)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self._depends(out, (args, kwargs))
        return out

    def run_mmcv_op(self, name, call, args, kwargs):
        """See :meth:`.MmcvOpMode.run_mmcv_op`."""
        out = call(*args, **kwargs)
        self._depends((out, args, kwargs), (args, kwargs))
        return out

    def _depends(self, results, inputs) -> None:
        depth = max((self._depth(x) for x in tensors(inputs)),
                    default=Depth())
        for x in tensors(results):
            self._set(x, max(depth, self._depth(x)))

    def _fired(self, firing: Firing) -> None:
        neuron = firing.neuron
        before = max(self._depth(x) for x in tensors(firing.inputs))
        after = Depth(
            before.substeps + neuron.timesteps * neuron.max_spikes,
            before.layers + 1)
        self.longest = max(self.longest, after)
        self._set(firing.output, after)

    def _depth(self, x: torch.Tensor) -> Depth:
        return self._depths.get(memory_of(x), Depth())

    def _set(self, x: torch.Tensor, depth: Depth) -> None:
        self._depths[memory_of(x)] = depth
