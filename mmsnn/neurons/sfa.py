"""The SFA neuron, a T x D neuron with other defaults."""

from mmsnn.registry import MODELS

from .spiking import SpikingNeuron


@MODELS.register_module()
class SFANeuron(SpikingNeuron):
    """Spike firing approximation (SFA) neuron in training form.

    The output is ``c * scale`` with the spike count ``c`` = round half up of
    ``membrane / threshold``, clipped to 0..D (paper, eq. 5); its gradient is
    ``scale / threshold`` where ``0 <= membrane <= D * threshold``, else 0.
    :func:`mmsnn.conversion.to_spike_train` turns it into an IF neuron with
    soft reset that fires ``c`` binary spikes over D sub-steps (eq. 6,
    proposition 1).

    With ``timesteps`` above 1, what the soft reset leaves of the membrane is
    kept for the next time step.

    Args:
        max_spikes (int): D, the most spikes per time step. Defaults to 4.
        scale (float, optional): Factor on the count. Defaults to None, which
            means ``1 / max_spikes``; 1.0 gives the counts themselves.
        threshold (float): Membrane potential worth one spike. Defaults to 1.
        **keys: Any other key of :class:`SpikingNeuron`.

    Raises:
        ValueError: If a key has no valid value; the message names it.

    Example:
        >>> import torch
        >>> SFANeuron(max_spikes=4)(torch.tensor([-1., 0.5, 1.7, 9.]))
        tensor([0.0000, 0.2500, 0.5000, 1.0000])
        >>> SFANeuron(max_spikes=4, timesteps=2)(torch.tensor([1.25, 1.25]))
        tensor([0.2500, 0.5000])
    """

    offset = 0.5

    def __init__(self,
                 max_spikes: int = 4,
                 scale: float | None = None,
                 threshold: float = 1.0,
                 **keys) -> None:
        super().__init__(max_spikes, scale, threshold, **keys)
