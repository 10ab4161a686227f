"""The model of a run without what wraps it."""

from mmengine.model import is_model_wrapper
from mmengine.registry import MODELS
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmsnn.conversion.upstream.random_numbers import own_random_numbers
from mmsnn.engine.strategies import full_state_dict


def unwrapped(model: nn.Module) -> nn.Module:
    """The model in a wrapper of distributed training.

    Args:
        model (nn.Module): Wrapped or not.

    Returns:
        nn.Module: The model itself.
    """
    return model.module if is_model_wrapper(model) else model


def is_sharded(model: nn.Module) -> bool:
    """Whether each process holds a part of the weights only.

    Args:
        model (nn.Module): The model of a Runner.
    """
    return isinstance(model, FullyShardedDataParallel)


def whole_model(runner) -> nn.Module:
    """The model of a Runner without its wrapper.

    Of a sharded model it is a new one with all weights, which is built from
    the config; all processes must ask at the same time.

    Args:
        runner (Runner): mmengine's Runner.

    Returns:
        nn.Module: Sharded or not, all of it.

    Raises:
        ValueError: The model is sharded, and the config does not say how to
            build it.
    """
    model = runner.model
    if not is_sharded(model):
        return unwrapped(model)
    config = runner.cfg.get('model')
    if not isinstance(config, dict):
        raise ValueError(
            'the weights of the model are sharded: to evaluate it in '
            "spike-train form, give the Runner the model's config, not the "
            'model')
    state = full_state_dict(model)
    with own_random_numbers(0):
        whole = MODELS.build(config)
    whole.load_state_dict(state)
    return whole.to(next(iter(state.values())).device).eval()
