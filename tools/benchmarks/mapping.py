"""Seconds and memory to map, place and time E-SpikeFormer on a chip.

The network is made up from the architecture of the published models, with
equal rates in all layers: it has their shapes, not their activity.
"""

import resource
import time
from collections.abc import Iterator
from dataclasses import replace

from timing import parse_arguments, report

from mmsnn.hardware import (
    Chip,
    Figure,
    Geometry,
    Network,
    Population,
    Projection,
    estimate,
    load_chip,
)
from mmsnn.hardware.mapping import tiling
from mmsnn.hardware.mapping.axes import Axis
from mmsnn.hardware.network.profiles import sampled_profile

WIDTHS = {
    '2.7m': (24, 48, 96, 128),
    '5m': (32, 64, 128, 192),
    '10m': (48, 96, 192, 240),
    '19m': (64, 128, 256, 360),
}
#: Spikes of a neuron in each of the D = 4 sub-steps.
RATES = (0.12, 0.06, 0.03, 0.01)
HEADS = 8


class Builder:
    """Adds populations and projections in the order of execution.

    Args:
        size (int): Height and width of the image.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.populations = [
            Population('image', (3, size, size), kind='input', state_bits=0)
        ]
        self.projections = []
        # Synapses and membranes that wait for the next neuron.
        self.pending = []

    def neuron(self, name: str, channels: int) -> str:
        """A population that takes all that waits."""
        shape = (channels, self.size, self.size)
        count = channels * self.size**2
        self.populations.append(
            Population(name, shape, max_spikes=4,
                       spikes=tuple(r * count for r in RATES)))
        for make in self.pending:
            self.projections.append(make(name))
        self.pending = []
        return name

    def conv(self, name: str, source: str, outputs: int, kernel: int = 1,
             stride: int = 1, groups: int = 1, **more) -> None:
        """A convolution, whose output waits for the next neuron."""
        population = next(p for p in self.populations if p.name == source)
        inputs, size, _ = population.shape
        self.size = size // stride
        geometry = Geometry((inputs, size, size),
                            (outputs, self.size, self.size), (kernel, ) * 2,
                            (stride, ) * 2, (kernel // 2, ) * 2, (1, 1),
                            groups)
        weights = outputs * inputs // groups * kernel**2
        inside = sum(1 for o in range(self.size) for k in range(kernel)
                     if 0 <= o * stride - kernel // 2 + k < size)**2
        synapses = outputs * inputs // groups * inside
        rate = population.total_spikes / population.neurons
        work = dict(sops=(synapses * rate, )) if rate else dict(
            macs=float(synapses))
        fields = dict(weights=weights, synapses=synapses, geometry=geometry,
                      **work, **more)
        op = fields.pop('op', 'conv')
        self.pending.append(lambda target: Projection(
            name, source, target, op, **fields))

    def residual(self, source: str) -> None:
        """The membranes of a population are added to the next neuron's."""
        neurons = next(p for p in self.populations
                       if p.name == source).neurons
        self.pending.append(lambda target: Projection(
            f'{source}.residual', source, target, 'residual',
            adds=float(neurons)))

    def sep_conv(self, name: str, width: int, kernel: int) -> None:
        first = self.neuron(f'{name}.n1', width)
        self.conv(f'{name}.pw1', first, 2 * width)
        second = self.neuron(f'{name}.n2', 2 * width)
        self.conv(f'{name}.dw', second, 2 * width, kernel, groups=2 * width)
        third = self.neuron(f'{name}.n3', 2 * width)
        self.conv(f'{name}.pw2', third, width)
        self.residual(first)

    def mlp(self, name: str, width: int, kernel: int) -> None:
        first = self.neuron(f'{name}.n1', width)
        self.conv(f'{name}.fc1', first, 4 * width, kernel)
        second = self.neuron(f'{name}.n2', 4 * width)
        self.conv(f'{name}.fc2', second, width, kernel)
        self.residual(first)

    def attention(self, name: str, width: int) -> None:
        first = self.neuron(f'{name}.n', width)
        for part, outputs in (('v', 4 * width), ('k', width), ('q', width)):
            self.conv(f'{name}.{part}', first, outputs)
            self.neuron(f'{name}.{part}.n', outputs)
        product = f'{name}.kv'
        values = 4 * width // HEADS
        self.populations.append(
            Population(product, (width * values, ), max_spikes=4,
                       kind='real'))
        key = next(p for p in self.populations if p.name == f'{name}.k.n')
        self.projections.append(
            Projection(
                product, f'{name}.k.n', product, 'matmul',
                sops=(key.total_spikes * values * 0.2, ), static=False,
                reason='both operands are computed in the run',
                operand=f'{name}.v.n'))
        self.conv(f'{name}.qkv', f'{name}.q.n', 4 * width, groups=HEADS,
                  op='matmul', static=False,
                  reason='both operands are computed in the run',
                  operand=product)
        last = self.neuron(f'{name}.out', 4 * width)
        self.conv(f'{name}.proj', last, width)
        self.residual(first)

    def network(self) -> Network:
        return Network(tuple(self.populations), tuple(self.projections))


