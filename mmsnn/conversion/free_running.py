"""The op trace of a model that fires while input still arrives."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import nn

from mmsnn.conversion.upstream.copying import detached_copy
from mmsnn.conversion.upstream.random_numbers import RandomNumbers
from mmsnn.trace import OpTrace

from .convert import to_spike_train
from .equality import EqualityCheck
from .equality_report import EqualityReport
from .watching import Firing, neuron_layers, watch_neurons

#: Spikes times scale of whole time steps, by path of the neuron, in the order
#: of its calls.
Fired = dict[str, list[torch.Tensor]]


@dataclass(frozen=True)
class FreeRunningRun:
    """One call of a model in both forms.

    Attributes:
        equality (EqualityReport): Free running against the training form.
        trace (OpTrace): Of the spikes that were fired while input arrived.
        lossless (OpTrace): Of the same call in lossless form.
    """

    equality: EqualityReport
    trace: OpTrace
    lossless: OpTrace


def run_free_running(model: nn.Module, *args, **kwargs) -> FreeRunningRun:
    """Run a model while input arrives, and count what its spikes cause.

    The free-running form holds all sub-steps at once, so ops can't be counted
    in it. Its neurons are watched; then the model is run once more in form
    ``'counts'``, where each neuron fires what the watched one has fired in
    all sub-steps together. Every addition of a convolution or linear layer
    is thereby counted exactly, since each spike is added at its targets
    whenever it arrives. A product of attention is counted as if its operands
    were complete; while they arrive, it must be corrected over and over,
    which costs more.

    Args:
        model (nn.Module): The trained model, in eval mode.
        *args: Those of its call.
        **kwargs: Those of its call.

    Returns:
        FreeRunningRun: The comparison, and both traces.

    Raises:
        ValueError: If the model can't run in this form, see
            :class:`~mmsnn.conversion.spikes.free_running_form.FreeRunningNeuron`.

    Example:
        >>> from mmsnn.layers import SpikeConv2d
        >>> conv = SpikeConv2d(
        ...     1, 2, 3, neuron=dict(type='mmsnn.SFANeuron')).eval()
        >>> run = run_free_running(conv, torch.ones(1, 1, 3, 3))
        >>> run.trace.total('sops'), run.lossless.total('sops')
        (18, 18)
    """
    spiking = to_spike_train(model, 'free_running')
    check = EqualityCheck(model, spiking)

    def measure(firing: Firing) -> tuple[str, torch.Tensor]:
        return firing.path, firing.counts * firing.neuron.scale

    drawn = RandomNumbers()  # noise is the same in all runs
    with watch_neurons(spiking.module, measure) as found:
        check.compare(*detached_copy(args), **detached_copy(kwargs))
    fired: Fired = {}
    for path, values in found:
        fired.setdefault(path, []).append(values)
    traces = []
    for given in (fired, {}):
        drawn.restore()
        traces.append(_trace(model, args, kwargs, given))
    return FreeRunningRun(check.report, *traces)


def _trace(model: nn.Module, args, kwargs, fired: Fired) -> OpTrace:
    """Of a call in which some neurons fire what is given."""
    spiking = to_spike_train(model, 'counts')
    with ExitStack() as run:
        for path, form in neuron_layers(spiking.module):
            if path in fired:
                done: list[torch.Tensor] = []
                run.enter_context(spiking.session.keeps(done))
                form.neuron.forward = _firing(fired[path], done)
        run.enter_context(spiking)
        spiking(*detached_copy(args), **detached_copy(kwargs))
    return spiking.trace


def _firing(given: list[torch.Tensor], done: list[torch.Tensor]) -> Callable:
    """Fires what is given, in the order of the calls. A run that is given up
    leaves nothing in ``done``."""

    def fire(membrane: torch.Tensor) -> torch.Tensor:
        done.append(given[len(done)])
        return done[-1]

    return fire
