"""The lossless forms that a neuron takes in a converted model."""

from types import MethodType

import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from mmsnn.neurons import (
    SpikingNeuron,
    fire_and_count,
    integrate_and_fire,
    is_finite,
    is_followed,
    is_traced,
    spike_count,
    spikes_in_substeps,
    spikes_reaching,
)

from .spike_tensor import Origin, SpikeTensor, decode

#: What a neuron must not define otherwise, since spikes replace it.
_REPLACED = ('forward', '__call__', 'run', 'unroll', '_fire_over_time',
             'is_static')
#: Of hooks before and behind a module's call, which it keeps in its form.
_HOOKS = ('_forward_pre_hooks', '_forward_pre_hooks_with_kwargs',
          '_forward_hooks', '_forward_hooks_with_kwargs',
          '_forward_hooks_always_called')


def check_neuron(neuron: SpikingNeuron, path: str) -> None:
    """Check that a neuron can fire spikes in place of its training form.

    Args:
        neuron (SpikingNeuron): The neuron.
        path (str): Its path in the model.

    Raises:
        ValueError: If its class has a ``forward`` of its own or the like, or
            its scale or offset is no number.

    Example:
        >>> class Loud(SpikingNeuron):
        ...     def forward(self, membrane):
        ...         return super().forward(2 * membrane)
        >>> check_neuron(Loud(), 'head.neuron')
        Traceback (most recent call last):
        ValueError: head.neuron: Loud has its own forward, which spikes can
        not replace: what it does to the input (a gain, a shift) belongs in
        charge, what it does to the state in discharge; see docs/neurons.md
    """
    kind = type(neuron)
    own = [
        name for name in _REPLACED if name in vars(neuron)
        or getattr(kind, name) is not getattr(SpikingNeuron, name)
    ]
    if own:
        raise ValueError(
            f'{path}: {kind.__name__} has its own {" and ".join(own)}, which '
            'spikes can not replace: what it does to the input (a gain, a '
            'shift) belongs in charge, what it does to the state in '
            'discharge; see docs/neurons.md')
    for name in ('scale', 'offset'):
        value = getattr(neuron, name)
        if not isinstance(value, (int, float)):
            raise ValueError(
                f'{path}: the {name} of {kind.__name__} must be a number, '
                f'but is a {type(value).__name__}: spikes have one scale and '
                'one offset; what is learnt belongs in charge')


def refuse_transforms(path: str) -> None:
    """Raise while a tracer, an export or a transform follows operations.

    Args:
        path (str): What is called, for the message.

    Raises:
        RuntimeError: If one does.
    """
    if is_followed() and (is_traced() or get_proxy_mode()):
        raise RuntimeError(
            f'{path}: a converted model can not be traced, exported or '
            'transformed, since spikes are no plain tensors: use the trained '
            'model, whose counts are the same')


