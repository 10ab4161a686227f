"""Our counts, energy and synchronous time against SANA-FE's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mmsnn
from mmsnn.hardware import (
    Geometry,
    Network,
    Population,
    Projection,
    estimate,
    map_network,
)
from mmsnn.hardware.mapping.connectivity import connectivity
from mmsnn.hardware.mapping.core_loads import count_loads


def firing(name, shape, *substeps):
    """A population of which the product of index sets fires, a smaller one
    in each sub-step: trains without a gap, and cores that differ."""
    spikes, profile = [], []
    for sets in substeps:
        spikes.append(float(np.prod([len(s) for s in sets])))
        profile.append(
            tuple(
                tuple(1 / len(s) if i in s else 0.0 for i in range(n))
                for s, n in zip(sets, shape)))
    return Population(name, shape, max_spikes=len(substeps),
                      spikes=tuple(spikes), profile=tuple(profile))


def exact(projection, source, target):
    """The projection with the additions that those trains cause."""
    axes = connectivity(projection, source, target).axes
    sops = []
    for spikes, shares in zip(source.spikes, source.profile):
        shares = [*shares, *[(1., )] * (len(axes) - len(shares))]
        sops.append(spikes * np.prod([
            axis.connections(np.array([0, axis.targets]), np.array(s)).item()
            for axis, s in zip(axes, shares)
        ]))
    return replace(projection, sops=tuple(sops))


def network():
    a = firing('a', (4, 8, 8), (range(4), range(8), range(8)),
               ((0, 2), range(1, 5), (0, 1)), ((2, ), (1, 3), (0, )))
    b = firing('b', (8, 8, 8), ((1, 2, 5), range(3), range(6)),
               ((1, 5), (0, ), range(2, 4)), ((1, ), (0, ), (2, )))
    c = firing('c', (10, ), ((0, 3), ), ((3, ), ), ((3, ), ))
    conv = Projection(
        'conv', 'a', 'b', 'conv', weights=288,
        geometry=Geometry((4, 8, 8), (8, 8, 8), (3, 3), (1, 1), (1, 1),
                          (1, 1)))
    fc = Projection('fc', 'b', 'c', 'linear', weights=5120, synapses=5120,
                    geometry=Geometry.linear(512, 10))
    return Network((a, b, c), (exact(conv, a, b), exact(fc, b, c)))


@pytest.mark.parametrize('neurons', [12, 64, 1024])
def test_counts_energy_and_time_equal_those_of_sanafe(neurons, spec):
    pytest.importorskip('sanafe')
    from oracles.sanafe import run_sanafe
    chip = spec('loihi_sanafe', {'limits.neurons': neurons})
    net = network()
    loads = count_loads(map_network(net, chip))
    assert loads.mesh.chips == 1
    ours = estimate(net, chip).on_chip[0]
    theirs = run_sanafe(loads)
    events = ours.events
    assert theirs.additions == pytest.approx(events['synaptic additions'],
                                             rel=1e-12)
    assert theirs.messages == pytest.approx(events['messages sent'],
                                            rel=1e-12)
    assert theirs.hops == pytest.approx(
        events['hops along x'] + events['hops along y'], rel=1e-12)
    assert theirs.updates == net.neurons * 3
    assert theirs.spikes == pytest.approx(events['spikes'], rel=1e-12)
    energy = sum(e.low for cause, e in ours.pipeline_mj.items()
                 if cause != 'static power') * 1e9
    assert theirs.energy_pj == pytest.approx(energy, rel=1e-9)
    latency = ours.interval_ms.low * 1e6
    assert theirs.latency_ns == pytest.approx(latency, rel=1e-9)
    detailed = run_sanafe(loads, 'detailed').latency_ns
    assert latency <= detailed <= 3 * latency
    # Against the simulated mesh: close where cores are as full as on the
    # chip; with a few neurons each, the way of the messages counts.
    cycle = run_sanafe(loads, 'cycle').latency_ns
    tolerance = 0.05 if neurons == 1024 else 0.1
    assert cycle == pytest.approx(latency, rel=tolerance)


def test_other_trains_are_refused():
    pytest.importorskip('sanafe')
    from oracles.sanafe import run_sanafe

    from mmsnn.hardware import load_chip
    half = Network((Population('a', (4, ), spikes=(2., )),
                    Population('b', (4, ), spikes=(4., ))),
                   (Projection('fc', 'a', 'b', 'linear', sops=(8., )), ))
    with pytest.raises(ValueError, match="'a'.*fire or not"):
        run_sanafe(count_loads(map_network(half, load_chip('loihi_sanafe'))))


def test_the_package_imports_no_sanafe():
    package = Path(mmsnn.__file__).parent
    assert not [path for path in package.rglob('*.py')
                if 'sanafe import' in path.read_text()
                or 'import sanafe' in path.read_text()]
