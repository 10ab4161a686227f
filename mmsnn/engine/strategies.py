"""mmengine's strategies for several processes, on CPU too."""

import copy
import re
import warnings
from collections.abc import Mapping

import torch
from mmengine._strategy import DDPStrategy as BaseDDPStrategy
from mmengine._strategy import FSDPStrategy as BaseFSDPStrategy
from mmengine.device import get_device
from mmengine.dist import all_reduce
from mmengine.optim import BaseOptimWrapper, build_optim_wrapper
from mmengine.runner.checkpoint import (
    _load_checkpoint_to_model,
    weights_to_cpu,
)
from torch import nn
from torch.distributed.fsdp import (
    FullOptimStateDictConfig,
    FullStateDictConfig,
    FullyShardedDataParallel,
    ShardingStrategy,
    StateDictType,
)

from mmsnn.engine.gloo import connect, synchronised, wrapped
from mmsnn.registry import STRATEGIES

# What else a strategy of mmengine needs: its package.
_PACKAGES = dict(
    DeepSpeedStrategy='deepspeed', ColossalAIStrategy='colossalai')

# Each weight lies in one process.
_SHARDED = (None, 'FULL_SHARD', 'SHARD_GRAD_OP', ShardingStrategy.FULL_SHARD,
            ShardingStrategy.SHARD_GRAD_OP)


class _SeveralProcesses:
    """Processes that talk over gloo where there is no accelerator."""

    def _setup_env(self, *, launcher: str | None = None, **kwargs) -> None:
        if launcher in (None, 'none'):
            raise ValueError(
                f'strategy = {type(self).__name__} is for several processes: '
                'start it by tools/dist_train.sh CONFIG PROCESSES (or with '
                '--launcher), or leave the key strategy out')
        super()._setup_env(launcher=launcher, **kwargs)

    def _setup_distributed(self, launcher: str = 'pytorch',
                           **dist_cfg) -> None:
        if get_device() == 'cpu':
            connect(launcher, dist_cfg)
        else:
            super()._setup_distributed(launcher, **dist_cfg)

    def convert_model(self, model: nn.Module) -> nn.Module:
        """Synchronise the norms that ``sync_bn`` or the config says.

        Args:
            model (nn.Module): Changed, and returned.

        Returns:
            nn.Module: The model.
        """
        if get_device() == 'cpu':
            return synchronised(model, self.sync_bn)
        return super().convert_model(model)


@STRATEGIES.register_module()
class DDPStrategy(_SeveralProcesses, BaseDDPStrategy):
    """mmengine's ``DDPStrategy``, on CPU too.

    :class:`mmsnn.engine.flexible_runner.FlexibleRunner` takes it where a
    config says ``strategy=dict(type='DDPStrategy')``.

    Args:
        **kwargs: Those of mmengine's.

    Raises:
        ValueError: There is one process only.
    """

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        if get_device() != 'cpu':
            return super()._wrap_model(model)
        return wrapped(self.convert_model(model), self.model_wrapper)

    def model_state_dict(self) -> dict:
        """Weights for a checkpoint.

        Returns:
            dict: On the CPU, by names of the model without its wrapper, which
            hooks that average weights expect.
        """
        return weights_to_cpu(self.model.module.state_dict())


