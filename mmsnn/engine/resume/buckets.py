"""The order in which DistributedDataParallel adds up gradients."""

import copy

from mmengine.dist import get_world_size
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmsnn.engine.not_finite import without_trace

from .run_state import gradients, set_gradients


def has_two_orders(model: nn.Module) -> bool:
    """Whether a model adds up gradients otherwise in the first iteration of
    its process than in later ones.

    ``DistributedDataParallel`` sorts gradients into buckets anew after the
    first, and a sum of more than two numbers hangs on their order.

    Args:
        model (nn.Module): A model, maybe wrapped.

    Returns:
        bool: False for other wrappers, and for two processes or one.
    """
    return (isinstance(model, DistributedDataParallel)
            and get_world_size() > 2 and not model.find_unused_parameters)


def settle_buckets(model: DistributedDataParallel, batch, wrapper) -> None:
    """Let a model that was just built add up gradients as one that has been
    trained before; nothing else changes.

    Args:
        model (DistributedDataParallel): With ``train_step``.
        batch (Any): A batch, which is run forward and backward.
        wrapper (OptimWrapper): The optimiser's; it takes no step.
    """
    before = gradients(model)
    with without_trace(
            model, wrapper, should_sync=lambda: True,
            update_params=lambda loss, *args, **kwargs: loss.backward()):
        model.train_step(copy.deepcopy(batch), optim_wrapper=wrapper)
    model.zero_grad()
    set_gradients(model, before)
