from typing import Optional

import torch
from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

from mmsnn.registry import MODELS

from .quantizer import spike_firing


@MODELS.register_module()
class SFANeuron(nn.Module):
    """Spike firing approximation (SFA) neuron in training form.

    The output is ``c * scale`` with the spike count ``c`` = round half up of
    ``membrane / threshold``, clipped to 0..D (paper, eq. 5); its gradient is
    ``scale / threshold`` where ``0 <= membrane <= D * threshold``, else 0.
    Train and eval are the same. :func:`mmsnn.conversion.to_spike_train` turns
    it into an IF neuron with soft reset that fires ``c`` binary spikes over
    D sub-steps (eq. 6, proposition 1).

    Args:
        max_spikes (int): D, the most spikes per time step. Defaults to 4.
        scale (float, optional): Factor on the count. Defaults to None, which
            means ``1 / max_spikes``; 1.0 gives the counts themselves.
        threshold (float): Membrane potential worth one spike. Defaults to 1.
        inplace (bool): Overwrite the membrane where no gradient is needed.
            Defaults to False.

    Raises:
        ValueError: If ``max_spikes`` is not a positive integer, or ``scale``
            or ``threshold`` not a positive number.

    Example:
        >>> SFANeuron(max_spikes=4)(torch.tensor([-1., 0.5, 1.7, 9.]))
        tensor([0.0000, 0.2500, 0.5000, 1.0000])
    """

    def __init__(self,
                 max_spikes: int = 4,
                 scale: Optional[float] = None,
                 threshold: float = 1.0,
                 inplace: bool = False) -> None:
        super().__init__()
        if (isinstance(max_spikes, bool) or not isinstance(max_spikes, int)
                or max_spikes < 1):
            raise ValueError('neuron.max_spikes must be a positive integer, '
                             f'but is {max_spikes!r}')
        if scale is None:
            scale = 1 / max_spikes
        for name, value in dict(scale=scale, threshold=threshold).items():
            if not isinstance(value, (int, float)) or not 0 < value < float(
                    'inf'):
                raise ValueError(f'neuron.{name} must be a positive number, '
                                 f'but is {value!r}')
        self.max_spikes = max_spikes
        self.scale = float(scale)
        self.threshold = float(threshold)
        self.inplace = inplace

    def forward(self, membrane: torch.Tensor) -> torch.Tensor:
        """Fire.

        Args:
            membrane (Tensor): Membrane potentials, any shape.

        Returns:
            Tensor: Spike counts times ``scale``, same shape and layout.
        """
        inplace = self.inplace
        if self.threshold != 1:
            if inplace and not torch.is_grad_enabled():
                membrane.div_(self.threshold)
            else:
                membrane, inplace = membrane / self.threshold, True
        return spike_firing(membrane, self.max_spikes, self.scale, inplace)

    def extra_repr(self) -> str:
        return (f'max_spikes={self.max_spikes}, scale={self.scale:g}, '
                f'threshold={self.threshold:g}')


def build_neuron(cfg: dict, **options) -> nn.Module:
    """Build the neuron that the config key ``neuron`` names.

    Args:
        cfg (dict): Config of a spiking neuron, or of any activation layer
            (``dict(type='ReLU')`` gives the ReLU twin of a model).
        **options: ``scale``, ``threshold``, ``inplace`` of this particular
            neuron. Activations that are not spiking ignore them.

    Returns:
        nn.Module: The neuron; :func:`is_spiking` tells which kind.

    Raises:
        TypeError: If ``cfg`` is not a dict with the key ``type``.
        ValueError: If ``cfg`` has the key ``inplace``.

    Example:
        >>> build_neuron(dict(type='mmsnn.SFANeuron'), scale=1.0)
        SFANeuron(max_spikes=4, scale=1, threshold=1)
        >>> build_neuron(dict(type='ReLU'), scale=1.0)
        ReLU()
    """
    if not isinstance(cfg, dict) or 'type' not in cfg:
        raise TypeError('neuron must be a config dict with the key type, '
                        "e.g. dict(type='mmsnn.SFANeuron', max_spikes=4), "
                        f'but is {cfg!r}')
    if 'inplace' in cfg:
        raise ValueError('neuron.inplace can not be configured: the layer '
                         'that owns the membrane decides; leave it out')
    kind = cfg['type']
    kind = ROOT_MODELS.get(kind) if isinstance(kind, str) else kind
    if isinstance(kind, type) and issubclass(kind, SFANeuron):
        cfg = {**cfg, **options}
    return ROOT_MODELS.build(cfg)


def is_spiking(neuron: nn.Module) -> bool:
    """Whether a neuron fires spikes (an activation such as ReLU does not)."""
    return isinstance(neuron, SFANeuron)
