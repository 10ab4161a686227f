"""What stands where an activation was, in front of a neuron."""

import mmcv.cnn
from torch import nn


class ReplacedActivation(nn.Identity):
    """An identity in the place of an activation that the neuron of the next
    synapse replaces.

    It knows what it replaces, so that a run of the model can tell whether
    there is such a neuron.

    Args:
        replaced (nn.Module): The activation.

    Example:
        >>> import torch
        >>> part = ReplacedActivation(nn.ReLU())
        >>> part, part(torch.tensor([-1.])).item()
        (ReplacedActivation(ReLU), -1.0)
    """

    def __init__(self, replaced: nn.Module) -> None:
        super().__init__()
        self.replaced = type(replaced).__name__
        self.inplace = getattr(replaced, 'inplace', False)

    def extra_repr(self) -> str:
        """The class of the activation."""
        return self.replaced


def replaced_at_the_end(module: nn.Module) -> str:
    """Name of the activation that a module would end with.

    Args:
        module (nn.Module): Any module.

    Returns:
        str: That of a child of mmcv's ``ConvModule`` which has it behind its
        convolution, but does not run it, since a neuron replaces it. Empty
        for any other module.

    Example:
        >>> layer = mmcv.cnn.ConvModule(2, 2, 1)
        >>> layer.activate = ReplacedActivation(layer.activate)
        >>> layer.with_activation = False
        >>> replaced_at_the_end(layer)
        'activate'
    """
    found = (isinstance(module, mmcv.cnn.ConvModule)
             and not module.with_activation
             and isinstance(getattr(module, 'activate', None),
                            ReplacedActivation)
             and module.order.index('act') > module.order.index('conv'))
    return 'activate' if found else ''
