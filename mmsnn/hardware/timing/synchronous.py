"""Synchronous execution: a barrier ends each sub-step.

In a sub-step every core goes through its neurons and sends, and works off
what it receives, at the same time; the slowest core of all decides (the
``simple`` timing model of SANA-FE).
"""

from dataclasses import dataclass

import numpy as np

from mmsnn.hardware.mapping.core_loads import Fired, Loads, Received

from .delays import Delays
from .schedule import Schedule


@dataclass(frozen=True)
class SynchronousTime:
    """Times in nanoseconds.

    Attributes:
        latency (float): Of one image alone: all its sub-steps.
        interval (float): Between images that follow each other.
        steps (ndarray): Length of each sub-step of an image alone.
        pipeline_steps (ndarray): Length of the T x D sub-steps between
            runs, in which all layers work on different ones.
        busy (ndarray): For each core, the time it works in an interval.
    """

    latency: float
    interval: float
    steps: np.ndarray
    pipeline_steps: np.ndarray
    busy: np.ndarray


def synchronous_time(loads: Loads, schedule: Schedule,
                     delays: Delays) -> SynchronousTime:
    """Length of all sub-steps, for an image alone and in a pipeline.

    Args:
        loads (Loads): Events of the cores.
        schedule (Schedule): Which population fires when.
        delays (Delays): Times per event.

    Raises:
        MissingFigureError: If a latency that is needed is absent or null.
    """
    if delays.tick is not None:
        return _ticks(loads, schedule, delays.tick)
    barrier = delays.barrier(loads.mesh.tiles(loads.mapping.cores))
    send = {name: _send(f, delays) for name, f in loads.fired.items()}
    receive = [_receive(r, delays, loads.mapping.weights)
               for r in loads.received]
    steps = _alone(loads, schedule, send, receive, delays) + barrier
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


def _visit(delays: Delays) -> float:
    return (delays('access', 'neurons looked at') +
            delays('update', 'neurons updated'))


def _send(fired: Fired, delays: Delays) -> np.ndarray:
    """Time of each core to go through its neurons and send."""
    return (fired.slices.neurons * _visit(delays) +
            fired.spikes * delays('fire', 'spikes') +
            fired.messages * delays('message', 'messages sent'))


def _receive(received: Received, delays: Delays,
             weights: str) -> np.ndarray:
    """Time of each core to work off what arrives."""
    return (received.messages * delays('message_in', 'messages received') +
            received.additions * delays.synop(received.link, weights))


def _alone(loads, schedule, send, receive, delays) -> np.ndarray:
    """``(windows, D)``: every neuron is looked at in every sub-step; those
    that integrate or fire are updated."""
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
        for window, substep, index in schedule.slots(source):
            slot = (window, substep)
            key = (name, *slot)
            arriving[key] = arriving.get(key, 0) + time[index]
            slowest[slot] = max(slowest[slot], arriving[key].max(), waiting)
    for name, time in send.items():
        for window, substep, index in schedule.slots(
                loads.mapping.network[name]):
            slot = (window, substep)
            slowest[slot] = max(slowest[slot], time[index].max())
    return slowest


def _pipeline(loads, schedule, send, receive):
    """Length of each sub-step between runs while all populations work, and
    the time that each core is busy in them."""
    length = np.zeros(schedule.period)
    busy = np.zeros(loads.mapping.cores)
    incoming = {}
    for row, time in zip(loads.received, receive):
        network = loads.mapping.network
        padded = _aligned(time, network[row.link.projection.source], schedule)
        name = row.link.target.population.name
        incoming[name] = incoming.get(name, 0) + padded
    for name, fired in loads.fired.items():
        slices = fired.slices
        out = _aligned(send[name], slices.population, schedule)
        most = np.maximum(out, incoming.get(name, 0))
        length = np.maximum(length, most.max(1))
        busy[slices.first_core:slices.first_core + slices.cores] = most.sum(0)
    return length, busy


def _aligned(rows: np.ndarray, population, schedule: Schedule) -> np.ndarray:
    """Rows of a population's sub-steps at their place in a period."""
    if len(rows) == schedule.period:
        return rows
    whole = np.zeros(
        (schedule.timesteps, schedule.max_spikes, rows.shape[1]))
    shape = (population.timesteps, population.max_spikes, rows.shape[1])
    whole[:shape[0], :shape[1]] = rows.reshape(shape)
    return whole.reshape(schedule.period, -1)
