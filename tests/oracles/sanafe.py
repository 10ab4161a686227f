"""The same mapped network in SANA-FE, an independent simulator.

SANA-FE is GPL-3.0: an optional extra (``pip install mmsnn_suite[sanafe]``)
that is imported here, when it is asked for, and nowhere else. It holds every
synapse, so this is for small networks.
"""

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from mmsnn.hardware.chips.figures import UsedFigures
from mmsnn.hardware.mapping.axes import Axis
from mmsnn.hardware.mapping.channel_axes import ChannelAxis
from mmsnn.hardware.mapping.core_loads import Loads
from mmsnn.hardware.timing.delays import synop_figure

#: Event of a spec -> energy and latency in a description of SANA-FE.
_SOMA = {
    'access': 'access_neuron',
    'update': 'update_neuron',
    'fire': 'spike_out'
}


@dataclass(frozen=True)
class SanafeResult:
    """What SANA-FE finds for the T x D sub-steps of a pipeline.

    Attributes:
        energy_pj (float): Energy without static power.
        latency_ns (float): Sum of all sub-steps.
        additions (int): Synaptic additions.
        messages (int): Messages sent.
        hops (int): Hops between tiles.
        updates (int): Neurons updated.
        spikes (int): Neurons that fired.
    """

    energy_pj: float
    latency_ns: float
    additions: int
    messages: int
    hops: int
    updates: int
    spikes: int


def run_sanafe(loads: Loads, timing_model: str = 'simple') -> SanafeResult:
    """Simulate all layers at once, each firing its train of an image.

    Args:
        loads (Loads): A mapped network on one chip whose neurons all fire
            trains without a gap: in each sub-step, spikes x profile is 0 or 1
            for every neuron.
        timing_model (str): ``simple``, ``detailed`` or ``cycle``.

    Raises:
        ImportError: If SANA-FE is not installed.
        ValueError: If the network has other trains, several chips, or links
            that SANA-FE has not.
    """
    import sanafe

    mapping = loads.mapping
    if loads.mesh.chips > 1:
        raise ValueError('SANA-FE is run for one chip, the network needs '
                         f'{loads.mesh.chips}')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'chip.yaml'
        path.write_text(yaml.safe_dump(_architecture(loads)))
        architecture = sanafe.load_arch(path)
    network = sanafe.Network()
    groups = {}
    for name, slices in mapping.slices.items():
        groups[name] = _group(sanafe, network, architecture, loads, slices)
    for received in loads.received:
        link = received.link
        if link.source is None or link.carries != 'spikes':
            raise ValueError(f'{link.projection.name}: SANA-FE has no input '
                             'from outside and no membranes in messages')
        pairs = _pairs(link.connectivity.axes)
        groups[link.projection.source].connect_neurons_sparse(
            groups[link.projection.target], {'weight': [0.0] * len(pairs)},
            pairs)
    chip = sanafe.SpikingChip(architecture)
    chip.load(network)
    substeps = max(len(f.spikes) for f in loads.fired.values())
    found = chip.sim(substeps, timing_model=timing_model, perf_trace=True,
                     processing_threads=1)
    trace = found['perf_trace']
    return SanafeResult(
        energy_pj=found['energy']['total'] * 1e12,
        latency_ns=found['sim_time'] * 1e9,
        additions=found['spikes'],
        messages=found['packets_sent'],
        hops=sum(trace['hops']),
        updates=found['neurons_updated'],
        spikes=found['neurons_fired'])


def _unit(loads: Loads, name: str) -> str:
    """The synapse unit of all links into a population."""
    units = {
        synop_figure('events', r.link, loads.mapping.chip.figures,
                     loads.mapping.weights).split('.')[1]
        for r in loads.into(name)
    }
    if len(units) > 1:
        raise ValueError(f'population {name!r}: SANA-FE is given one kind of '
                         f'synapse for each, got {", ".join(sorted(units))}')
    return units.pop() if units else 'synop'


