"""Asynchronous execution: each core handles messages as they arrive.

There is no barrier. A core sends its messages evenly over the time in which it
fires. Where they arrive they wait in a queue, and a core is never idle while
one waits. Queues are computed as if messages were a fluid that flows in and
out, which is exact for many small messages.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmsnn.hardware.mapping.core_loads import Fired, Loads, Received
from mmsnn.hardware.network.populations import Network, Population

from .delays import Delays
from .schedule import Key, Schedule, key_of

MODES = ('lossless', 'free_running')


@dataclass(frozen=True)
class Burst:
    """The fullest queue of a network.

    Attributes:
        population (str): The population whose core has this queue.
        messages (float): Messages that wait in it when it is fullest.
        pressure (float): How many times faster messages arrive than the core
            handles them: the largest ratio over any stretch of time, infinite
            if messages arrive in one moment.
    """

    population: str
    messages: float
    pressure: float

    def __str__(self) -> str:
        pressure = ('messages arrive at once' if math.isinf(self.pressure)
                    else f'work arrives up to {self.pressure:.3g} times as '
                    'fast as a core takes it')
        return (f'fullest queue: {self.messages:,.0f} messages wait in '
                f'{self.population}; {pressure}')


@dataclass(frozen=True)
class AsynchronousTime:
    """Times in nanoseconds.

    Attributes:
        latency (float): From the start of an image until the last core is
            done with it.
        interval (float): Shortest interval between images: the time that the
            busiest core works for one.
        busy (ndarray): For each core, the time it works for an image.
        burst (Burst | None): The fullest queue; None if nothing queues.
    """

    latency: float
    interval: float
    busy: np.ndarray
    burst: Burst | None


@dataclass
class _Cores:
    """Times of a population in a time step, in ns, one for each core.

    A core has handled all of its input at ``ready``, and fires from ``start``
    to ``end``.
    """

    ready: np.ndarray
    start: np.ndarray
    end: np.ndarray


class _Arrivals(NamedTuple):
    """What arrives over one projection in a time step, for each target core.

    Messages arrive evenly from ``first`` to ``last`` (ns), and it takes
    ``work`` (ns) to handle them. ``messages`` is their number; None where
    they come from outside the chip or nothing fires.
    """

    first: np.ndarray
    last: np.ndarray
    work: np.ndarray
    messages: np.ndarray | None


def asynchronous_time(loads: Loads, schedule: Schedule, delays: Delays,
                      mode: str = 'lossless') -> AsynchronousTime:
    """Latency, interval and fullest queue without a barrier.

    Args:
        loads (Loads): Events of the cores.
        schedule (Schedule): Order of the populations.
        delays (Delays): Times per event.
        mode (str): ``lossless``: a core fires when all that feeds it has
            fired and its queue is empty. ``free_running``: it fires while
            input arrives, which is faster and gives other spikes than the
            network was trained for.

    Returns:
        AsynchronousTime: Latency, interval and fullest queue.

    Raises:
        ValueError: If ``mode`` is neither.
        MissingFigureError: If a latency that is needed is absent or null.
    """
    if mode not in MODES:
        raise ValueError(
            f'mode must be one of {", ".join(MODES)}, got {mode!r}')
    run = _Simulation(loads, schedule, delays, mode)
    clocks = {}
    for _ in range(schedule.runs):
        for t in range(schedule.timesteps):
            clocks = run.timestep(t, clocks)
    latency = max(
        max(c.end.max(), c.ready.max()) for c in clocks.values())
    return AsynchronousTime(
        float(latency), float(run.busy.max()), run.busy, run.burst)


class _Simulation:
    """Goes through the time steps of an image, one after the other.

    ``timestep`` takes the times of the cores in the time step before and
    returns those in the next. ``busy`` and ``burst`` add up over all.
    ``replays`` are products for which spikes are sent once more, ``free`` the
    moments at which their sources have done so.
    """

    def __init__(self, loads, schedule, delays, mode):
        self.loads, self.delays, self.mode = loads, delays, mode
        self.network = loads.mapping.network
        self.transport = delays.transport_cost(loads.mesh)
        self.busy = np.zeros(loads.mapping.cores)
        self.burst: Burst | None = None
        self.replays = set(schedule.replays) if mode == 'lossless' else set()
        self.free: dict[str, np.ndarray] = {}
        # Cores that fire in the same window do not wait for each other.
        order = {p.name: i for i, p in enumerate(self.network.populations)}
        last = schedule.depth + 1
        self.order = _after_sources(
            sorted(
                loads.fired,
                key=lambda name: (schedule.fires.get(name, last),
                                  order[name])), self.network,
            schedule.replays)
        self.into = {name: loads.into(name) for name in loads.fired}

    def timestep(self, t: int, before: dict) -> dict:
        """Times of all populations in a time step."""
        clocks = {}
        for name in self.order:
            clocks[name] = self._population(name, t, clocks, before)
        return clocks

    def _population(self, name, t, clocks, before) -> _Cores:
        fired = self.loads.fired[name]
        cores = fired.slices.cores
        free = before[name].end if name in before else np.zeros(cores)
        free = np.maximum(free, self.free.get(name, 0.0))
        arrivals = [
            self._arrivals(r, t, clocks, cores) for r in self.into[name]
        ]
        firing = self._firing(fired, t)
        work = sum((a.work for a in arrivals), np.zeros(cores))
        self.busy[fired.slices.core_range] += work + firing
        floor = max([0.0] + [
            float(clocks[p.source].ready.max())
            for p in self.network.incoming(name)
            if self.network.carries(p) == 'real' and p.source in clocks
        ])
        ready = np.maximum(_finish(arrivals, cores), free + work)
        ready = np.maximum(ready, floor)
        self._note_burst(name, arrivals)
        held = self._operands(name, clocks)
        if self.mode == 'lossless':
            start = np.maximum(ready, held)
            return _Cores(ready, start, start + firing)
        share = np.divide(firing, work, out=np.zeros(cores), where=work > 0)
        grown = [a._replace(work=a.work * (1 + share)) for a in arrivals]
        start = np.maximum(np.maximum(_begin(arrivals, cores), floor), free)
        end = np.maximum(_finish(grown, cores), start + firing)
        end = np.maximum(end, free + work + firing)
        return _Cores(ready, start, end)

    def _operands(self, name: str, clocks: dict) -> float:
        """When the other operands of the products that a population feeds
        are complete."""
        times = [0.0]
        for p in self.network.outgoing(name):
            if p.operand in clocks and key_of(p) not in self.replays:
                times.append(_complete(clocks[p.operand]))
        return max(times)

    def _firing(self, fired: Fired, t: int) -> np.ndarray:
        """Time in which each core fires in a time step: it looks at every
        neuron once, and once more after each spike."""
        rows = _rows(fired.slices.population, t)
        if rows is None:
            return np.zeros(fired.slices.cores)
        spikes = fired.spikes[rows].sum(0)
        messages = fired.messages[rows].sum(0) - sum(
            r.sent[rows].sum(0)
            for r in self.loads.out_of(fired.slices.population.name)
            if key_of(r.link.projection) in self.replays)
        neurons = fired.slices.neurons if (
            fired.slices.population.spikes) else 0.0
        return self.delays.firing(neurons + spikes, spikes, messages)

    def _arrivals(self, row: Received, t: int, clocks: dict,
                  cores: int) -> _Arrivals:
        """What arrives over a link in a time step."""
        source = self.network[row.link.projection.source]
        rows = _rows(source, t)
        if rows is None:
            zero = np.zeros(cores)
            return _Arrivals(zero, zero, zero, None)
        messages = row.messages[rows].sum(0)
        work = self.delays.receiving(messages, row.additions[rows].sum(0),
                                     row.link, self.loads.mapping.weights)
        if row.link.source is None:
            zero = np.zeros(cores)
            return _Arrivals(zero, zero, work, None)
        hop_ew, hop_ns, step, each = self.transport
        hops = row.travel.into
        transit = hops[0] * hop_ew + hops[1] * hop_ns + hops[2] * step + each
        clock = clocks[source.name]
        start, end = clock.start, clock.end
        if key_of(row.link.projection) in self.replays:
            start, end = self._replay(row, rows, clocks)
        first = _over_sources(row, start, np.minimum) + transit
        last = _over_sources(row, end, np.maximum) + transit
        return _Arrivals(first, last, work, messages)

    def _replay(self, row: Received, rows: slice,
                clocks: dict) -> tuple[np.ndarray, np.ndarray]:
        """When each core of a source begins and ends to send its spikes once
        more, for a product whose other operand is complete."""
        projection = row.link.projection
        start = np.maximum(clocks[projection.source].end,
                           _complete(clocks[projection.operand]))
        start = np.maximum(start, self.free.get(projection.source, 0.0))
        sending = self.delays.firing(0.0, 0.0, row.sent[rows].sum(0))
        self.busy[row.link.source.core_range] += sending
        self.free[projection.source] = start + sending
        return start, start + sending

    def _note_burst(self, name: str, arrivals: list[_Arrivals]) -> None:
        """Keep the fullest queue; the rate of input from outside the chip is
        not known, so it is left out."""
        inside = [a for a in arrivals if a.messages is not None]
        if not inside:
            return
        backlog, pressure = _backlog(inside)
        work = sum(a.work for a in inside)
        messages = sum(a.messages for a in inside)
        each = np.divide(work, messages, out=np.ones_like(work),
                         where=messages > 0)
        waiting = np.divide(backlog, each, out=np.zeros_like(work),
                            where=each > 0)
        worst = int(waiting.argmax())
        if self.burst is None or waiting[worst] > self.burst.messages:
            self.burst = Burst(name, float(waiting[worst]),
                               float(pressure[worst]))


def _rows(population: Population, t: int) -> slice | None:
    """Sub-steps of a time step; None if the population has fewer steps."""
    if t >= population.timesteps:
        return None
    return slice(t * population.max_spikes, (t + 1) * population.max_spikes)


def _complete(clock: _Cores) -> float:
    """When all cores of a population are done."""
    return float(max(clock.end.max(), clock.ready.max()))


def _after_sources(names: list[str], network: Network,
                   replays: Collection[Key]) -> list[str]:
    """Put each population behind those that feed it or that it waits for."""
    done, order = set(), []
    waits = {name: set() for name in names}
    for p in network.projections:
        if p.target in waits and p.source in waits:
            waits[p.target].add(p.source)
        if p.operand in waits and p.source in waits:
            waits[p.target if key_of(p) in replays else p.source].add(
                p.operand)
    while len(order) < len(names):
        for name in names:
            if name not in done and waits[name] <= done:
                done.add(name)
                order.append(name)
    return order


def _finish(arrivals: list[_Arrivals], cores: int) -> np.ndarray:
    """When each core has handled all that arrives.

    A core that begins to work at some moment, and has to do all that arrives
    from then on, is done no earlier than that moment plus that work. The
    latest of these times, over the moments at which arrivals begin and end,
    is when it is done.
    """
    latest = np.zeros(cores)
    for first, last, _, _ in arrivals:
        for moment in (first, last):
            after = sum(
                a.work * _after(a.first, a.last, moment) for a in arrivals)
            latest = np.maximum(latest, moment + after)
    return latest


def _after(first, last, moment, included=True):
    """Share of messages that arrive after a moment. Those that all arrive in
    that very moment count where ``included``."""
    length = last - first
    share = np.divide(last - moment, length, out=np.zeros_like(length),
                      where=length > 0)
    at_once = moment <= first if included else moment < first
    return np.where(length > 0, np.clip(share, 0, 1), at_once)


def _begin(arrivals: list[_Arrivals], cores: int) -> np.ndarray:
    """When the first message arrives at each core."""
    times = [a.first for a in arrivals if a.work.any()]
    return np.minimum.reduce(times) if times else np.zeros(cores)


def _backlog(
        arrivals: list[_Arrivals]) -> tuple[np.ndarray, np.ndarray]:
    """For each core: the most work (ns) that ever waits, and the largest
    ratio of the work that arrives in a stretch of time to its length."""
    moments = [m for a in arrivals for m in (a.first, a.last)]
    waiting = np.zeros_like(moments[0])
    pressure = np.zeros_like(moments[0])
    for since in moments:
        for until in moments:
            stretch = until - since
            arrived = sum(
                a.work * (_after(a.first, a.last, since) -
                          _after(a.first, a.last, until, False))
                for a in arrivals)
            valid = stretch >= 0
            waiting = np.maximum(waiting,
                                 np.where(valid, arrived - stretch, 0))
            at_once = np.where(valid & (arrived > 0), np.inf, 0)
            pressure = np.maximum(
                pressure,
                np.divide(arrived, stretch, out=at_once, where=stretch > 0))
    return waiting, pressure


def _over_sources(row: Received, values: np.ndarray, reduce) -> np.ndarray:
    """Smallest or largest value over the source cores of each target core."""
    axes, order = row.link.connectivity.axes, row.link.connectivity.order
    edges, source_edges = row.link.edges, row.link.source_edges
    blocks = [len(e) - 1 for e in row.link.source.block_edges(len(axes))]
    last = len(axes) - 1
    grid = values.reshape(blocks[::-1]).transpose(
        [last - order[last - place] for place in range(len(axes))])
    for i, (axis, e, s) in enumerate(zip(axes, edges, source_edges)):
        block, source_block, _ = axis.overlap(e, s)
        place = len(axes) - 1 - i
        picked = np.take(grid, source_block, axis=place)
        starts = np.searchsorted(block, np.arange(len(e) - 1))
        known = np.isin(np.arange(len(e) - 1), block)
        shape = list(picked.shape)
        shape[place] = len(e) - 1
        # Blocks that nothing feeds receive no work: their time is 0.
        grid = np.zeros(shape)
        index = [slice(None)] * len(shape)
        index[place] = known
        grid[tuple(index)] = reduce.reduceat(picked, starts[known],
                                             axis=place)
    places = row.link.connectivity.to_target(
        [last - i for i in range(len(axes))])
    return grid.transpose(places[::-1]).ravel()
