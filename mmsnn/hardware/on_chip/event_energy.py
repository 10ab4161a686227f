"""Events of a mapped network per image, and what they cost."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mmsnn.hardware.amounts import PJ_PER_MJ, Range
from mmsnn.hardware.chips.figures import MissingFigureError, UsedFigures
from mmsnn.hardware.mapping.core_loads import Loads
from mmsnn.hardware.timing.delays import synop_figure
from mmsnn.hardware.timing.schedule import Schedule

#: Event -> (figure of the section ``events``, cause in tables). Synaptic
#: additions have a figure of their own by kind of synapse.
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

#: What energy on a chip is split by.
ENERGY_CAUSES = (*dict.fromkeys(
    cause for _, cause in FIGURE_OF_EVENT.values()), STATIC)


@dataclass(frozen=True)
class EventRow:
    """Events of a population or a link, mean per image.

    Attributes:
        name (str): Population or projection.
        kind (str): Kind of the population or op of the projection.
        target (str): Where the projection ends; empty for populations.
        alone (dict[str, float]): Events of one image alone.
        pipeline (dict[str, float]): Where images follow each other.
        figure (str): What its synaptic additions are charged with.
    """

    name: str
    kind: str
    target: str
    alone: dict[str, float]
    pipeline: dict[str, float]
    figure: str = 'events.synop'


def event_rows(loads: Loads, schedule: Schedule,
               timing: str) -> Iterator[EventRow]:
    """Events by population and link, in the order of the network."""
    into = {}
    for received in loads.received:
        into.setdefault(received.link.target.population.name,
                        []).append(received)
    for name, fired in loads.fired.items():
        for received in into.get(name, ()):
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


def _arriving(received, runs: int) -> dict[str, float]:
    messages = runs * float(received.messages.sum())
    way = received.travel
    return {
        'synaptic additions': runs * float(received.additions.sum()),
        'messages received': messages,
        'hops along x': messages * way.hops_ew,
        'hops along y': messages * way.hops_ns,
        'steps between chips': messages * way.chips,
    }


def _population(fired, schedule: Schedule, timing: str, active: int):
    """Events of the neurons, for an image alone, in which they are updated in
    so many sub-steps, and in a pipeline."""
    population, runs = fired.slices.population, schedule.runs
    spikes = runs * float(fired.spikes.sum())
    sent = {
        'spikes': spikes,
        'messages sent': runs * float(fired.messages.sum()),
    }
    neurons = population.neurons
    if timing == 'asynchronous':
        looks = runs * neurons * population.timesteps + spikes if (
            population.spikes) else 0.0
        visits = {'neurons looked at': looks, 'neurons updated': looks}
        return {**visits, **sent}, {**visits, **sent}
    alone = {
        'neurons looked at': float(neurons * schedule.steps),
        'neurons updated': float(neurons * active),
    }
    pipeline = dict.fromkeys(alone, float(neurons * schedule.interval))
    return {**alone, **sent}, {**pipeline, **sent}


class EventPricing:
    """mJ of events; keeps which figures were used and which are missing.

    Args:
        used (UsedFigures): Figures of the chip, ranges as they are.
        report (bool): Note missing figures instead of raising.
    """

    def __init__(self, used: UsedFigures, report: bool) -> None:
        self.used, self.report = used, report
        self.missing: dict[str, str] = {}

    def __call__(self, events: dict[str, float],
                 figure: str) -> dict[str, Range]:
        """mJ by cause; what does not occur needs no figure.

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
        """mJ of static power over a time.

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
    """Causes of events that occur and have no energy, since their figure is
    missing.

    Example:
        >>> unknown_causes({'spikes': 3., 'hops along x': 0.}, {})
        ('neuron fire',)
    """
    causes = (FIGURE_OF_EVENT[event][1] for event, count in events.items()
              if count)
    return tuple(c for c in dict.fromkeys(causes) if c not in energies)


def total(rows: list[dict[str, Range]]) -> dict[str, Range]:
    """Sums by cause, in the order of :data:`ENERGY_CAUSES`."""
    sums = {}
    for cause in ENERGY_CAUSES:
        found = [row[cause] for row in rows if cause in row]
        if found:
            sums[cause] = Range(
                math.fsum(r.low for r in found),
                math.fsum(r.high for r in found))
    return sums