@STRATEGIES.register_module()
class FSDPStrategy(_SeveralProcesses, BaseFSDPStrategy):
    """mmengine's ``FSDPStrategy`` (each process keeps a part of weights,
    gradients and optimiser states), on CPU too.

    It differs from mmengine's also on accelerators: the optimiser is built for
    the whole model, so that ``paramwise_cfg`` and layer-wise learning rate
    decay see names and shapes; gradients are clipped by the norm of all parts;
    ``sync_bn`` is heeded; checkpoints are gathered (``state_dict_cfg =
    'full'``) and so are those of one process, unless the config says else.
    :class:`mmsnn.engine.flexible_runner.FlexibleRunner` takes it where a
    config says ``strategy=dict(type='FSDPStrategy')``.

    Args:
        state_dict_cfg (str | dict): As of mmengine's; ``'local'`` saves a
            folder with a file for each process. Defaults to ``'full'``.
        **kwargs: Those of mmengine's.

    Raises:
        ValueError: There is one process only, or ``model_wrapper`` says
            ``use_orig_params=False`` or another ``sharding_strategy`` than
            ``FULL_SHARD`` or ``SHARD_GRAD_OP``.
    """

    def __init__(self, *, state_dict_cfg: str | dict = 'full',
                 **kwargs) -> None:
        super().__init__(state_dict_cfg=state_dict_cfg, **kwargs)
        if get_device() == 'cpu':
            # What is there already is not copied, and freed.
            self.state_dict_config.offload_to_cpu = False
            self.optim_state_dict_config.offload_to_cpu = False
        wrapper = self.model_wrapper or {}
        if wrapper.get('sharding_strategy') not in _SHARDED:
            raise ValueError(
                'strategy.model_wrapper.sharding_strategy must be FULL_SHARD '
                'or SHARD_GRAD_OP, but is '
                f'{wrapper["sharding_strategy"]}; use DDPStrategy for whole '
                'weights in each process')
        if not wrapper.get('use_orig_params', True):
            raise ValueError(
                'strategy.model_wrapper.use_orig_params must be True: without '
                'it parameters have no learning rates of their own')
        self._optim_cfg = self._built = None

    def prepare(self, model: nn.Module | dict, *, optim_wrapper=None,
                **kwargs) -> tuple:
        """Build model and optimiser, and give each process its part.

        Args:
            model (nn.Module | dict): As of mmengine's.
            optim_wrapper (BaseOptimWrapper | dict, optional): As of
                mmengine's.
            **kwargs: Those of mmengine's.

        Returns:
            tuple: What mmengine's returns.
        """
        self._optim_cfg = optim_wrapper
        return super().prepare(model, optim_wrapper=optim_wrapper, **kwargs)

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        model = self.convert_model(model)
        if isinstance(self._optim_cfg, Mapping):
            self._optim_cfg.setdefault('type', 'OptimWrapper')
            if self._optim_cfg['type'] == 'AmpOptimWrapper':
                self._optim_cfg.setdefault('use_fsdp', True)
            self._built = build_optim_wrapper(model, self._optim_cfg)
        self._whole = copy.deepcopy(model).to('meta')  # names and shapes
        if get_device() == 'cpu':
            self.model_wrapper = dict(
                dict(type='MMFullyShardedDataParallel',
                     device_id=torch.device('cpu')),
                **self.model_wrapper or {})
        return super()._wrap_model(model)

    def build_optim_wrapper(self, optim_wrapper: BaseOptimWrapper | dict,
                            model: nn.Module | None = None
                            ) -> BaseOptimWrapper:
        """Return the optimiser of the parts.

        Args:
            optim_wrapper (BaseOptimWrapper | dict): The config. An optimiser
                that was built for the whole model holds the same parameters.
            model (nn.Module, optional): The wrapped model.

        Returns:
            BaseOptimWrapper: It was built before the model was wrapped.
        """
        wrapper = self._built or optim_wrapper
        clip = getattr(wrapper, 'clip_grad_kwargs', None)
        if clip and wrapper.clip_func is torch.nn.utils.clip_grad_norm_:

            def clip_grad() -> None:  # by all, whatever each one's part is
                norm = clip_sharded_grad_norm(wrapper.optimizer, **clip)
                wrapper.message_hub.update_scalar(
                    f'train/{wrapper.grad_name}', float(norm))

            wrapper._clip_grad = clip_grad
        return wrapper

    def model_state_dict(self) -> dict:
        """Weights for a checkpoint; all processes must ask at the same time.

        Returns:
            dict: Whole ones in the first process, with ``state_dict_cfg``
            left as it is.
        """
        return self.model.state_dict()

    def load_model_state_dict(self, state_dict: dict, *, strict: bool = False,
                              revise_keys=((r'^module\.', ''), )) -> None:
        """Load weights; each process takes its part.

        Args:
            state_dict (dict): Whole ones, unless ``state_dict_cfg`` says else.
            strict (bool): Whether all names have to fit. Defaults to False:
                what does not fit is said.
            revise_keys (Sequence): Pairs of a pattern in names and what
                replaces it.
        """
        for pattern, new in revise_keys:
            state_dict = {re.sub(pattern, new, name): x
                          for name, x in state_dict.items()}
        if self._is_full_state_dict():
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')  # nothing is copied there
                _load_checkpoint_to_model(self._whole, state_dict, strict)
        self.model.load_state_dict(state_dict, strict=strict)

    def optim_state_dict(self) -> dict:
        """States of the optimiser for a checkpoint, by names of weights; all
        processes must ask at the same time.

        Returns:
            dict: Whole ones in the first process, with ``state_dict_cfg``
            left as it is.
        """
        state = FullyShardedDataParallel.optim_state_dict(
            self.model, self.optim_wrapper.optimizer)
        if hasattr(self.optim_wrapper, 'loss_scaler'):
            state['loss_scaler'] = self.optim_wrapper.loss_scaler.state_dict()
        return state

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Load states of the optimiser.

        Args:
            state_dict (dict): What :meth:`optim_state_dict` gave.
        """
        if 'loss_scaler' in state_dict:
            self.optim_wrapper.loss_scaler.load_state_dict(
                state_dict.pop('loss_scaler'))
        optimizer = self.optim_wrapper.optimizer
        optimizer.load_state_dict(
            FullyShardedDataParallel.optim_state_dict_to_load(
                self.model, optimizer, state_dict))


def clip_sharded_grad_norm(optimizer: torch.optim.Optimizer,
                           max_norm: float,
                           norm_type: float = 2.) -> torch.Tensor:
    """Clip gradients by the norm of those of all processes, each of which has
    a part of them. All processes must call it at the same time.

    Args:
        optimizer (Optimizer): Its parameters are the process's part.
        max_norm (float): Largest norm that is left.
        norm_type (float): p of the p-norm; ``inf`` for the largest. Defaults
            to 2.

    Returns:
        Tensor: The norm before, of the type of the gradients.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(2))
        >>> weight.grad = torch.tensor([3., 4.])
        >>> clip_sharded_grad_norm(torch.optim.SGD([weight], 1.), 1.)
        tensor(5.)
        >>> weight.grad
        tensor([0.6000, 0.8000])
    """
    parameters = [p for group in optimizer.param_groups
                  for p in group['params']]
    grads = [p.grad for p in parameters if p.grad is not None]
    powers = [parameters[0].new_zeros(1)]
    largest = norm_type == float('inf')
    for grad in grads:
        if grad.numel():
            norm = torch.linalg.vector_norm(grad, norm_type)
            powers.append((norm if largest else norm**norm_type).view(1))
    total = torch.cat(powers)
    total = total.max() if largest else total.sum()
    all_reduce(total, 'max' if largest else 'sum')
    total = total if largest else total**(1 / norm_type)
    factor = (max_norm / (total + 1e-6)).clamp(max=1)
    for grad in grads:
        grad.mul_(factor)
    return total


def full_state_dict(model: FullyShardedDataParallel) -> dict:
    """All weights and buffers of a sharded model, in every process.

    All processes must ask at the same time.

    Args:
        model (FullyShardedDataParallel): The model.

    Returns:
        dict: Copies by name, as the unwrapped model has them.
    """
    with FullyShardedDataParallel.state_dict_type(
            model, StateDictType.FULL_STATE_DICT,
            FullStateDictConfig(rank0_only=False),
            FullOptimStateDictConfig(rank0_only=False)):
        return {k: v.clone() for k, v in model.state_dict().items()}


def missing_package(kind: str) -> str:
    """The package that a strategy of mmengine needs and is not installed.

    Args:
        kind (str): Type of the strategy.

    Returns:
        str: Its name; empty if nothing is missing.

    Example:
        >>> missing_package('FSDPStrategy')
        ''
    """
    from importlib.util import find_spec
    package = _PACKAGES.get(kind, '')
    return package if package and find_spec(package) is None else ''
