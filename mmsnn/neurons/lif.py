"""The LIF neuron, a T x D neuron with other defaults."""

from mmsnn.registry import MODELS

from .spiking import SpikingNeuron


@MODELS.register_module()
class LIFNeuron(SpikingNeuron):
    """Leaky integrate-and-fire (LIF) neuron, as Meta-SpikeFormer has it.

    ``v <- v + (u - v) / 2``, one spike where ``v >= threshold``, then hard
    reset to 0 (without gradient); sigmoid surrogate with slope 4. Other keys
    give its relatives: ``decay=1.0, decay_input=False`` is an IF neuron,
    ``max_spikes=4, surrogate='rectangle', reset='soft'`` fires integers.

    Args:
        max_spikes (int): D, the most spikes per time step. Defaults to 1.
        decay (float): What is left of the membrane potential after a time
            step (``1 - 1 / tau``). Defaults to 0.5.
        decay_input (bool): Whether the input is multiplied by ``1 - decay``,
            at T = 1 too. Defaults to True.
        reset (str): ``'soft'`` or ``'hard'``. Defaults to 'hard'.
        surrogate (str): Defaults to 'sigmoid'.
        slope (float): Defaults to 4.
        **keys: Any other key of :class:`SpikingNeuron`, such as
            ``timesteps``.

    Raises:
        ValueError: If a key has no valid value; the message names it.

    Example:
        >>> import torch
        >>> LIFNeuron(timesteps=3)(torch.tensor([1.5, 1.5, 1.5]))
        tensor([0., 1., 0.])
    """

    def __init__(self,
                 max_spikes: int = 1,
                 decay: float = 0.5,
                 decay_input: bool = True,
                 reset: str = 'hard',
                 surrogate: str = 'sigmoid',
                 slope: float = 4.0,
                 **keys) -> None:
        super().__init__(
            max_spikes,
            decay=decay,
            decay_input=decay_input,
            reset=reset,
            surrogate=surrogate,
            slope=slope,
            **keys)
