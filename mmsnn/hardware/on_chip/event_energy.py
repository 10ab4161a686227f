"""Events of a mapped network per image, and the energy that they cost."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mmsnn.hardware.amounts import PJ_PER_MJ, Range
from mmsnn.hardware.chips.figures import MissingFigureError, UsedFigures
from mmsnn.hardware.mapping.core_loads import Fired, Loads, Received
from mmsnn.hardware.timing.delays import synop_figure
from mmsnn.hardware.timing.schedule import Schedule

#: Event -> (figure of the section ``events``, cause in tables). For synaptic
#: additions :func:`synop_figure` chooses a figure by the kind of synapse.
FIGURE_OF_EVENT: dict[str, tuple[str, str]] = {
    'synaptic additions': ('synop', 'synapses'),
    'neurons looked at': ('access', 'neuron access'),
    'neurons updated': ('update', 'neuron update'),
    'spikes': ('fire', 'neuron fire'),
    'messages sent': ('message', 'messages'),
    'messages received': ('message_in', 'messages'),
    'hops along x': ('hop_ew', 'hops'),
    'hops along y': ('hop_ns', 'hops'),
    'steps between chips': ('link', 'chip links'),
}

STATIC = 'static power'

#: Causes by which the energy on a chip is divided.
ENERGY_CAUSES = (*dict.fromkeys(
    cause for _, cause in FIGURE_OF_EVENT.values()), STATIC)


@dataclass(frozen=True)
class EventRow:
    """How many events of each kind a population or a link has per image.

    Attributes:
        name (str): Name of the population or projection.
        kind (str): Kind of the population, or op of the projection.
        target (str): Where the projection ends; empty for a population.
        single (dict[str, float]): Mean number of events of a single image,
            which has the chip to itself.
        pipeline (dict[str, float]): The same for an image of a pipeline, in
            which an image enters before the one before it has left.
        figure (str): The figure that its synaptic additions are charged with.
    """

    name: str
    kind: str
    target: str
    single: dict[str, float]
    pipeline: dict[str, float]
    figure: str = 'events.synop'


def event_rows(loads: Loads, schedule: Schedule,
               timing: str) -> Iterator[EventRow]:
    """Events of all links and populations, in the order of the network.

    Args:
        loads (Loads): What the cores send and receive.
        schedule (Schedule): Which population fires when.
        timing (str): ``synchronous`` or ``asynchronous``.

    Yields:
        EventRow: The links into a population, then the population.
    """
    for name, fired in loads.fired.items():
        for received in loads.into(name):
            events = _arriving(received, schedule.runs)
            link = received.link
            yield EventRow(
                link.projection.name, link.projection.op, name, events,
                events,
                synop_figure('events', link, loads.mapping.chip.figures,
                             loads.mapping.weights))
        yield EventRow(
            name, fired.slices.population.kind, '',
            *_population(fired, schedule, timing,
                         schedule.active(loads.mapping.network, name)))


def _arriving(received: Received, runs: int) -> dict[str, float]:
    """Events that a link causes, where its messages arrive and on the way."""
    messages = runs * float(received.messages.sum())
    travel = received.travel
    return {
        'synaptic additions': runs * float(received.additions.sum()),
        'messages received': messages,
        'hops along x': messages * travel.hops_ew,
        'hops along y': messages * travel.hops_ns,
        'steps between chips': messages * travel.chips,
    }


def _population(fired: Fired, schedule: Schedule, timing: str, active: int):
    """Events of neurons: for a single image, which updates them in ``active``
    sub-steps, and for an image of a pipeline."""
    population, runs = fired.slices.population, schedule.runs
    spikes = runs * float(fired.spikes.sum())
    sent = {
        'spikes': spikes,
        'messages sent': runs * float(fired.messages.sum()),
    }
    neurons = population.neurons
    membranes = 0 if population.kind == 'relay' else neurons
    if timing == 'asynchronous':
        looks = runs * neurons * population.timesteps + spikes if (
            population.spikes) else 0.0
        visits = {'neurons looked at': looks,
                  'neurons updated': looks if membranes else 0.0}
        return {**visits, **sent}, {**visits, **sent}
    single = {
        'neurons looked at': float(neurons * schedule.steps),
        'neurons updated': float(membranes * active),
    }
    pipeline = {
        'neurons looked at': float(neurons * schedule.interval),
        'neurons updated': float(membranes * schedule.interval),
    }
    return {**single, **sent}, {**pipeline, **sent}


class EventPricing:
    """Energy of events, in mJ.

    Args:
        used (UsedFigures): Figures of the chip; keeps which were used.
        report (bool): Whether to note missing figures instead of raising.

    Attributes:
        missing (dict[str, str]): Result that could not be computed -> why.

    Example:
        >>> from mmsnn.hardware import load_chip
        >>> pricing = EventPricing(UsedFigures(load_chip('loihi')), False)
        >>> energies = pricing({'neurons looked at': 1e9}, 'events.synop')
        >>> str(energies['neuron access'])  # 52 pJ each
        '52'
    """

    def __init__(self, used: UsedFigures, report: bool) -> None:
        self.used, self.report = used, report
        self.missing: dict[str, str] = {}

    def __call__(self, events: dict[str, float],
                 figure: str) -> dict[str, Range]:
        """Energy of events by cause. An event that does not occur needs no
        figure.

        Args:
            events (dict[str, float]): Number of events of each kind.
            figure (str): The figure of synaptic additions.

        Returns:
            dict[str, Range]: Cause -> mJ.

        Raises:
            MissingFigureError: If a figure that is needed is absent or null,
                unless missing ones are only reported.
        """
        costs: dict[str, Range] = {}
        for event, count in events.items():
            if not count:
                continue
            name, cause = FIGURE_OF_EVENT[event]
            key = figure if name == 'synop' else f'events.{name}'
            price = self._price(key, event)
            if price is not None:
                cost = price.times(count / PJ_PER_MJ)
                costs[cause] = costs.get(cause, Range(0.0, 0.0)).plus(cost)
        return costs

    def static(self, chips: int, time_ns: Range | None) -> Range | None:
        """Energy of static power over a time.

        Args:
            chips (int): Number of chips.
            time_ns (Range | None): The time in ns; None if it is not known.

        Returns:
            Range | None: mJ; None if power or time is missing.

        Raises:
            MissingFigureError: As for events.
        """
        power = self._price('power.static', STATIC)
        if power is None:
            return None
        if power.high == 0:
            return power
        if time_ns is None:
            self.missing[f'energy of {STATIC}'] = (
                'static power is charged over time, and the time is missing')
            return None
        # mW x ns = pJ
        low, high = (
            p * t * chips / PJ_PER_MJ
            for p, t in zip(power.ends, time_ns.ends))
        return Range(low, high)

    def _price(self, key: str, event: str) -> Range | None:
        result = f'the energy of {event}'
        try:
            return self.used.span(key, result, event)
        except MissingFigureError as error:
            if not self.report:
                raise
            self.missing.setdefault(result[4:], str(error))
            return None


def unknown_causes(events: dict[str, float],
                   energies: dict[str, Range]) -> tuple[str, ...]:
    """Causes of events that occur, but whose figure is missing.

    Args:
        events (dict[str, float]): Number of events of each kind.
        energies (dict[str, Range]): Cause -> mJ, of those that are known.

    Returns:
        tuple[str]: Causes whose energy is not known.

    Example:
        >>> unknown_causes({'spikes': 3., 'hops along x': 0.}, {})
        ('neuron fire',)
    """
    causes = (FIGURE_OF_EVENT[event][1] for event, count in events.items()
              if count)
    return tuple(c for c in dict.fromkeys(causes) if c not in energies)


def total(rows: list[dict[str, Range]]) -> dict[str, Range]:
    """Sum the energies of several rows.

    Args:
        rows (list[dict[str, Range]]): For each row, cause -> mJ.

    Returns:
        dict[str, Range]: Cause -> mJ, in the order of :data:`ENERGY_CAUSES`.
    """
    sums = {}
    for cause in ENERGY_CAUSES:
        found = [row[cause] for row in rows if cause in row]
        if found:
            sums[cause] = Range(
                math.fsum(r.low for r in found),
                math.fsum(r.high for r in found))
    return sums
