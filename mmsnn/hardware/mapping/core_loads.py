"""What each core sends and receives in each sub-step, mean per run."""

from dataclasses import dataclass

import numpy as np

from .mapper import Link, Mapping, Slices, product
from .mesh import Mesh, Travel, mesh_of, travel


@dataclass(frozen=True)
class Fired:
    """What the cores of a population send in each of its T x D sub-steps.

    Attributes:
        slices (Slices): The population and its cores.
        spikes (ndarray): Spikes, ``(T x D, cores)``.
        messages (ndarray): Messages, ``(T x D, cores)``. A spike (or a
            membrane) is one message to each core that it goes to.
    """

    slices: Slices
    spikes: np.ndarray
    messages: np.ndarray


@dataclass(frozen=True)
class Received:
    """What arrives over a link in each sub-step of its source.

    Attributes:
        link (Link): The projection.
        messages (ndarray): Messages that arrive, ``(T x D of the source,
            cores of the target)``.
        additions (ndarray): Synaptic additions (or membranes that are added),
            in the same shape.
        travel (Travel): How far the messages have come.
        sent (ndarray): Messages that cores of the source send, ``(T x D,
            cores of the source)``; one column where it is outside the chip.
    """

    link: Link
    messages: np.ndarray
    additions: np.ndarray
    travel: Travel
    sent: np.ndarray


@dataclass(frozen=True)
class Loads:
    """What all cores of a mapped network send and receive.

    Attributes:
        mapping (Mapping): Which neurons each core holds.
        mesh (Mesh): Where the cores lie.
        fired (dict[str, Fired]): What is sent, by name of the population.
        received (tuple[Received]): What arrives, one entry for each link.
    """

    mapping: Mapping
    mesh: Mesh
    fired: dict[str, Fired]
    received: tuple[Received, ...]

    def into(self, name: str) -> list[Received]:
        """What arrives at a population.

        Args:
            name (str): Name of the population.

        Returns:
            list[Received]: One entry for each link that ends in it.
        """
        return [
            r for r in self.received
            if r.link.target.population.name == name
        ]

    def out_of(self, name: str) -> list[Received]:
        """What a population sends.

        Args:
            name (str): Name of the population.

        Returns:
            list[Received]: One entry for each link that starts in it.
        """
        return [r for r in self.received if r.link.projection.source == name]


def count_loads(mapping: Mapping) -> Loads:
    """Count what every core sends and receives in every sub-step.

    Totals of spikes and additions are exactly those of the network. Within a
    layer its ``profile`` says how often each neuron fires; without one all
    fire equally often.

    Args:
        mapping (Mapping): A network on the cores of a chip.

    Returns:
        Loads: Mean counts per run of the network.

    Raises:
        ValueError: If a projection has additions, but connects none of the
            neurons that fire.
        MissingFigureError: If the spec does not know how many cores it has.

    Example:
        >>> from mmsnn.hardware import load_chip
        >>> from mmsnn.hardware.mapping.mapper import map_network
        >>> from mmsnn.hardware.network.populations import *
        >>> network = Network(
        ...     (Population('a', (3,), spikes=(2.,)),
        ...      Population('b', (1500,), spikes=(5.,))),
        ...     (Projection('fc', 'a', 'b', 'linear', synapses=4500,
        ...                 weights=4500, sops=(3000.,)),))
        >>> loads = count_loads(map_network(network, load_chip('loihi')))
        >>> loads.fired['a'].messages  # 2 spikes, each to 2 cores
        array([[4.]])
        >>> loads.received[0].additions
        array([[1500., 1500.]])
    """
    mesh = mesh_of(mapping.chip, mapping.cores)
    messages = {}
    received = []
    for link in mapping.links:
        row = _receive(link, mapping, mesh)
        received.append(row)
        if link.source is not None:
            name = link.source.population.name
            messages[name] = messages.get(name, 0) + row.sent
    fired = {}
    for name, slices in mapping.slices.items():
        spikes = _spikes(slices)
        fired[name] = Fired(slices, spikes,
                            messages.get(name, np.zeros_like(spikes)))
    return Loads(mapping, mesh, fired, tuple(received))


def _even(population, axes: int) -> list[np.ndarray]:
    """Equal shares at each index of each axis."""
    shape = population.shape + (1, ) * (axes - len(population.shape))
    return [np.full(n, 1 / n) for n in shape]


def _spikes(slices: Slices) -> np.ndarray:
    """Spikes of each core in each sub-step."""
    population = slices.population
    if not population.spikes:
        return np.zeros((population.substeps, slices.cores))
    axes = len(population.shape)
    rows = [
        product([
            np.add.reduceat(share, edges[:-1])
            for share, edges in zip(shares, slices.edges)
        ]) for shares in _profiles(population, axes)
    ]
    return np.array(population.spikes)[:, None] * np.array(rows)


