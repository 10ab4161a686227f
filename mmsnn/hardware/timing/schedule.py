"""When each population fires in lossless execution."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mmsnn.hardware.network.populations import Network, Population
from mmsnn.hardware.network.projections import Projection

#: Name, source, target and operand of a projection.
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Schedule:
    """Which population fires in which window of D sub-steps.

    A population integrates all of its input of a time step, then fires for D
    sub-steps: one window. Each further time step enters the network a window
    later, and so do further runs of the network on an image.

    Attributes:
        fires (dict[str, int]): First window in which a population fires,
            counted from 1.
        depth (int): Windows from the input of a time step to its last result.
        timesteps (int): T.
        max_spikes (int): D, sub-steps of a window.
        runs (int): Runs of the network for an image.
        sends (dict[str, int]): First window in which a population sends. It
            is that of ``fires``. A population that does not fire sends
            membranes, in the window in which they are complete (the input in
            the first).
        replays (dict[tuple[str, str, str, str], int]): First window in which
            a projection (:func:`key_of`) sends the spikes of its source once
            more, from memory: in a product whose other operand is only
            complete after they were fired.
    """

    fires: dict[str, int]
    depth: int
    timesteps: int
    max_spikes: int
    runs: int = 1
    sends: dict[str, int] = field(default_factory=dict)
    replays: dict[Key, int] = field(default_factory=dict)

    @property
    def windows(self) -> int:
        """Windows that a single image takes."""
        return self.depth + self.runs * self.timesteps - 1

    @property
    def steps(self) -> int:
        """Sub-steps that a single image takes: depth x D where T is 1."""
        return self.windows * self.max_spikes

    @property
    def period(self) -> int:
        """Sub-steps between runs that follow each other: T x D."""
        return self.timesteps * self.max_spikes

    @property
    def interval(self) -> int:
        """Sub-steps between images that follow each other."""
        return self.runs * self.period

    def slots(self, population: Population,
              projection: Projection | None = None
              ) -> Iterator[tuple[int, int, int]]:
        """When a population sends, in all runs of a single image.

        Args:
            population (Population): One of the network.
            projection (Projection, optional): One that starts in it. Defaults
                to None: when it fires.

        Yields:
            tuple[int, int, int]: Window (from 0), sub-step in the window, and
            the sub-step of T x D of the population that is sent then: the row
            of its counts in :class:`Loads`.
        """
        window = self.sends[population.name]
        if projection is not None:
            window = self.replays.get(key_of(projection), window)
        for run in range(self.runs):
            first = window + run * self.timesteps - 1
            for t in range(population.timesteps):
                for d in range(population.max_spikes):
                    yield first + t, d, t * population.max_spikes + d

    def active(self, network: Network, name: str) -> int:
        """In how many sub-steps a population integrates or fires.

        Args:
            network (Network): The network of this schedule.
            name (str): A population of it.

        Returns:
            int: Sub-steps of a single image in which a chip has to update
            the neurons.
        """
        slots = [self.slots(network[p.source], p)
                 for p in network.incoming(name)
                 if network.carries(p) in ('spikes', 'membranes')]
        if network[name].spikes:
            slots.append(self.slots(network[name]))
        return len({(window, substep) for sent in slots
                    for window, substep, _ in sent})


def lossless_schedule(network: Network) -> Schedule:
    """The earliest window of each population.

    - A population of neurons fires in the window after the last of those that
      feed it.
    - Real input and ops on real values take no window of their own.
    - A membrane that is handed on (``residual``) is complete when its source
      starts to fire.
    - In a product, the source fires when the other operand is complete: the
      counts of the trace hold for that order (first ``V``, then ``K``, then
      ``Q``).
    - Where the other operand depends on the source (``Q Q^T``), the source
      can not wait for it. It fires as ever, its spikes are kept, and sent
      once more for the product, in the window after the operand is complete.

    Args:
        network (Network): The network.

    Returns:
        Schedule: With the fewest windows that these rules allow. Of products
        whose operands wait for each other, the later one is replayed.

    Raises:
        ValueError: If an operand depends on the product that it is of.

    Example:
        >>> from mmsnn.hardware import Network, Population, Projection
        >>> network = Network(
        ...     (Population('image', (2,), kind='input'),
        ...      Population('a', (2,), max_spikes=4, spikes=(1.,) * 4),
        ...      Population('b', (2,), max_spikes=4, spikes=(1.,) * 4)),
        ...     (Projection('stem', 'image', 'a', 'linear', macs=4.),
        ...      Projection('fc', 'a', 'b', 'linear', sops=(8.,))))
        >>> schedule = lossless_schedule(network)
        >>> schedule.fires, schedule.steps
        ({'a': 1, 'b': 2}, 8)
    """
    complete = {p.name: 0 for p in network.populations}
    fires = {p.name: 1 for p in network.populations if p.spikes}
    replays = dict.fromkeys(map(key_of, replayed(network)), 1)
    for _ in range(3 * (len(complete) + len(replays)) + 3):
        before = dict(complete), dict(fires), dict(replays)
        _relax(network, complete, fires, replays)
        if before == (complete, fires, replays):
            break
    else:
        products = {p.name for p in network.projections if p.operand}
        raise ValueError(
            'the network has no lossless schedule: an operand of a product '
            f'depends on its result ({", ".join(sorted(products))})')
    spiking = [p for p in network.populations if p.spikes]
    return Schedule(
        fires, max(*complete.values(), *fires.values(), *replays.values()),
        max(p.timesteps for p in spiking),
        max(p.max_spikes for p in spiking), network.runs, {
            name: fires.get(name, max(1, window))
            for name, window in complete.items()
        }, replays)


def replayed(network: Network) -> list[Projection]:
    """Products whose source fires before their other operand is complete.

    Args:
        network (Network): The network.

    Returns:
        list[Projection]: Those whose operand depends on the source, also by
        way of another product that its source waits for.

    Example:
        >>> from mmsnn.hardware import Network, Population, Projection
        >>> network = Network(
        ...     (Population('q', (2,), spikes=(1.,)),
        ...      Population('out', (4,), kind='real')),
        ...     (Projection('q q^T', 'q', 'out', 'matmul', sops=(2.,),
        ...                 static=False, reason='computed', operand='q'),))
        >>> [p.name for p in replayed(network)]
        ['q q^T']
    """
    after: dict[str, set[str]] = {p.name: set() for p in network.populations}
    for p in network.projections:
        after[p.source].add(p.target)
    found = []
    for p in network.projections:
        if not p.operand or not network[p.source].spikes:
            continue
        if _reaches(after, p.source, p.operand):
            found.append(p)
        else:
            after[p.operand].add(p.source)
    return found


def _reaches(after: dict[str, set[str]], start: str, end: str) -> bool:
    todo, seen = [start], set()
    while todo:
        name = todo.pop()
        if name == end:
            return True
        if name not in seen:
            seen.add(name)
            todo += after[name]
    return False


def key_of(projection: Projection) -> Key:
    """What names a projection in a schedule.

    Args:
        projection (Projection): The projection.

    Returns:
        tuple[str, str, str, str]: Its name, source, target and operand.
    """
    return (projection.name, projection.source, projection.target,
            projection.operand)


def _relax(network: Network, complete: dict, fires: dict,
           replays: dict) -> None:
    """Move each population behind what it waits for, one pass."""
    for population in network.populations:
        name = population.name
        for p in network.incoming(name):
            source = p.source
            spikes = network.carries(p) != 'membranes' and source in fires
            arrives = fires[source] if spikes else complete[source]
            arrives = replays.get(key_of(p), arrives)
            complete[name] = max(complete[name], arrives)
        if name in fires:
            fires[name] = max(fires[name], complete[name] + 1)
    for p in network.projections:
        if p.operand and p.source in fires:
            ready = fires.get(p.operand, complete[p.operand])
            late, key = (replays, key_of(p)) if key_of(p) in replays else (
                fires, p.source)
            late[key] = max(late[key], ready + 1)
