"""Energy, time and fit of a network on a chip with cores."""

from collections.abc import Sequence
from pathlib import Path

from mmsnn.hardware.chips.spec import Chip, load_chip
from mmsnn.hardware.mapping.core_loads import count_loads
from mmsnn.hardware.mapping.mapper import Mapping, check_weights, map_network
from mmsnn.hardware.network.populations import Network
from mmsnn.hardware.timing.asynchronous import MODES
from mmsnn.hardware.timing.schedule import lossless_schedule

from .assumptions import assumptions
from .results import ChipEstimate
from .totals import ChipCosts

TIMINGS = ('synchronous', 'asynchronous')


def estimate_on_chip(network: Network,
                     chip: str | Path | Chip,
                     weights: str = 'shared',
                     timing: str | None = None,
                     mode: str = 'lossless',
                     weight_bits: int = 8,
                     missing: str = 'raise') -> list[ChipEstimate]:
    """Map a network to a chip: its energy, its time, and whether it fits.

    Synaptic additions, looks at neurons, updates, spikes, messages and hops
    are counted on the core where they happen, and each is charged with the
    chip's figure for it. Figures that are ranges make results ranges.

    Args:
        network (Network): Populations and projections with mean counts.
        chip (str | Path | Chip): A spec with cores; name, path or the spec.
        weights (str): ``shared`` or ``unrolled``.
        timing (str, optional): ``synchronous`` (a barrier per sub-step) or
            ``asynchronous`` (event-driven). Defaults to None: an estimate for
            each that the chip supports, see :func:`supported_timings`.
        mode (str): ``lossless``, or ``free_running`` (asynchronous only).
        weight_bits (int): Bits of a stored weight.
        missing (str): ``raise`` at the first figure that is needed and
            unknown, or ``report`` under ``missing`` which results lack one;
            totals are then None.

    Returns:
        list[ChipEstimate]: One for each timing, of the same mapping.

    Raises:
        ValueError: If an argument or the network is not valid, if not one
            synapse of the network is driven by spikes, or if ``free_running``
            is asked of a chip that is synchronous only.
        MissingFigureError: If a figure that is needed is absent or null.

    Example:
        >>> from mmsnn.hardware import Network, Population, Projection
        >>> network = Network(
        ...     (Population('a', (100,), spikes=(10.,)),
        ...      Population('b', (10,), spikes=(1.,))),
        ...     (Projection('fc', 'a', 'b', 'linear', weights=1000,
        ...                 synapses=1000, sops=(100.,)),))
        >>> result, = estimate_on_chip(network, 'loihi')
        >>> result.timing, result.fits, result.cores, result.substeps
        ('synchronous', True, 2, 2)
        >>> str(result.energy_mj['synapses'].times(1e9))  # pJ
        '2360'
    """
    chip = load_chip(chip)
    check_options(timing, mode, weights, weight_bits, missing)
    timings = (timing, ) if timing else supported_timings(chip, mode)
    require_spikes(network)
    mapping = map_network(network, chip, weights, weight_bits)
    return estimates_of_mapping(mapping, timings, mode, missing)


def supported_timings(chip: Chip,
                      mode: str = 'lossless') -> tuple[str, ...]:
    """Ways of execution that a chip supports.

    Args:
        chip (Chip): The chip.
        mode (str): ``free_running`` leaves out ``synchronous``.

    Returns:
        tuple[str]: Those that the spec says are supported, synchronous first.
        If it says so of none, the first that it does not say is unsupported.

    Raises:
        ValueError: If none is left.

    Example:
        >>> [supported_timings(load_chip(name)) for name in ('loihi', 'speck')]
        [('synchronous',), ('asynchronous',)]
    """
    figures = {t: chip.figures.get(f'support.{t}') for t in TIMINGS}
    values = {t: None if f is None else f.value for t, f in figures.items()}
    known = tuple(t for t in TIMINGS if values[t])
    possible = tuple(t for t in TIMINGS if values[t] is None)
    timings = known or possible[:1] or TIMINGS[-1:]
    if mode == 'free_running':
        timings = tuple(t for t in timings if t == 'asynchronous')
        if not timings:
            raise ValueError(
                f"mode='free_running' is asynchronous, which {chip.name} does "
                "not support: use mode='lossless'")
    return timings


