"""Time steps of the parts of a model: backbone, neck, heads."""

from collections.abc import Iterator

from torch import nn

from mmsnn.neurons import is_spiking


def check_time_of_parts(model: nn.Module) -> str:
    """Check that each part has the time steps of what it is given.

    A backbone with T time steps returns N x T rows, or N where its
    ``mean_over_time`` is True. So does a neck. Models of which the backbone
    has no such attribute are left alone, and so are those that have one
    themselves: they average on their own.

    Args:
        model (nn.Module): A model, or what holds some.

    Returns:
        str: Why predictions of the model would be wrong: a head does not
        average over time. Empty if they are not.

    Raises:
        ValueError: If the neurons of a neck or head have another T.

    Example:
        >>> from mmsnn.layers import SpikeLinear
        >>> model = nn.Module()
        >>> model.backbone, model.head = (
        ...     SpikeLinear(2, 2, neuron=dict(type='mmsnn.LIFNeuron',
        ...                                   timesteps=t)) for t in (4, 1))
        >>> model.backbone.mean_over_time = True
        >>> check_time_of_parts(model)
        ''
        >>> model.backbone.mean_over_time = False
        >>> check_time_of_parts(model)
        Traceback (most recent call last):
        ValueError: backbone returns a row for each of its 4 time steps, but \
the neurons of head have timesteps = 1: set mean_over_time=True of backbone, \
or timesteps=4 for head
    """
    wrong = ''
    for path, whole in model.named_modules():
        backbone = getattr(whole, 'backbone', None)
        if isinstance(backbone, nn.Module) and hasattr(
                backbone, 'mean_over_time') and not getattr(
                    whole, 'mean_over_time', False):
            wrong = wrong or _check(whole, f'{path}.' if path else '')
    return wrong


def _check(whole: nn.Module, above: str) -> str:
    timesteps = _timesteps(whole.backbone)
    if timesteps is None:
        return ''
    source, wrong = f'{above}backbone', ''
    if whole.backbone.mean_over_time:
        timesteps = 1
    for name, part in _parts(whole):
        own, path = _timesteps(part), f'{above}{name}'
        if own not in (None, timesteps):
            raise ValueError(
                f'{source} returns a row for '
                + (f'each of its {timesteps} time steps' if timesteps > 1
                   else 'each image')
                + f', but the neurons of {path} have timesteps = {own}: set '
                + (f'mean_over_time=True of {source}, or ' if own == 1 else '')
                + f'timesteps={timesteps} for {path}')
        averages = _averages(part)
        if name == 'neck':
            source = source if own is None and not averages else path
            timesteps = 1 if averages else timesteps
        elif timesteps > 1 and name.endswith('head') and not averages:
            wrong = wrong or (
                f'{path} gets {timesteps} rows of each image, one for each '
                'time step, and predictions would be made of the first rows: '
                f'set mean_over_time=True of {path} (mmsnn.SpikingModule), '
                f'or of {source} and timesteps=1 for {path}; a class of your '
                'own that averages says so by an attribute '
                'mean_over_time = True')
    return wrong


def _parts(whole: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """What is behind the backbone in inference: the neck, then the rest."""
    parts = {
        name: part for name, part in whole.named_children()
        if name not in ('backbone', 'data_preprocessor')
        and not name.startswith('auxiliary')
        and not hasattr(part, 'backbone')
    }
    if 'neck' in parts:
        yield 'neck', parts.pop('neck')
    yield from parts.items()


def _averages(part: nn.Module) -> bool:
    """Whether a part averages over time; of heads in a row (mmseg's cascades)
    the last one, which makes the predictions."""
    if isinstance(part, nn.ModuleList) and len(part):
        part = part[-1]
    return getattr(part, 'mean_over_time', False)


def _timesteps(part: nn.Module) -> int | None:
    return max((m.timesteps for m in part.modules() if is_spiking(m)),
               default=None)
