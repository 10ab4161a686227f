"""The T x D neuron."""

from struct import pack, unpack

import torch
from torch import nn

from . import gpu, ops
from .checks import check_device, check_input, check_strided, check_type
from .equations import Equations
from .keys import check_keys, no_such_key
from .native import is_followed
from .packed import mark
from .quantizer import spike_firing
from .temporal import fire_over_time, usable

_NUMBER = (float, int)


class SpikingNeuron(Equations):
    r"""The T x D neuron: T time steps, up to D spikes in each.

    In time step t the input :math:`u[t]` charges the membrane, the neuron
    fires up to D spikes, and the reset leaves the state of the next step:

    .. math::
        v[t] &= \lambda h[t-1] + u[t] \quad\text{or, with decay\_input,}\quad
            h[t-1] + (u[t] - h[t-1]) (1 - \lambda) \\
        c[t] &= \mathrm{clip}(\lfloor v[t] / \theta + \mathrm{offset}
            \rfloor, 0, D) \\
        h[t] &= v[t] - \theta c[t] \text{ (soft reset)} \quad\text{or}\quad
            0 \text{ where } c[t] > 0 \text{ (hard reset)}

    and the output is ``c[t] * scale``. :class:`SFANeuron` and
    :class:`LIFNeuron` are this neuron with other defaults. Train and eval
    are the same. For float16 and bfloat16 inputs the membrane is kept in
    float32 over time.

    A subclass may have equations of its own: it overrides :meth:`charge` or
    :meth:`discharge`, which then run everywhere (see docs/neurons.md).

    Args:
        max_spikes (int): D, the most spikes per time step. Defaults to 1.
        scale (float, optional): Factor on the count. Defaults to None, which
            means ``1 / max_spikes``; 1.0 gives the counts themselves. It is
            rounded to float32, so that products with weights in float32 are
            exact in float64.
        threshold (float): :math:`\theta`, the membrane potential worth one
            spike. Defaults to 1.
        timesteps (int): T. Defaults to 1.
        decay (float): :math:`\lambda`, what is left of the membrane potential
            after a time step, in (0, 1]; 1 is an IF neuron. Defaults to 1.
        decay_input (bool): Whether the input is multiplied by ``1 - decay``.
            Defaults to False.
        reset (str): ``'soft'`` or ``'hard'``. Defaults to 'soft'.
        detach_reset (bool): No gradient through the reset. Defaults to True.
        learn_decay (bool): The decay is the sigmoid of a parameter,
            ``decay_logit``, which starts at ``decay``. Defaults to False.
        surrogate (str): Gradient of the count by ``v / threshold``:
            ``'rectangle'`` (any D), ``'sigmoid'`` or ``'arctan'`` (D = 1).
            Defaults to 'rectangle'.
        slope (float): Slope of a smooth surrogate, on ``v / threshold``.
            Defaults to 4.
        inplace (bool): The input may be overwritten where no gradient is
            needed. Defaults to False.
        **unknown: Any other key is an error, which names the valid ones.

    Raises:
        TypeError: If there is no such key; the message has the nearest one.
        ValueError: If a key has no valid value; the message names it.

    Example:
        >>> neuron = SpikingNeuron(timesteps=3)
        >>> neuron(torch.tensor([0.625, 0.625, 0.625]))
        tensor([0., 1., 0.])
    """

    #: Added to ``v / threshold`` before it is rounded down: 1/2 fires at
    #: ``threshold / 2`` (SFA), 0 at the threshold (classical neurons).
    offset = 0.0

    def __init__(self,
                 max_spikes: int = 1,
                 scale: float | None = None,
                 threshold: float = 1.0,
                 timesteps: int = 1,
                 decay: float = 1.0,
                 decay_input: bool = False,
                 reset: str = 'soft',
                 detach_reset: bool = True,
                 learn_decay: bool = False,
                 surrogate: str = 'rectangle',
                 slope: float = 4.0,
                 inplace: bool = False,
                 **unknown) -> None:
        super().__init__()
        for name in unknown:
            raise TypeError(no_such_key(type(self), name))
        check_keys(
            max_spikes=max_spikes,
            scale=scale,
            threshold=threshold,
            timesteps=timesteps,
            decay=decay,
            decay_input=decay_input,
            reset=reset,
            detach_reset=detach_reset,
            learn_decay=learn_decay,
            surrogate=surrogate,
            slope=slope,
            inplace=inplace)
        self.max_spikes = max_spikes
        self.scale = _single(1 / max_spikes if scale is None else scale)
        self.threshold = float(threshold)
        self.timesteps = timesteps
        self.decay_input = decay_input
        self.reset = reset
        self.detach_reset = detach_reset
        self.learn_decay = learn_decay
        self.surrogate = surrogate
        self.slope = float(slope)
        self.inplace = inplace
        self._decay = float(decay)
        if learn_decay:
            self.decay_logit = nn.Parameter(torch.tensor(self._decay).logit())

    @property
    def decay(self) -> float | torch.Tensor:
        """What is left of the membrane potential after a time step; a tensor
        of no dimensions if it is learnt."""
        return self.decay_logit.sigmoid() if self.learn_decay else self._decay

    @property
    def is_static(self) -> bool:
        """Whether nothing but the rounding of the input is left to do."""
        return (self.timesteps == 1 and self._is_plain and self.offset == 0.5
                and self.surrogate == 'rectangle' and not self.decay_input
                and not self.learn_decay)

    @property
    def _is_plain(self) -> bool:
        """Whether kernels know its equations and numbers."""
        return (not self.own_equations and isinstance(self.scale, _NUMBER)
                and isinstance(self.threshold, _NUMBER)
                and isinstance(self.offset, _NUMBER)
                and isinstance(self.slope, _NUMBER))

    def forward(self, membrane: torch.Tensor) -> torch.Tensor:
        """Fire, from a state of zero; nothing is kept for the next call.

        Args:
            membrane (Tensor): Inputs of the membranes, (N * T, ...): all time
                steps of the first sample, then of the second. Any shape where
                T is 1.

        Returns:
            Tensor: Spike counts times ``scale``, same shape and layout.

        Raises:
            ValueError: If T does not divide the first dimension.
        """
        if not self.is_static:
            if 'run' in self.own_equations:
                return self.run(membrane)[0]
            check_input(membrane, self.timesteps)
            spikes = self._fire_over_time(membrane, None, self.timesteps,
                                          self.inplace, False)[0]
            if self._is_plain and spikes.requires_grad and not is_followed():
                mark(spikes, self.max_spikes, self.scale)
            return spikes
        return spike_firing(
            membrane,
            self.max_spikes,
            self.scale,
            self.inplace,
            threshold=self.threshold)

    def run(
        self,
        membrane: torch.Tensor,
        state: torch.Tensor | None = None,
        timesteps: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Fire from a given state, and return the state that is left.

        Args:
            membrane (Tensor): Inputs of the membranes, (N * T, ...).
            state (Tensor, optional): Membrane potentials that the time step
                before has left, (N, ...). Defaults to None, which is zero.
            timesteps (int, optional): T of this call, for streaming. Defaults
                to None, which means the neuron's own.

        Returns:
            tuple[Tensor, Tensor]: Spike counts times ``scale``, as in
            :meth:`forward`, and the state, (N, ...), in float32 or float64.

        Raises:
            ValueError: If T does not divide the first dimension, or the
                state has another shape than (N, ...).

        Example:
            >>> neuron = SpikingNeuron(timesteps=3)
            >>> spikes, state = neuron.run(torch.tensor([0.75]), timesteps=1)
            >>> spikes, state
            (tensor([0.]), tensor([0.7500]))
            >>> neuron.run(torch.tensor([0.75]), state, timesteps=1)
            (tensor([1.]), tensor([0.5000]))
        """
        timesteps = self.timesteps if timesteps is None else timesteps
        check_keys(timesteps=timesteps)
        check_input(membrane, timesteps, state)
        return self._fire_over_time(membrane, state, timesteps, False)

    def _fire_over_time(self, membrane, state, timesteps, inplace,
                        with_state=True):
        check_type(membrane.dtype, self.max_spikes, self.scale)
        check_strided(membrane)
        if self.learn_decay:
            check_device('neuron.decay_logit', self.decay_logit, membrane)
        if self._is_plain and gpu.usable(membrane):
            return gpu.fire_over_time(self, membrane, state, timesteps,
                                      inplace, with_state)
        if self._is_plain and usable(membrane, state):
            return fire_over_time(self, membrane, state, timesteps, inplace)
        if self._is_plain and ops.usable(membrane):
            return ops.fire_over_time(self, membrane, state, timesteps,
                                      with_state)
        return self.unroll(membrane, state, timesteps)


def _single(number: float) -> float:
    """A number rounded to float32."""
    return unpack('f', pack('f', number))[0]
