"""Synchronous execution: a barrier ends each sub-step.

In a sub-step a core does two things at the same time: it goes through its
neurons and sends their spikes, and it adds up what it receives. The sub-step
lasts as long as the longer of both takes on the slowest core, and then the
barrier (the ``simple`` timing model of SANA-FE).
"""

from dataclasses import dataclass

import numpy as np

from mmsnn.hardware.mapping.core_loads import Loads

from .delays import Delays
from .schedule import Schedule, key_of


@dataclass(frozen=True)
class SynchronousTime:
    """Times in nanoseconds.

    Attributes:
        latency (float): All sub-steps of a single image, which has the chip
            to itself.
        interval (float): Between two images of a pipeline, in which an image
            enters before the one before it has left.
        steps (ndarray): Length of each sub-step of a single image.
        pipeline_steps (ndarray): Length of each of the T x D sub-steps from
            one run of the network to the next, in which each layer works on
            another run.
        busy (ndarray): For each core, the time it works in an interval; NaN
            where a fixed length of sub-steps hides it.
    """

    latency: float
    interval: float
    steps: np.ndarray
    pipeline_steps: np.ndarray
    busy: np.ndarray


def synchronous_time(loads: Loads, schedule: Schedule,
                     delays: Delays) -> SynchronousTime:
    """Length of all sub-steps, for a single image and in a pipeline.

    Args:
        loads (Loads): Events of the cores.
        schedule (Schedule): Which population fires when.
        delays (Delays): Times per event.

    Returns:
        SynchronousTime: Latency, interval, and the sub-steps they consist of.

    Raises:
        MissingFigureError: If a latency that is needed is absent or null.
    """
    if delays.tick is not None:
        return _ticks(loads, schedule, delays.tick)
    barrier = delays.barrier(loads.mesh.tiles(loads.mapping.cores))
    send = {name: delays.firing(f.slices.neurons, f.spikes, f.messages)
            for name, f in loads.fired.items()}
    receive = [delays.receiving(r.messages, r.additions, r.link,
                                loads.mapping.weights)
               for r in loads.received]
    steps = _single_image(loads, schedule, receive, delays) + barrier
    pipeline, busy = _pipeline(loads, schedule, send, receive)
    pipeline = pipeline + barrier
    return SynchronousTime(
        float(steps.sum()), schedule.runs * float(pipeline.sum()),
        steps.ravel(), pipeline, schedule.runs * busy)


def _ticks(loads: Loads, schedule: Schedule, tick: float) -> SynchronousTime:
    steps = np.full(schedule.steps, tick)
    pipeline = np.full(schedule.period, tick)
    return SynchronousTime(
        float(steps.sum()), schedule.runs * float(pipeline.sum()), steps,
        pipeline, np.full(loads.mapping.cores, np.nan))


def _single_image(loads, schedule, receive, delays) -> np.ndarray:
    """Length of each sub-step, ``(windows, D)``, without the barrier.

    In every sub-step a core looks at all of its neurons. It also updates them
    in the windows in which they integrate or fire. Spikes that are replayed
    are only sent.
    """
    shape = (schedule.windows, schedule.max_spikes)
    access = delays('access', 'neurons looked at')
    update = delays('update', 'neurons updated')
    idle = max(f.slices.neurons.max() for f in loads.fired.values()) * access
    slowest = np.full(shape, idle)
    arriving = {}
    for row, time in zip(loads.received, receive):
        target = row.link.target
        name = target.population.name
        waiting = float(target.neurons.max() * (access + update))
        source = loads.mapping.network[row.link.projection.source]
        for window, substep, index in schedule.slots(source,
                                                     row.link.projection):
            slot = (window, substep)
            key = (name, *slot)
            arriving[key] = arriving.get(key, 0) + time[index]
            slowest[slot] = max(slowest[slot], arriving[key].max(), waiting)
    for name, fired in loads.fired.items():
        population = loads.mapping.network[name]
        later = [r for r in loads.out_of(name)
                 if key_of(r.link.projection) in schedule.replays]
        messages = fired.messages - sum(r.sent for r in later)
        looks = fired.slices.neurons
        sent = [(None, delays.firing(looks, fired.spikes, messages))]
        sent += [(r.link.projection,
                  looks * access + delays.firing(0.0, 0.0, r.sent))
                 for r in later]
        for projection, time in sent:
            for window, substep, index in schedule.slots(population,
                                                         projection):
                slot = (window, substep)
                slowest[slot] = max(slowest[slot], time[index].max())
    return slowest


def _pipeline(loads, schedule, send, receive):
    """Sub-steps from one run to the next while all populations work: their
    lengths without the barrier, and the time that each core works in them."""
    length = np.zeros(schedule.period)
    busy = np.zeros(loads.mapping.cores)
    incoming = {}
    for row, time in zip(loads.received, receive):
        network = loads.mapping.network
        padded = _aligned(time, network[row.link.projection.source], schedule)
        name = row.link.target.population.name
        incoming[name] = incoming.get(name, 0) + padded
    for name, fired in loads.fired.items():
        out = _aligned(send[name], fired.slices.population, schedule)
        most = np.maximum(out, incoming.get(name, 0))
        length = np.maximum(length, most.max(1))
        busy[fired.slices.core_range] = most.sum(0)
    return length, busy


def _aligned(rows: np.ndarray, population, schedule: Schedule) -> np.ndarray:
    """One row for each sub-step of a period, from the rows of a population,
    which has fewer where its T or D is smaller."""
    if len(rows) == schedule.period:
        return rows
    whole = np.zeros(
        (schedule.timesteps, schedule.max_spikes, rows.shape[1]))
    shape = (population.timesteps, population.max_spikes, rows.shape[1])
    whole[:shape[0], :shape[1]] = rows.reshape(shape)
    return whole.reshape(schedule.period, -1)
