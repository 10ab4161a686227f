"""Energy by cause and times of a mapped network, and what is missing."""

import numpy as np

from mmsnn.hardware.amounts import ENDS, Range
from mmsnn.hardware.chips.figures import (
    Constant,
    MissingFigureError,
    UsedFigures,
)
from mmsnn.hardware.mapping.core_loads import Loads
from mmsnn.hardware.timing.asynchronous import (
    AsynchronousTime,
    asynchronous_time,
)
from mmsnn.hardware.timing.delays import Delays
from mmsnn.hardware.timing.schedule import Schedule
from mmsnn.hardware.timing.synchronous import synchronous_time

from .event_energy import (
    STATIC,
    EventPricing,
    event_rows,
    total,
    unknown_causes,
)
from .results import RowCost

_NS_PER_MS = 1e6


class ChipCosts:
    """Energy and time of a mapped network.

    Args:
        loads (Loads): Events of the cores.
        schedule (Schedule): Which population fires when.
        timing (str): ``synchronous`` or ``asynchronous``.
        mode (str): ``lossless`` or ``free_running``.
        report (bool): Whether to note missing figures instead of raising.
    """

    def __init__(self, loads: Loads, schedule: Schedule, timing: str,
                 mode: str, report: bool) -> None:
        self.loads, self.schedule = loads, schedule
        self.timing, self.mode, self.report = timing, mode, report
        self.used = UsedFigures(loads.mapping.chip)
        self.pricing = EventPricing(self.used, report)

    def results(self) -> dict:
        """Compute everything.

        Returns:
            dict: Fields of :class:`ChipEstimate`.

        Raises:
            MissingFigureError: If a figure that is needed is absent or null,
                unless missing ones are only noted.
        """
        times, missing = self._times()
        fields = dict(missing=missing)
        latency = interval = None
        if times:
            latency = Range(*(t.latency for t in times))
            interval = Range(*(t.interval for t in times))
            fields.update(
                latency_ms=latency.times(1 / _NS_PER_MS),
                interval_ms=interval.times(1 / _NS_PER_MS),
                throughput=Range(1e9 / interval.high, 1e9 / interval.low),
                utilisation=_utilisation(times))
            found = self._burst(times)
            missing.update(found.pop('missing', {}))
            fields.update(found)
        if times and not fields['utilisation'].size:
            missing['utilisation'] = (
                'the chip has a fixed time step (latency.tick), which hides '
                'how long a core works in it')
        rows, single, pipeline = self._rows(fields.get('utilisation'))
        for energies, time in ((single, latency), (pipeline, interval)):
            static = self.pricing.static(self.loads.mesh.chips, time)
            if static is not None:
                energies[STATIC] = static
        missing.update(self.pricing.missing)
        events = {}
        for row in rows:
            for event, count in row.events.items():
                events[event] = events.get(event, 0.0) + count
        fields.update(
            rows=tuple(rows),
            events=events,
            energy_mj=single,
            pipeline_mj=pipeline,
            constants=tuple(self._constants()))
        return fields

    def _times(self):
        """Times at the low and the high end of the chip's ranges."""
        result = f'{self.timing} latency and throughput'
        try:
            return [
                self._time(Delays(self.used, result, end))
                for end in ENDS
            ], {}
        except MissingFigureError as error:
            if not self.report:
                raise
            return [], {'latency': str(error), 'throughput': str(error)}

    def _time(self, delays: Delays):
        if self.timing == 'synchronous':
            return synchronous_time(self.loads, self.schedule, delays)
        return asynchronous_time(self.loads, self.schedule, delays, self.mode)

    def _burst(self, times) -> dict:
        """The fullest queue, and what does not fit into it."""
        if not isinstance(times[0], AsynchronousTime) or not times[1].burst:
            return {}
        burst, fields = times[1].burst, {}
        queue = self.loads.mapping.chip.figures.get('limits.queue')
        if queue is None or queue.value is None:
            fields['missing'] = {
                'overflow of queues':
                'the spec does not know the room of a queue (limits.queue)'}
        else:
            room = self.used.span('limits.queue', 'the burst overflow',
                                  'room of a queue').low
            waiting = sorted(t.burst.messages if t.burst else 0.0
                             for t in times)
            fields['overflow'] = Range(*(max(0.0, w - room)
                                         for w in waiting))
        return dict(burst=burst, **fields)

    def _rows(self, utilisation):
        """A row for each population and link, and the sums over them: energy
        of a single image, and of an image of a pipeline."""
        self._check_hops()
        layers = {la.name: la for la in self.loads.mapping.layers}
        rows, single, pipeline = [], [], []
        for row in event_rows(self.loads, self.schedule, self.timing):
            layer = layers[row.target or row.name]
            population = not row.target
            single.append(self.pricing(row.single, row.figure))
            pipeline.append(self.pricing(row.pipeline, row.figure))
            rows.append(
                RowCost(
                    row.name,
                    row.kind,
                    row.target,
                    layer.cores,
                    layer.neurons if population else 0,
                    layer.limited_by if population else '',
                    layer.reasons if population else (),
                    row.single,
                    single[-1],
                    self._span(row.name, utilisation) if population else
                    None,
                    unknown=unknown_causes(row.single, single[-1])))
        return rows, total(single), total(pipeline)

    def _span(self, name: str, utilisation) -> Range | None:
        """Utilisation of the least and the most busy core of a population."""
        if utilisation is None or not utilisation.size:
            return None
        part = utilisation[self.loads.mapping.slices[name].core_range]
        return Range(float(part.min()), float(part.max()))

    def _check_hops(self) -> None:
        """Note (or raise) that the energy of hops is missing: the spec has no
        mesh, and no other figure contains hops."""
        figures = self.loads.mapping.chip.figures
        hops = figures.get('events.hop_ew')
        if self.loads.mesh.routed or (hops is not None and hops.contained_in):
            return
        text = ('the energy of hops needs the figures limits.mesh_width and '
                'limits.mesh_height, which chip spec '
                f'{self.loads.mapping.chip.path} does not list or does not '
                'know: give them, or choose another chip')
        if not self.report:
            raise MissingFigureError(text)
        self.pricing.missing['energy of hops'] = text

    def _constants(self) -> list[Constant]:
        """Figures that events were charged with, then those of the mapping:
        limits and abilities of the chip."""
        found = {c.name: c for c in self.used.constants}
        chip = self.loads.mapping.chip
        for name, figure in chip.figures.items():
            section = name.split('.')[0]
            if section in ('limits', 'support') and name not in found:
                found[name] = Constant(name, figure.value, figure.unit,
                                       figure.source, figure.status,
                                       ['mapping and verdict'])
        return list(found.values())


def _utilisation(times) -> np.ndarray:
    """For each core, the part of the interval in which it works, with figures
    at their low ends; empty where the chip hides it."""
    busy = times[0].busy / times[0].interval
    return np.zeros(0) if np.isnan(busy).any() else busy
