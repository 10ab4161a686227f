"""The key ``compile`` of a config: ``torch.compile`` of a model's parts."""

import inspect
from collections.abc import Sequence

import torch
from torch import nn

from mmsnn.engine.whole_model import is_sharded, unwrapped
from mmsnn.suggest import did_you_mean

#: Parts that are compiled where the config names none.
_PARTS = ('backbone', 'neck')


def compile_parts(model: nn.Module, cfg: bool | dict | None) -> list[str]:
    """Compile what of a model maps tensors to tensors, for training.

    mmengine compiles ``train_step``, most of which is no tensors: losses that
    choose samples, logs, the optimiser. Each of these breaks the graph, and
    many pieces are compiled, again and again as their Python values change.
    Here, parts are compiled, each in one piece.

    A part is compiled when it first runs in training. In evaluation it runs
    as it is, so that hooks see its modules, and sizes of images may vary.
    Parameters keep their names, and copies of the model are not compiled.

    Args:
        model (nn.Module): The model, in its wrapper or not; changed in place.
        cfg (bool | dict, optional): The config's ``compile``: False or None
            for nothing, True, or a dict with keys of ``torch.compile`` (such
            as ``backend`` and ``mode``) and ``target``, names of the parts.
            They default to the model's ``backbone`` and ``neck``.

    Returns:
        list[str]: Names of the parts.

    Raises:
        TypeError: ``compile`` is something else, or has no such key.
        ValueError: There is no such part, or one can't be compiled (the
            message says what to leave out), or no such backend, mode or
            option.

    Example:
        >>> class Detector(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.backbone = nn.Linear(1, 1)
        >>> compile_parts(Detector(), dict(mode='reduce-overhead'))
        ['backbone']
        >>> compile_parts(Detector(), dict(modes='reduce-overhead'))
        Traceback (most recent call last):
        TypeError: compile has no key 'modes' (did you mean 'mode'?): its keys
        are target, fullgraph, dynamic, backend, mode, options, disable
    """
    options = _checked(cfg)
    if options is None:
        return []
    names, options = options
    sharded = is_sharded(model)
    model = unwrapped(model)
    if names is None:
        names = [name for name in _PARTS
                 if isinstance(getattr(model, name, None), nn.Module)]
        if not names:
            raise ValueError(
                'compile = True is for the parts model.backbone and '
                f'model.neck, but {type(model).__name__} has neither: name '
                "its parts, as in compile = dict(target=['encoder'])")
    if sharded:
        raise ValueError('compile can not be used with strategy = '
                         'FSDPStrategy: leave out one of them')
    parts = [_part(model, name) for name in names]
    for part in parts:
        try:
            _compile_in_training(part, options)
        except Exception as error:
            raise ValueError(_why(options, error)) from error
    return names


def _why(options: dict, error: Exception) -> str:
    """What ``torch.compile`` has against these options, by their key."""
    from torch._dynamo.exc import InvalidBackend  # takes seconds

    if isinstance(error, InvalidBackend):
        backend, backends = options['backend'], torch.compiler.list_backends()
        return (f'compile.backend is {backend!r}'
                f'{did_you_mean(backend, backends)}: there are '
                f'{", ".join(backends)}')
    if isinstance(options.get('options'), dict):  # torch lists hundreds
        known = torch._inductor.list_options()
        for key in options['options']:
            if key.replace('-', '_') not in known:
                return (f'compile.options has no key {key!r}'
                        f'{did_you_mean(key, known)}: '
                        'torch._inductor.list_options() has those that exist')
    return f'compile = {options}: {error}'


def _checked(cfg) -> tuple[list[str] | None, dict] | None:
    """Names of parts and options for ``torch.compile``; None for nothing."""
    if cfg is None or cfg is False:
        return None
    if cfg is not True and not isinstance(cfg, dict):
        raise TypeError('compile must be True, False or a dict with keys of '
                        f'torch.compile, but is {cfg!r}')
    options = {} if cfg is True else dict(cfg)
    keys = ['target', *list(inspect.signature(torch.compile).parameters)[1:]]
    for key in options:
        if key not in keys:
            raise TypeError(f'compile has no key {key!r}'
                            f'{did_you_mean(key, keys)}: its keys are '
                            f'{", ".join(keys)}')
    if options.pop('disable', False):
        return None
    names = options.pop('target', None)
    if isinstance(names, str):
        names = [names]
    if not (names is None or names and isinstance(names, Sequence)
            and all(isinstance(name, str) for name in names)):
        raise TypeError('compile.target must be a name or a list of names, '
                        f'but is {names!r}')
    return names if names is None else list(names), options


def _part(model: nn.Module, name: str) -> nn.Module:
    try:
        part = model.get_submodule(name)
    except AttributeError:
        modules = [path for path, _ in model.named_modules() if path]
        raise ValueError(
            f'compile.target: {type(model).__name__} has no module {name!r}'
            f'{did_you_mean(name, modules)}; methods such as train_step are '
            'not compiled, since most of what they do is no tensors') from None
    for path, module in part.named_modules():
        where = '.'.join(filter(None, ('model', name, path)))
        why_not = getattr(module, 'why_not_compiled', None)
        if why_not:
            raise ValueError(f'compile can not be used for {where}, a '
                             f'{type(module).__name__}, since {why_not}: '
                             'leave it out')
        if getattr(module, 'with_cp', False):
            raise ValueError(
                f'compile and {where}.with_cp = True can not be used '
                'together: leave with_cp out, since a compiler chooses itself '
                'what it computes again in the backward pass')
    return part


def _compile_in_training(part: nn.Module, options: dict) -> None:
    """Compile a module's calls while it trains.

    As ``nn.Module.compile`` does, it sets what a call runs, which copies and
    checkpoints do not take along.
    """
    run = part._call_impl
    compiled = torch.compile(run, **options)

    def call(*args, **kwargs):
        trains = part.training and torch.is_grad_enabled()
        return (compiled if trains else run)(*args, **kwargs)

    part._compiled_call_impl = call