def estimates_of_mapping(mapping: Mapping,
                         timings: Sequence[str],
                         mode: str = 'lossless',
                         missing: str = 'raise') -> list[ChipEstimate]:
    """:func:`estimate_on_chip` of a network that is mapped already.

    Args:
        mapping (Mapping): From :func:`mmsnn.hardware.map_network`.
        timings (Sequence[str]): An estimate for each.
        mode (str): ``lossless`` or ``free_running``.
        missing (str): ``raise`` or ``report``.

    Returns:
        list[ChipEstimate]: One for each timing.

    Raises:
        ValueError: If an argument is not valid.
        MissingFigureError: As :func:`estimate_on_chip`.
    """
    for timing in timings:
        check_options(timing, mode, missing=missing)
    network, chip = mapping.network, mapping.chip
    schedule = lossless_schedule(network)
    reasons = {la.name: la.reasons for la in mapping.layers if la.reasons}
    reasons.update(_too_many(mapping))
    loads = count_loads(mapping)
    return [
        ChipEstimate(
            chip=chip.name,
            title=chip.title,
            images=network.images,
            weights=mapping.weights,
            weight_bits=mapping.weight_bits,
            timing=timing,
            mode=mode,
            fits=not reasons,
            reasons=reasons,
            unchecked=mapping.unchecked,
            conditions=mapping.conditions,
            depth=schedule.depth,
            substeps=schedule.steps,
            interval_substeps=schedule.interval,
            runs=network.runs,
            **ChipCosts(loads, schedule, timing, mode,
                        missing == 'report').results(),
            cores=mapping.cores,
            chips=loads.mesh.chips,
            assumptions=tuple(assumptions(loads, schedule, timing, mode)))
        for timing in timings
    ]


def check_options(timing: str | None = None,
                  mode: str = 'lossless',
                  weights: str = 'shared',
                  weight_bits: int = 8,
                  missing: str = 'raise') -> None:
    """Check the options of :func:`estimate_on_chip`.

    Args:
        timing (str, optional): ``synchronous`` or ``asynchronous``.
        mode (str): ``lossless`` or ``free_running``.
        weights (str): ``shared`` or ``unrolled``.
        weight_bits (int): Bits of a stored weight.
        missing (str): ``raise`` or ``report``.

    Raises:
        ValueError: If one is not valid; the message names it and what is.
    """
    for name, value, valid in (('timing', timing, (None, *TIMINGS)),
                               ('mode', mode, MODES),
                               ('missing', missing, ('raise', 'report'))):
        if value not in valid:
            raise ValueError(
                f'{name} must be one of '
                f'{", ".join(str(v) for v in valid if v)}, got {value!r}')
    check_weights(weights, weight_bits)
    if mode == 'free_running' and timing == 'synchronous':
        raise ValueError("mode='free_running' needs timing='asynchronous'")


def require_spikes(network: Network) -> None:
    """Check that spikes drive a synapse of a network.

    Args:
        network (Network): The network.

    Raises:
        ValueError: If they drive none.
    """
    if not any(network.carries(p) == 'spikes' and p.total_sops
               for p in network.projections):
        raise ValueError(
            'no spike reaches a synapse of the network: record a model with '
            'spiking neurons on images for which they fire')


def _too_many(mapping: Mapping) -> dict[str, tuple[str, ...]]:
    """Why a network does not fit that needs more cores than there are."""
    figure = mapping.chip.figures.get('limits.chips')
    on_chip = mapping.chip.figures['limits.cores'].value
    if figure is None or figure.value is None or on_chip is None:
        return {}
    most = int(figure.value * on_chip)
    if mapping.cores <= most:
        return {}
    return {
        'all layers':
        (f'they need {mapping.cores:,} cores, {mapping.chip.name} '
         f'has {most:,}', )
    }