def e_spikeformer(arch: str, size: int) -> Network:
    """Backbone of the base family, and a 1 x 1 convolution to 150 classes."""
    c0, c1, c2, c3 = WIDTHS[arch]
    net = Builder(size)
    net.conv('stem', 'image', c0 // 2, 7, 2)
    stages = (('1a', c0 // 2, 1, 2), ('1b', c0, 1, 2), ('2', c1, 2, 2))
    for i, (stage, width, blocks, _) in enumerate(stages):
        if i:
            net.conv(f'{stage}.down',
                     net.neuron(f'{stage}.down.n', stages[i - 1][1]), width,
                     3, 2)
        for b in range(blocks):
            net.sep_conv(f'{stage}.{b}.sep', width, 7)
            net.mlp(f'{stage}.{b}.conv', width, 3)
    before = c1
    for stage, width, blocks, stride in (('3', c2, 6, 2), ('4', c3, 2, 1)):
        net.conv(f'{stage}.down', net.neuron(f'{stage}.down.n', before),
                 width, 3, stride)
        for b in range(blocks):
            net.sep_conv(f'{stage}.{b}.sep', width, 3)
            net.attention(f'{stage}.{b}.attn', width)
            net.mlp(f'{stage}.{b}.mlp', width, 1)
        before = width
    net.conv('head', net.neuron('head.n', before), 150)
    shape = (150, net.size, net.size)
    net.populations.append(
        Population('logits', shape, max_spikes=4, kind='real'))
    net.projections += [make('logits') for make in net.pending]
    return net.network()


def with_profiles(network: Network) -> Network:
    """The same network, whose spikes fall unevenly: twice as often at every
    second index of each axis, and alike in no two sub-steps."""

    def uneven(population: Population) -> Population:
        counts = [[[1 + (i + d) % 2 for i in range(n)]
                   for n in population.shape]
                  for d in range(len(population.spikes))]
        return replace(
            population,
            profile=sampled_profile(counts, range(len(population.shape)),
                                    population.shape, population.spikes))

    return replace(network,
                   populations=tuple(map(uneven, network.populations)))


def linked(name: str) -> Chip:
    """A chip with a made-up time from chip to chip, which no spec knows:
    without it, asynchronous execution would not be timed at all."""
    chip = load_chip(name)
    figure = Figure('latency.link', 1000.0, 'ns', 'made up', 'derived')
    return replace(chip, figures={**chip.figures, figure.name: figure})


def cases(network: Network, chips: list[str]) -> Iterator[dict]:
    for chip in map(linked, chips):
        for weights in ('shared', 'unrolled'):
            for timing in ('synchronous', 'asynchronous'):
                tiling.axis_inputs.cache_clear()
                Axis.positions.cache_clear()
                start = time.process_time()
                result, = estimate(network, chip, weights=weights,
                                   timing=timing, missing='report').on_chip
                yield dict(
                    what=f'{chip.name}, {weights}, {timing}',
                    seconds=time.process_time() - start,
                    peak_gb=resource.getrusage(
                        resource.RUSAGE_SELF).ru_maxrss / 2**20,
                    cores=result.cores,
                    chips=result.chips,
                    fits=result.fits,
                    latency_ms=str(result.latency_ms))


COLUMNS = (
    ('what', lambda row: row['what']),
    ('CPU s', lambda row: f'{row["seconds"]:.1f}'),
    ('target', lambda row: '<= 30'),
    ('peak GB', lambda row: f'{row["peak_gb"]:.2f}'),
    ('target', lambda row: '<= 2'),
    ('cores', lambda row: f'{row["cores"]:,}'),
    ('chips', lambda row: f'{row["chips"]:,}'),
    ('fits', lambda row: 'yes' if row['fits'] else 'no'),
    ('latency, ms', lambda row: row['latency_ms']),
)


def main() -> None:
    arguments = parse_arguments(
        __doc__.splitlines()[0],
        rounds=1,
        arch=dict(choices=list(WIDTHS), default='19m'),
        size=dict(type=int, default=512),
        chips=dict(nargs='+', default=['loihi']),
        profiles=dict(action='store_true',
                      help='spikes fall unevenly, as in a trace'))
    network = e_spikeformer(arguments.arch, arguments.size)
    if arguments.profiles:
        network = with_profiles(network)
    print(f'E-SpikeFormer {arguments.arch} at {arguments.size} x '
          f'{arguments.size}: {network.neurons:,} neurons in '
          f'{len(network.populations)} populations, '
          f'{sum(p.synapses for p in network.projections):,} synapses')
    report(list(cases(network, arguments.chips)), arguments.json, COLUMNS)


if __name__ == '__main__':
    main()