def _architecture(loads: Loads) -> dict:
    """The chip as SANA-FE describes it, in SI units."""
    mesh, chip = loads.mesh, loads.mapping.chip
    used = UsedFigures(chip)

    def cost(section, name, scale):
        span = used.span(f'{section}.{name}', 'the check', 'the check')
        return span.low * scale

    def both(name, energy, latency):
        return {
            energy: cost('events', name, 1e-12),
            latency: cost('latency', name, 1e-9)
        }

    soma = {'model': 'leaky_integrate_fire'}
    for name, theirs in _SOMA.items():
        soma.update(both(name, f'energy_{theirs}', f'latency_{theirs}'))
    tile = {}
    for direction, name in (('north', 'hop_ns'), ('south', 'hop_ns'),
                            ('east', 'hop_ew'), ('west', 'hop_ew')):
        tile.update(
            both(name, f'energy_{direction}_hop', f'latency_{direction}_hop'))
    synapses = [
        dict(
            name=name,
            attributes=dict(
                model='current_based',
                **both(name, 'energy_process_spike',
                       'latency_process_spike')))
        for name in ('synop', 'synop_conv', 'synop_dense')
        if f'events.{name}' in chip.figures
    ]
    core = dict(
        name=f'core[0..{mesh.cores_per_tile - 1}]',
        attributes=dict(
            buffer_position='soma',
            buffer_inside_unit=False,
            max_neurons_supported=int(
                chip.figures['limits.neurons'].value)),
        axon_in=[
            dict(
                name='in',
                attributes=both('message_in', 'energy_message_in',
                                'latency_message_in'))
        ],
        synapse=synapses,
        dendrite=[
            dict(
                name='dendrite',
                attributes=dict(
                    model='accumulator', energy_update=0.0,
                    latency_update=0.0))
        ],
        soma=[dict(name='soma', attributes=soma)],
        axon_out=[
            dict(
                name='out',
                attributes=both('message', 'energy_message_out',
                                'latency_message_out'))
        ])
    barrier = chip.figures['latency.barrier'].value
    if not isinstance(barrier, dict):
        barrier = {1: cost('latency', 'barrier', 1)}
    return dict(
        architecture=dict(
            name='chip',
            attributes=dict(
                topology='mesh',
                width=mesh.width,
                height=mesh.height,
                link_buffer_size=16,
                sync_model='table',
                latency_sync={k: v * 1e-9
                              for k, v in barrier.items()}),
            tile=[
                dict(
                    name=f'tile[0..{mesh.width * mesh.height - 1}]',
                    attributes=tile,
                    core=[core])
            ]))


def _group(sanafe, network, architecture, loads: Loads, slices):
    """Neurons of a population on their cores, with potentials that make them
    fire their trains: soft reset, threshold 1, start at count + 1/2."""
    population, mesh = slices.population, loads.mesh
    group = network.create_neuron_group(
        population.name,
        population.neurons,
        default_synapse_hw_name=_unit(loads, population.name),
        model_attributes=dict(
            threshold=1.0,
            reset_mode='soft',
            leak_decay=1.0,
            input_decay=0.0,
            force_update=True))
    block = [
        np.searchsorted(e, np.arange(n), side='right') - 1
        for e, n in zip(slices.edges, population.shape)
    ]
    counts = _counts(population)
    x, y, _, _ = mesh.positions(
        np.arange(slices.first_core, slices.first_core + slices.cores))
    strides = np.cumprod([1, *slices.blocks[:-1]])
    for i, index in enumerate(np.ndindex(population.shape)):
        core = int(sum(b[j] * s for b, j, s in zip(block, index, strides)))
        # SANA-FE counts tiles down the columns.
        tile = int(x[core] * mesh.height + y[core])
        within = (slices.first_core + core) % mesh.cores_per_tile
        neuron = group[i]
        neuron.set_attributes(
            model_attributes=dict(potential=float(counts[index]) + 0.5))
        neuron.map_to_core(architecture.tiles[tile].cores[within])
    return group


def _counts(population) -> np.ndarray:
    """Spikes of each neuron, of trains without a gap."""
    if not population.spikes:
        return np.zeros(population.shape, int)
    trains = []
    for d, total in enumerate(population.spikes):
        share = np.ones(())
        for axis, n in enumerate(population.shape):
            part = population.profile[d][axis] if population.profile else (
                np.full(n, 1 / n))
            share = np.multiply.outer(share, part)
        trains.append(share * total)
    trains = np.array(trains)
    fired = np.rint(trains)
    if not (np.allclose(trains, fired, atol=1e-6) and fired.max() <= 1
            and (np.diff(fired, axis=0) <= 0).all()):
        raise ValueError(
            f'population {population.name!r}: SANA-FE needs neurons that '
            'fire or not in each sub-step, in trains without a gap')
    return fired.sum(0).astype(int)


def _pairs(axes) -> list[tuple[int, int]]:
    """All connections as flat indices of source and target."""
    each = []
    for axis in axes:
        if isinstance(axis, Axis):
            each.append([(int(s), int(t)) for t, s in axis.pairs])
        elif isinstance(axis, ChannelAxis):
            each.append([(s, t) for t in range(axis.targets)
                         for s in range(axis.low[t], axis.high[t])])
    pairs = []
    for combination in itertools.product(*each):
        source = target = 0
        for axis, (s, t) in zip(axes, combination):
            source = source * axis.sources + s
            target = target * axis.targets + t
        pairs.append((source, target))
    return pairs