def _profiles(population, axes: int) -> list[list[np.ndarray]]:
    """Share of the spikes at each index of each axis: an entry for each
    sub-step, or one entry for all where the population has no profile."""
    if not population.profile:
        return [_even(population, axes)]
    more = [np.ones(1)] * (axes - len(population.shape))
    return [[np.array(s) for s in substep] + more
            for substep in population.profile]


def _receive(link: Link, mapping: Mapping, mesh: Mesh) -> Received:
    """What is sent and arrives over a link."""
    population = mapping.network[link.projection.source]
    axes = link.connectivity.axes
    if link.carries == 'membranes':
        amount = np.zeros(population.substeps)
        amount[::population.max_spikes] = population.neurons
        additions = amount / population.neurons * (
            link.target.population.neurons)
        profiles = [_even(population, len(axes))]
    else:
        amount = np.array(mapping.network.spikes_read(link.projection))
        additions = np.array(
            mapping.network.sops_per_substep(link.projection))
        profiles = _profiles(population, len(axes))
        if population.profile:
            profiles = [
                _reaching(link, shares, population) if added else shares
                for shares, added in zip(profiles, additions)
            ]
    part = bool(link.projection.spikes_read)
    if part:
        profiles = [_reaching(link, shares, population)
                    for shares in profiles]
    profiles = [link.connectivity.from_source(p) for p in profiles]
    arriving, adding, leaving = zip(
        *(_distribute(link, p, part) for p in profiles))
    adding = np.array(adding)
    total = adding.sum(1, keepdims=True)
    if (additions[:, None] * (total == 0)).any():
        raise ValueError(
            f'projection {link.projection.name!r} has additions, but its '
            'geometry connects none of the neurons that fire')
    adding = np.divide(adding, total, out=np.zeros_like(adding),
                       where=total > 0)
    column = amount[:, None]
    travels = [travel(link, mesh, p) for p in profiles]
    return Received(link, column * np.array(arriving),
                    additions[:, None] * adding,
                    _mean_travel(travels, column * np.array(arriving)),
                    column * np.array(leaving))


def _reaching(link: Link, shares, population) -> list[np.ndarray]:
    """Shares that reach a target, for a sub-step that has additions.

    A profile is of one image, additions are means over all. Where none of the
    neurons that fire by the profile has a target, shares are equal instead.
    """
    axes = link.connectivity.axes
    reached = all(
        axis.connections(np.array([0, axis.targets]), share).any()
        for axis, share in zip(axes, link.connectivity.from_source(shares)))
    return shares if reached else _even(population, len(axes))


def _distribute(link: Link, shares, part: bool) -> tuple[np.ndarray, ...]:
    """Where one spike of the source goes on average (if ``part``: one that
    the link reads): messages that arrive at each core of the target,
    connections there that it takes, and messages that leave each core of the
    source."""
    axes = link.connectivity.axes
    edges = link.edges
    if part:
        read = np.prod([
            axis.distinct(np.array([0, axis.targets]), share).item()
            for axis, share in zip(axes, shares)
        ])
        first, *others = shares
        shares = [first / read if read else first, *others]
    at_target = link.connectivity.to_target
    arriving = product(at_target([
        axis.distinct(e, share)
        for axis, e, share in zip(axes, edges, shares)
    ]))
    adding = product(at_target([
        axis.connections(e, share)
        for axis, e, share in zip(axes, edges, shares)
    ]))
    if link.source is None:
        return arriving, adding, np.zeros(1)
    leaving = [
        np.add.reduceat(share * axis.fan_out(e), s[:-1]) for axis, e, s, share
        in zip(axes, edges, link.source_edges, shares)
    ]
    return arriving, adding, product(link.connectivity.to_source(leaving))


def _mean_travel(travels: list[Travel], messages: np.ndarray) -> Travel:
    """Mean over sub-steps, weighted by their messages."""
    if len(travels) == 1:
        return travels[0]
    weights = messages.sum(1)
    if not weights.any():
        return travels[0]
    weights = weights / weights.sum()
    into = sum(t.into * m for t, m in zip(travels, messages))
    total = messages.sum(0)
    into = np.divide(into, total, out=np.zeros_like(into), where=total > 0)
    means = [
        float(sum(w * getattr(t, name) for w, t in zip(weights, travels)))
        for name in ('hops_ew', 'hops_ns', 'chips')
    ]
    return Travel(*means, into)
