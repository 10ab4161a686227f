"""Which layers have a form with a neuron in front."""

import mmcv.cnn
from torch import nn

from .mixing import mixed_form
from .multihead_attention import SpikeMultiheadAttention
from .synapse import (
    SpikeConv1d,
    SpikeConv2d,
    SpikeConv3d,
    SpikeConvTranspose1d,
    SpikeConvTranspose2d,
    SpikeConvTranspose3d,
    SpikeLinear,
    SpikingSampling,
    SpikingSynapse,
)

#: Layers that are synapses, and their spiking forms.
SPIKING: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: SpikeConv1d,
    nn.Conv2d: SpikeConv2d,
    nn.Conv3d: SpikeConv3d,
    nn.ConvTranspose1d: SpikeConvTranspose1d,
    nn.ConvTranspose2d: SpikeConvTranspose2d,
    nn.ConvTranspose3d: SpikeConvTranspose3d,
    nn.Linear: SpikeLinear,
    mmcv.cnn.Conv2d: SpikeConv2d,
    mmcv.cnn.Conv3d: SpikeConv3d,
    mmcv.cnn.ConvTranspose2d: SpikeConvTranspose2d,
    mmcv.cnn.ConvTranspose3d: SpikeConvTranspose3d,
    mmcv.cnn.Linear: SpikeLinear,
    nn.MultiheadAttention: SpikeMultiheadAttention,
}

#: Subclasses of those whose own ``forward`` does nothing to its input but what
#: a synapse does.
_SYNAPSES = {
    'mmcv.cnn.bricks.conv_ws.ConvWS2d',
    'mmcv.cnn.bricks.conv_ws.ConvAWS2d',
    'mmcv.cnn.bricks.conv2d_adaptive_padding.Conv2dAdaptivePadding',
}

#: Layers that sample their input between positions.
_SAMPLING = {
    'mmcv.ops.deform_conv.DeformConv2d',
    'mmcv.ops.deform_conv.DeformConv2dPack',
    'mmcv.ops.modulated_deform_conv.ModulatedDeformConv2d',
    'mmcv.ops.modulated_deform_conv.ModulatedDeformConv2dPack',
}

#: Packages whose layers are known: a neuron may stand in front of any.
_KNOWN = ('mmcv', 'mmdet', 'mmseg', 'mmpretrain')


def spiking_form(kind: type[nn.Module]) -> type[nn.Module] | None:
    """Class of a kind of layer with a neuron in front.

    Args:
        kind (type[nn.Module]): Class of the layer.

    Returns:
        type[nn.Module] | None: A subclass of ``kind`` (or of the PyTorch
        layer that mmcv's layer of the same name is), with ``from_plain``.
        None if it is no layer with weights, or one with a ``forward`` of its
        own that is not known.

    Example:
        >>> spiking_form(nn.Conv1d).__name__, spiking_form(nn.LSTM)
        ('SpikeConv1d', None)
        >>> class Wide(nn.Linear):
        ...     def __init__(self, size):
        ...         super().__init__(size, 4 * size)
        >>> spiking_form(Wide).__name__
        'SpikeWide'
    """
    if kind in SPIKING:
        return SPIKING[kind]
    if qualified_name(kind) in _SAMPLING:
        return mixed_form(SpikingSampling, kind, 'Spike')
    for plain, form in SPIKING.items():
        if issubclass(kind, plain):
            if _computes_as(kind, plain):
                return mixed_form(form, kind, 'Spike')
            if is_known(kind) and not issubclass(kind, nn.MultiheadAttention):
                return mixed_form(SpikingSynapse, kind, 'Spike')
    return None


def why_real(kind: type[nn.Module]) -> str:
    """Why products of a layer stay real though it stands behind a neuron.

    Args:
        kind (type[nn.Module]): Class of the layer, one with a spiking form.

    Returns:
        str: A clause; empty if they do not.

    Example:
        >>> why_real(nn.MultiheadAttention)
        'its projections are spiking; q k^T, softmax and weights times v are
        real'
        >>> why_real(nn.Linear)
        ''
    """
    if issubclass(kind, nn.MultiheadAttention):
        return ('its projections are spiking; q k^T, softmax and weights '
                'times v are real')
    name = qualified_name(kind)
    if name in _SAMPLING:
        return 'it samples spikes at positions that it computes'
    if name in _SYNAPSES or any(
            issubclass(kind, k) and _computes_as(kind, k) for k in SPIKING):
        return ''
    return 'its own forward computes with spikes what is no sum of weights'


def is_known(kind: type) -> bool:
    """Whether a class is of OpenMMLab, which this package is made for.

    Args:
        kind (type): Any class.

    Example:
        >>> is_known(mmcv.cnn.ConvModule), is_known(nn.LSTM)
        (True, False)
    """
    return kind.__module__.split('.')[0] in _KNOWN


def is_spiking_form(module: nn.Module) -> bool:
    """Whether a module is a layer with a neuron in front.

    Args:
        module (nn.Module): Any module.

    Example:
        >>> layer = SpikeLinear(2, 3, neuron=dict(type='mmsnn.SFANeuron'))
        >>> is_spiking_form(layer), is_spiking_form(nn.Linear(2, 3))
        (True, False)
    """
    return isinstance(module, (SpikingSynapse, SpikeMultiheadAttention))


def qualified_name(kind: type) -> str:
    """Python path of a class.

    Args:
        kind (type): The class.

    Example:
        >>> qualified_name(nn.ReLU)
        'torch.nn.modules.activation.ReLU'
    """
    return f'{kind.__module__}.{kind.__qualname__}'


def _computes_as(kind: type[nn.Module], plain: type[nn.Module]) -> bool:
    """Whether a subclass leaves alone how its base computes."""
    return all(
        getattr(kind, name, None) is getattr(plain, name, None)
        for name in ('forward', '_conv_forward', '__call__'))
