"""Asynchronous execution: each core works off a queue of messages.

There is no barrier. Messages of a source core are spread evenly over the time
in which it fires; a core is a server that is never idle while messages wait.
Its queue is a fluid: exact for many small messages.
"""

import math
from dataclasses import dataclass

import numpy as np

from mmsnn.hardware.mapping.core_loads import Fired, Loads, Received

from .delays import Delays
from .schedule import Schedule

MODES = ('lossless', 'free_running')


@dataclass(frozen=True)
class Burst:
    """The fullest queue of a network.

    Attributes:
        population (str): Where it is.
        messages (float): Messages that wait at its worst moment.
        pressure (float): The largest rate of arriving work over the rate at
            which a core works, over any stretch of time; infinite if messages
            arrive at once.
    """

    population: str
    messages: float
    pressure: float

    def __str__(self) -> str:
        pressure = ('messages arrive at once' if math.isinf(self.pressure)
                    else f'work arrives up to {self.pressure:.3g} times as '
                    'fast as it is worked off')
        return (f'fullest queue: {self.messages:,.0f} messages wait in '
                f'{self.population}; {pressure}')


@dataclass(frozen=True)
class AsynchronousTime:
    """Times in nanoseconds.

    Attributes:
        latency (float): Until the last core of one image is done.
        interval (float): Shortest interval between images: what the busiest
            core works for one.
        busy (ndarray): For each core, the time it works for an image.
        burst (Burst | None): The fullest queue; None if nothing queues.
    """

    latency: float
    interval: float
    busy: np.ndarray
    burst: Burst | None