class SpikingForm(nn.Module):
    """A neuron of a converted model. Subclasses say how it fires.

    Args:
        neuron (SpikingNeuron): The neuron in training form.
        path (str): Its path in the model.
        session (Session): What the converted model is doing.

    Attributes:
        binary (bool): Whether it emits spike trains, not counts.

    Raises:
        ValueError: If the neuron can't fire spikes, see :func:`check_neuron`.
    """

    binary: bool

    def __init__(self, neuron: SpikingNeuron, path: str, session) -> None:
        super().__init__()
        check_neuron(neuron, path)
        for name in _HOOKS:
            mine, its = getattr(self, name), getattr(neuron, name)
            mine.update(its)
            its.clear()
        self.neuron = neuron
        self.path = path
        self.session = session

    def __getattr__(self, name):
        """What a model reads of a neuron (its scale, D, T) is still there;
        what computes is not."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            neuron = self.__dict__.get('_modules', {}).get('neuron')
            if name.startswith('_') or not hasattr(neuron, name):
                raise
            value = getattr(neuron, name)
            if isinstance(value, MethodType):
                raise AttributeError(
                    f'{self.path}: a neuron of a converted model has no '
                    f'{name}, which would give no spikes: call the neuron '
                    'itself') from None
            return value

    def forward(self, membrane: torch.Tensor) -> torch.Tensor:
        """Fire.

        Args:
            membrane (Tensor): Membrane potentials, (N * T, ...).

        Returns:
            SpikeTensor: Same shape; a plain tensor of counts times the scale
            while the call is counted by a plan.

        Raises:
            ValueError: If a membrane potential is NaN or infinite.
            RuntimeError: While a tracer or a transform follows operations.
        """
        refuse_transforms(self.path)
        session = self.session
        if session.replay is not None:
            return self._replay(membrane)
        given = membrane
        with session.unrecorded():
            membrane = decode(given)
            spikes, levels = self._fire(membrane)
        if session.recorder is not None:
            sources = session.recorder.sources
            session.check_images(self.path, membrane.shape,
                                 self.neuron.timesteps,
                                 sources.depend_on_input(sources.of(given)))
            per_image = membrane.numel() // max(
                session.images * self.neuron.timesteps, 1)
            with session.unrecorded():
                number = session.recorder.add_neuron(
                    self.path, given, spikes, levels,
                    per_image * membrane.element_size(),
                    own=', '.join(self.neuron.own_equations))
            spikes.origin = Origin(number)
        return spikes

    def counts(self, output: torch.Tensor) -> torch.Tensor:
        """Spike counts of whole time steps.

        Args:
            output (Tensor): What :meth:`forward` has returned.

        Returns:
            Tensor: Integers 0..D, (N * T, ...), of a floating-point type.
        """
        if isinstance(output, SpikeTensor):
            return output.counts()
        scale = self.neuron.scale
        return output if scale == 1 else (output / scale).round()

    def _fire(self, membrane: torch.Tensor):
        raise NotImplementedError

    def _spikes(self, parts: list[torch.Tensor],
                spikes: int | None = None) -> SpikeTensor:
        neuron = self.neuron
        return SpikeTensor(parts, neuron.scale, neuron.max_spikes, self.binary,
                           spikes, timesteps=neuron.timesteps)

    def _replay(self, membrane: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError(f'{type(self).__name__} keeps no plan')

    def _check_own_firing(self, potential: torch.Tensor) -> None:
        """Where a neuron fires by a method of its own, that may differ in the
        gradient only."""
        neuron = self.neuron
        if '_fire' not in neuron.own_equations:
            return
        fired = spike_count(potential, neuron.max_spikes, neuron.offset)
        if not torch.equal(neuron._fire(potential), fired):
            raise ValueError(
                f'{self.path}: {type(neuron).__name__}._fire gives other '
                'counts than an IF neuron fires: only its gradient may '
                'differ; the threshold, the offset and charge decide when it '
                'fires')

    def _check_finite(self, finite: bool) -> None:
        if not finite:
            raise ValueError(f'{self.path}: the membrane potential is NaN '
                             'or infinite; check the input and weights')


class SpikeTrainNeuron(SpikingForm):
    """Runs an IF neuron for D sub-steps, and emits D binary tensors."""

    binary = True

    def _fire(self, membrane):
        self._check_finite(is_finite(membrane))
        neuron = self.neuron
        if not neuron.is_static:
            return self._fire_over_time(membrane)
        train = integrate_and_fire(
            neuron.potentials(membrane), neuron.max_spikes)
        levels = _firing(train).tolist()
        return self._spikes(train, sum(levels)), levels

    def _fire_over_time(self, membrane):
        """Run the IF neuron in each time step. Between them, the membrane is
        reset and decays as in training form."""
        neuron = self.neuron
        train = [torch.empty_like(membrane) for _ in range(neuron.max_spikes)]
        slots = zip(*(s.unflatten(0, (-1, neuron.timesteps)).unbind(1)
                      for s in train))
        levels = []

        def fire(potential):
            self._check_own_firing(potential)
            step = integrate_and_fire(potential, neuron.max_spikes,
                                      neuron.offset)
            for slot, spikes in zip(next(slots), step):
                slot.copy_(spikes)
            levels.append(_firing(step))
            return sum(step)

        neuron.unroll(membrane, fire=fire)
        levels = torch.cat(levels).tolist()
        return self._spikes(train, sum(levels)), levels


def _firing(train: list[torch.Tensor]) -> torch.Tensor:
    """Spikes in each tensor of a train, on its device."""
    return torch.cat([spikes_in_substeps(s, 1) for s in train])


class CountNeuron(SpikingForm):
    """Runs the training form, and emits spike counts."""

    binary = False

    def _fire(self, membrane):
        self._check_finite(is_finite(membrane))
        values = self._values(membrane)
        levels = self._levels(values)
        return self._spikes([values], sum(levels)), levels

    def _values(self, membrane: torch.Tensor) -> torch.Tensor:
        """Spike counts times the scale, by the training form."""
        if '_fire' in self.neuron.own_equations:
            self._check_own_firing(self.neuron.potentials(membrane))
        return self.neuron(membrane)

    def _levels(self, values: torch.Tensor) -> list[int]:
        """Spikes per sub-step of every time step."""
        neuron = self.neuron
        steps = [values]
        if neuron.timesteps > 1:
            steps = values.unflatten(0, (-1, neuron.timesteps)).unbind(1)
            steps = [x.clone() for x in steps]  # each in one piece of memory
        return torch.cat([
            spikes_in_substeps(x, neuron.max_spikes, neuron.scale)
            for x in steps
        ]).tolist()

    def spikes(self, output: torch.Tensor) -> SpikeTensor:
        """What :meth:`forward` has returned in a call counted by a plan, as
        spikes.

        Args:
            output (Tensor): Counts times the scale, however rearranged.

        Returns:
            SpikeTensor: The same.
        """
        return self._spikes([output])

    def _replay(self, membrane):
        # As self.neuron, in less time.
        neuron, replay = self._modules['neuron'], self.session.replay
        kinds = neuron.max_spikes, neuron.scale
        reach = replay.expect(self.path, membrane)
        if neuron.is_static:
            inplace = neuron.inplace
            if neuron.threshold != 1:
                membrane, inplace = neuron.potentials(membrane), True
            values, finite, levels, reached = fire_and_count(
                membrane, *kinds, reach, inplace)
            self._check_finite(finite)
        else:
            self._check_finite(is_finite(membrane))
            values = self._values(membrane)
            levels = self._levels(values)
            reached = spikes_reaching(values, *kinds, reach)
        replay.fired(values, levels, reached, self)
        return values
