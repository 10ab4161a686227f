"""Builds any neck or head with spiking neurons."""

from collections.abc import Sequence

from mmengine.model import BaseModel
from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

from mmsnn.layers import mean_over_time, mixed_form
from mmsnn.neurons import is_spiking
from mmsnn.registry import MODELS
from mmsnn.suggest import did_you_mean

from .placing import make_spiking
from .strides import explain_strides

#: Keys that are long enough to be told from a misspelt key of a module.
_OWN_KEYS = ('neuron', 'mean_over_time', 'keep_real')


@MODELS.register_module(name='SpikingModule')
def spiking_module(module: dict,
                   neuron: dict = dict(type='mmsnn.SFANeuron', max_spikes=4),
                   mean_over_time: bool = False,
                   keep_real: Sequence[str] = (),
                   strict: bool = False,
                   **kwargs) -> nn.Module:
    """Build any module with a neuron in front of each of its synapses.

    A registered builder: what it returns is the upstream module itself, with
    its convolutions, transposed convolutions and linears turned into
    :class:`mmsnn.SpikeConv2d`, :class:`mmsnn.SpikeConvTranspose2d`,
    :class:`mmsnn.SpikeLinear` and the like, and its activations taken out,
    since the neuron of the next synapse takes their place. Parameters keep
    their names. Layers whose products can't be spiking (attention by softmax,
    deformable convolutions) stand behind neurons, too, and a warning lists
    what stays real.

    Backbones of mmsnn and what another ``SpikingModule`` has built are left
    as they are, so that whole models can be wrapped too.

    Args:
        module (dict): Config of the module: a neck, a head, a RoI head, a
            whole detector.
        neuron (dict): Config of the neurons.
        mean_over_time (bool): Average what the module returns over the time
            steps of its neurons, (N * T, ...) to (N, ...): for heads, whose
            logits are a mean over time. Does nothing with T = 1 or without
            spiking neurons. Defaults to False.
        keep_real (Sequence[str]): What is left without neurons: modules by
            class name (``'MultiheadAttention'``), by path (``'conv_seg'``)
            or by pattern (``'*.reg_convs.*'``), parameters by path or
            pattern. Class names and patterns may find nothing here, so that
            one list serves all parts of a model. Defaults to none.
        strict (bool): Raise where products would stay real that ``keep_real``
            does not name, instead of a warning. Defaults to False.
        **kwargs: More keys for ``module``; frameworks add some on their own
            (``train_cfg`` and ``test_cfg`` of detection heads).

    Returns:
        nn.Module: The module that ``module`` describes.

    Raises:
        TypeError: If a key is misspelt, a layer has weights that have no
            spiking form, or code reads weights past their neuron; the message
            names the key or the path.
        ValueError: If ``keep_real`` names what is not there, a neuron would
            stand in front of the image, or ``mean_over_time`` is set for a
            whole model.

    Example:
        >>> spiking_module(
        ...     dict(type=nn.Linear, in_features=4, out_features=2))
        SpikeLinear(
          in_features=4, out_features=2, bias=True
          (neuron): SFANeuron(max_spikes=4, scale=0.25, threshold=1)
        )
    """
    if not isinstance(mean_over_time, bool):
        raise TypeError('mean_over_time must be True or False, but is '
                        f'{mean_over_time!r}')
    for key in kwargs:
        meant = did_you_mean(key, _OWN_KEYS)
        if meant:
            raise TypeError(f'SpikingModule has no key {key!r}{meant}; keys '
                            'of the module itself belong into module')
    built = make_spiking(
        ROOT_MODELS.build({
            **module,
            **kwargs
        }),
        neuron,
        keep_real=keep_real,
        strict=strict)
    built.neurons_placed = True
    explain_strides(built)
    timesteps = max(
        (m.timesteps for m in built.modules() if is_spiking(m)), default=1)
    if mean_over_time and timesteps > 1:
        if isinstance(built, BaseModel):
            raise ValueError(
                'mean_over_time averages what a neck or head returns, but '
                f'{type(built).__name__} is a whole model: set it in the '
                'config of its neck or of its heads')
        # Heads call their own ``forward``, where no hook would run.
        built.__class__ = merging_form(type(built))
        built.timesteps = timesteps
    return built


class TimeMerging:
    """Mixed into a module's class: its outputs are averaged over time."""

    mean_over_time = True
    timesteps: int

    def forward(self, *args, **kwargs):
        """Run the module, and average over time.

        Args:
            *args: As of the module.
            **kwargs: As of the module.

        Returns:
            Any: What the module returns, with (N, ...) for each (N * T, ...).
        """
        return mean_over_time(super().forward(*args, **kwargs), self.timesteps)


def merging_form(kind: type[nn.Module]) -> type[nn.Module]:
    """Subclass of a module's class whose outputs are averaged over time.

    Args:
        kind (type[nn.Module]): The class.

    Returns:
        type[nn.Module]: The same subclass for the same class.

    Example:
        >>> [base.__name__ for base in merging_form(nn.Linear).__bases__]
        ['TimeMerging', 'Linear']
    """
    return mixed_form(TimeMerging, kind)
