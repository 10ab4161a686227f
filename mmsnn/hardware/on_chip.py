"""Energy, time and fit of a network on a chip with cores."""

from pathlib import Path

import numpy as np

from .assumptions import assumptions
from .asynchronous import MODES, AsynchronousTime, asynchronous_time
from .chip import Chip, load_chip
from .chip_results import ChipEstimate, RowCost
from .costs import Delays
from .events import STATIC, EventPricing, event_rows, total
from .figures import Constant, MissingFigureError, Range, UsedFigures
from .loads import Loads, count_loads
from .mapping import Mapping, map_network
from .network import Network
from .schedule import Schedule, lossless_schedule
from .synchronous import synchronous_time

_NS_PER_MS = 1e6
TIMINGS = ('synchronous', 'asynchronous')


def estimate_on_chip(network: Network,
                     chip: str | Path | Chip,
                     weights: str = 'shared',
                     timing: str | None = None,
                     mode: str = 'lossless',
                     weight_bits: int = 8,
                     missing: str = 'raise') -> ChipEstimate:
    """Map a network to a chip; energy by cause, time, and whether it fits.

    Every synaptic addition, neuron access, update and spike, message and hop
    of an image is counted on the core where it happens and charged with the
    chip's figure for it. Figures that are ranges make results ranges.

    Args:
        network (Network): Populations and projections with mean counts.
        chip (str | Path | Chip): A spec with cores; name, path or the spec.
        weights (str): ``shared`` or ``unrolled``.
        timing (str, optional): ``synchronous`` (a barrier per sub-step) or
            ``asynchronous`` (event-driven). Defaults to the first of both
            that the chip supports.
        mode (str): ``lossless``, or ``free_running`` (asynchronous only).
        weight_bits (int): Bits of a stored weight.
        missing (str): ``raise`` at the first figure that is needed and
            unknown, or ``report`` under ``missing`` which results lack one;
            totals are then None.

    Raises:
        ValueError: If an argument or the network is not valid, or if not one
            synapse of the network is driven by spikes.
        MissingFigureError: If a figure that is needed is absent or null.

    Example:
        >>> from mmsnn.hardware.network import Population, Projection
        >>> network = Network(
        ...     (Population('a', (100,), spikes=(10.,)),
        ...      Population('b', (10,), spikes=(1.,))),
        ...     (Projection('fc', 'a', 'b', 'linear', weights=1000,
        ...                 synapses=1000, sops=(100.,)),))
        >>> result = estimate_on_chip(network, 'loihi')
        >>> result.fits, result.cores, result.substeps
        (True, 2, 2)
        >>> str(result.energy_mj['synapses'].times(1e9))  # pJ
        '2360'
    """
    if not isinstance(chip, Chip):
        chip = load_chip(chip)
    timing = _check(network, chip, timing, mode, missing)
    mapping = map_network(network, chip, weights, weight_bits)
    schedule = lossless_schedule(network)
    reasons = {la.name: la.reasons for la in mapping.layers if la.reasons}
    reasons.update(_too_many(mapping))
    loads = count_loads(mapping)
    run = _Costs(loads, schedule, timing, mode, missing == 'report')
    return ChipEstimate(
        chip=chip.name,
        title=chip.title,
        images=network.images,
        weights=weights,
        weight_bits=weight_bits,
        timing=timing,
        mode=mode,
        fits=not reasons,
        reasons=reasons,
        unchecked=mapping.unchecked,
        conditions=mapping.conditions,
        depth=schedule.depth,
        substeps=schedule.steps,
        interval_substeps=schedule.interval,
        **run.results(),
        cores=mapping.cores,
        chips=loads.mesh.chips,
        assumptions=tuple(assumptions(loads, schedule, timing, mode)))


def _check(network, chip, timing, mode, missing) -> str:
    """The timing to use; raises if an argument is not valid."""
    if timing is None:
        known = chip.figures.get('support.synchronous')
        timing = TIMINGS[known is not None and known.value is False]
    for name, value, valid in (('timing', timing, TIMINGS),
                               ('mode', mode, MODES),
                               ('missing', missing, ('raise', 'report'))):
        if value not in valid:
            raise ValueError(
                f'{name} must be one of {", ".join(valid)}, got {value!r}')
    if mode == 'free_running' and timing == 'synchronous':
        raise ValueError("mode='free_running' needs timing='asynchronous'")
    if not any(network.carries(p) == 'spikes' and p.total_sops
               for p in network.projections):
        raise ValueError(
            'no spike reaches a synapse of the network: record a model with '
            'spiking neurons on images for which they fire')
    return timing


def _too_many(mapping: Mapping) -> dict[str, tuple[str, ...]]:
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


class _Costs:
    """Energy and time of a mapped network."""

    def __init__(self, loads: Loads, schedule: Schedule, timing: str,
                 mode: str, report: bool) -> None:
        self.loads, self.schedule = loads, schedule
        self.timing, self.mode, self.report = timing, mode, report
        self.used = UsedFigures(loads.mapping.chip)
        self.pricing = EventPricing(self.used, report)

    def results(self) -> dict:
        """Fields of :class:`ChipEstimate`."""
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
            fields.update(self._burst(times))
        rows, alone, pipeline = self._rows(fields.get('utilisation'))
        for energies, time in ((alone, latency), (pipeline, interval)):
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
            energy_mj=alone,
            pipeline_mj=pipeline,
            constants=tuple(self._constants()))
        return fields

    def _times(self):
        """Times at the low and the high end of the chip's ranges."""
        result = f'{self.timing} latency and throughput'
        try:
            return [
                self._time(Delays(self.used, result, end))
                for end in Range._fields
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
        if not isinstance(times[0], AsynchronousTime) or not times[1].burst:
            return {}
        burst, fields = times[1].burst, {}
        queue = self.loads.mapping.chip.figures.get('limits.queue')
        if queue is not None and queue.value is not None:
            room = self.used.number('limits.queue', 'the burst overflow',
                                    'room of a queue')
            waiting = sorted(t.burst.messages if t.burst else 0.0
                             for t in times)
            fields['overflow'] = Range(*(max(0.0, w - room)
                                         for w in waiting))
        return dict(burst=burst, **fields)

    def _rows(self, utilisation):
        """A row per population and link; mJ by cause for both cases."""
        self._check_hops()
        layers = {la.name: la for la in self.loads.mapping.layers}
        rows, alone, pipeline = [], [], []
        for row in event_rows(self.loads, self.schedule, self.timing):
            layer = layers[row.target or row.name]
            population = not row.target
            alone.append(self.pricing(row.alone, row.figure))
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
                    row.alone,
                    alone[-1],
                    self._span(row.name, utilisation) if population else
                    None))
        return rows, total(alone), total(pipeline)

    def _span(self, name: str, utilisation) -> Range | None:
        if utilisation is None or not utilisation.size:
            return None
        slices = self.loads.mapping.slices[name]
        part = utilisation[slices.first_core:slices.first_core + slices.cores]
        return Range(float(part.min()), float(part.max()))

    def _check_hops(self) -> None:
        """Without a mesh, hops must be contained in another figure."""
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
        """Figures of costs, then limits and abilities of the mapping."""
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
    """Busy time of each core over the interval, at the low end."""
    busy = times[0].busy / times[0].interval
    return np.zeros(0) if np.isnan(busy).any() else busy