@dataclass
class _Cores:
    """Clock of the cores of a population.

    ``ready``: input worked off; ``start``, ``end``: of firing.
    """
    ready: np.ndarray
    start: np.ndarray
    end: np.ndarray


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

    Raises:
        MissingFigureError: If a latency that is needed is absent or null.
    """
    if mode not in MODES:
        raise ValueError(
            f'mode must be one of {", ".join(MODES)}, got {mode!r}')
    run = _Run(loads, schedule, delays, mode)
    clocks = {}
    for _ in range(schedule.runs):
        for t in range(schedule.timesteps):
            clocks = run.timestep(t, clocks)
    latency = max(
        max(c.end.max(), c.ready.max()) for c in clocks.values())
    return AsynchronousTime(
        float(latency), float(run.busy.max()), run.busy, run.burst)


class _Run:
    """What is the same for all time steps of a run."""

    def __init__(self, loads, schedule, delays, mode):
        self.loads, self.delays, self.mode = loads, delays, mode
        self.network = loads.mapping.network
        self.transport = delays.transport_cost(loads.mesh)
        self.busy = np.zeros(loads.mapping.cores)
        self.burst: Burst | None = None
        # Cores that fire in the same window do not wait for each other.
        order = {p.name: i for i, p in enumerate(self.network.populations)}
        last = schedule.depth + 1
        self.order = sorted(
            loads.fired,
            key=lambda name: (schedule.fires.get(name, last), order[name]))
        self.order = _after_sources(self.order, self.network)
        self.into = {name: loads.into(name) for name in loads.fired}

    def timestep(self, t: int, before: dict) -> dict:
        """Clocks after one more time step."""
        clocks = {}
        for name in self.order:
            clocks[name] = self._population(name, t, clocks, before)
        return clocks

    def _population(self, name, t, clocks, before) -> _Cores:
        fired = self.loads.fired[name]
        cores = fired.slices.cores
        free = before[name].end if name in before else np.zeros(cores)
        segments = [
            self._segment(r, t, clocks, cores) for r in self.into[name]
        ]
        firing = self._firing(fired, t)
        work = sum((s[2] for s in segments), np.zeros(cores))
        first = slice(fired.slices.first_core,
                      fired.slices.first_core + cores)
        self.busy[first] += work + firing
        floor = max([0.0] + [
            float(clocks[p.source].ready.max())
            for p in self.network.incoming(name)
            if self.network.carries(p) == 'real' and p.source in clocks
        ])
        ready = np.maximum(_finish(segments, cores), free + work)
        ready = np.maximum(ready, floor)
        self._note_burst(name, segments)
        held = self._operands(name, clocks)
        if self.mode == 'lossless':
            start = np.maximum(ready, held)
            return _Cores(ready, start, start + firing)
        share = np.divide(firing, work, out=np.zeros(cores), where=work > 0)
        grown = [(a, b, w * (1 + share), m) for a, b, w, m in segments]
        start = np.maximum(np.maximum(_begin(segments, cores), floor), free)
        end = np.maximum(_finish(grown, cores), start + firing)
        end = np.maximum(end, free + work + firing)
        return _Cores(ready, start, end)

    def _operands(self, name: str, clocks: dict) -> float:
        """When the other operands of the products it feeds are complete."""
        times = [0.0]
        for p in self.network.outgoing(name):
            if p.operand and p.operand in clocks:
                clock = clocks[p.operand]
                times.append(float(max(clock.end.max(), clock.ready.max())))
        return max(times)

    def _firing(self, fired: Fired, t: int) -> np.ndarray:
        """Time to fire the train of a time step: every neuron is looked at
        once, and once more after each spike."""
        rows = _rows(fired.slices.population, t)
        if rows is None:
            return np.zeros(fired.slices.cores)
        spikes = fired.spikes[rows].sum(0)
        messages = fired.messages[rows].sum(0)
        visit = (self.delays('access', 'neurons looked at') +
                 self.delays('update', 'neurons updated'))
        looked_at = fired.slices.neurons if (
            fired.slices.population.spikes) else 0.0
        return ((looked_at + spikes) * visit +
                spikes * self.delays('fire', 'spikes') +
                messages * self.delays('message', 'messages sent'))

    def _segment(self, row: Received, t: int, clocks: dict, cores: int):
        """First and last arrival, work and messages for each core."""
        source = self.network[row.link.projection.source]
        rows = _rows(source, t)
        if rows is None:
            zero = np.zeros(cores)
            return zero, zero, zero, None
        messages = row.messages[rows].sum(0)
        work = (messages * self.delays('message_in', 'messages received') +
                row.additions[rows].sum(0) *
                self.delays.synop(row.link, self.loads.mapping.weights))
        if row.link.source is None:
            zero = np.zeros(cores)
            return zero, zero, work, None
        hop_ew, hop_ns, step, each = self.transport
        hops = row.travel.into
        way = hops[0] * hop_ew + hops[1] * hop_ns + hops[2] * step + each
        clock = clocks[source.name]
        first = _over_sources(row, clock.start, np.minimum) + way
        last = _over_sources(row, clock.end, np.maximum) + way
        return first, last, work, messages

    def _note_burst(self, name: str, segments) -> None:
        """Keep the fullest queue; input from outside has no known rate."""
        inside = [s for s in segments if s[3] is not None]
        if not inside:
            return
        backlog, pressure = _backlog(inside)
        work = sum(s[2] for s in inside)
        messages = sum(s[3] for s in inside)
        each = np.divide(work, messages, out=np.ones_like(work),
                         where=messages > 0)
        waiting = np.divide(backlog, each, out=np.zeros_like(work),
                            where=each > 0)
        worst = int(waiting.argmax())
        if self.burst is None or waiting[worst] > self.burst.messages:
            self.burst = Burst(name, float(waiting[worst]),
                               float(pressure[worst]))


def _rows(population, t: int) -> slice | None:
    """Sub-steps of a time step; None if the population has ended."""
    if t >= population.timesteps:
        return None
    return slice(t * population.max_spikes, (t + 1) * population.max_spikes)


def _after_sources(names: list[str], network) -> list[str]:
    """Put each population behind what feeds it and what it waits for."""
    done, order = set(), []
    waits = {name: set() for name in names}
    for p in network.projections:
        if p.target in waits and p.source in waits:
            waits[p.target].add(p.source)
        if p.operand in waits and p.source in waits:
            waits[p.source].add(p.operand)
    while len(order) < len(names):
        for name in names:
            if name not in done and waits[name] <= done:
                done.add(name)
                order.append(name)
    return order


def _finish(segments, cores: int) -> np.ndarray:
    """When a server is done with all that arrives: the latest of each moment
    plus the work that arrives after it."""
    latest = np.zeros(cores)
    for first, last, _, _ in segments:
        for moment in (first, last):
            after = sum(w * _after(a, b, moment) for a, b, w, _ in segments)
            latest = np.maximum(latest, moment + after)
    return latest


def _after(first, last, moment, included=True):
    """Share of a segment that arrives after a moment; what arrives at once
    at that moment is included or not."""
    length = last - first
    share = np.divide(last - moment, length, out=np.zeros_like(length),
                      where=length > 0)
    at_once = moment <= first if included else moment < first
    return np.where(length > 0, np.clip(share, 0, 1), at_once)


def _begin(segments, cores: int) -> np.ndarray:
    """First arrival."""
    times = [first for first, _, work, _ in segments if work.any()]
    return np.minimum.reduce(times) if times else np.zeros(cores)


def _backlog(segments) -> tuple[np.ndarray, np.ndarray]:
    """Most work that ever waits, and the most that arrives in a stretch of
    time over its length."""
    moments = [m for first, last, _, _ in segments for m in (first, last)]
    waiting = np.zeros_like(moments[0])
    pressure = np.zeros_like(moments[0])
    for since in moments:
        for until in moments:
            stretch = until - since
            arrived = sum(
                w * (_after(a, b, since) - _after(a, b, until, False))
                for a, b, w, _ in segments)
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
    axes = row.link.connectivity.axes
    edges = row.link.target.block_edges(len(axes))
    source_edges = row.link.source.block_edges(len(axes))
    grid = values.reshape([len(e) - 1 for e in reversed(source_edges)])
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
    return grid.ravel()
