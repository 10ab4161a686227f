"""Limits of a chip's cores and the verdict on each layer."""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from mmsnn.hardware.amounts import Range
from mmsnn.hardware.chips.figures import MissingFigureError, UsedFigures
from mmsnn.hardware.chips.spec import Chip
from mmsnn.hardware.network.populations import Network, Population

#: Limits of one core that a block of neurons is held against.
CORE_LIMITS = ('neurons', 'axons_in', 'axons_out', 'synapse_memory', 'memory',
               'fan_in')


@dataclass(frozen=True)
class LayerFit:
    """Whether a layer fits on a chip.

    Attributes:
        name (str): Population.
        cores (int): Cores that it needs; if no core can hold it, those that
            it would need without the limits that it breaks.
        neurons (int): Its neurons.
        limited_by (str): The limit that alone asks for the most cores; empty
            if one core holds the whole layer.
        needs (dict[str, float]): What its fullest core needs of each limit.
        reasons (tuple[str]): Why it does not fit; empty if it does.
    """

    name: str
    cores: int
    neurons: int
    limited_by: str = ''
    needs: dict[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether nothing stands against it."""
        return not self.reasons


class Limits:
    """The limits of a chip, those that it knows.

    A limit that the spec does not list does not exist; one that is null is
    unknown and can not be checked. Of a range the lower end counts.

    Raises:
        MissingFigureError: If the spec describes no cores.
        ValueError: If it lists a number per core and splits layers.

    Example:
        >>> from mmsnn.hardware import load_chip
        >>> limits = Limits(load_chip('speck'))
        >>> limits.most('neurons'), limits.one_layer_a_core
        (65536.0, True)
    """

    def __init__(self, chip: Chip) -> None:
        if not chip.has_cores:
            raise MissingFigureError(
                f'chip spec {chip.path} describes no cores (no limits.cores):'
                ' it prices operations; use mmsnn.hardware.estimate, or '
                'choose a chip with limits to map to')
        self.chip = chip
        self.used = UsedFigures(chip)
        self.values, self.unchecked = {}, []
        for name in ('chips', 'cores', *CORE_LIMITS, 'fan_out',
                     'weight_bits', 'state_bits'):
            figure = chip.figures.get(f'limits.{name}')
            if figure is None:
                continue
            if figure.value is None:
                self.unchecked.append(f'{figure.name} is unknown '
                                      f'({figure.source})')
                continue
            value = self.used.take(figure.name, 'the mapping',
                                   'limit of the mapping').value
            self.values[name] = (
                value.low if isinstance(value, Range) else value)
            if isinstance(self.values[name], tuple) and (
                    not self.one_layer_a_core):
                raise ValueError(
                    f'chip spec {chip.path}: {figure.name} lists a number for '
                    'each core, which needs support.split_layers: false (a '
                    'layer that is split has blocks of one size)')

    def most(self, name: str) -> float:
        """The limit, of the largest core if they differ."""
        value = self.values[name]
        return max(value) if isinstance(value, tuple) else value

    def unit(self, name: str) -> str:
        """Its unit."""
        return self.chip.figures[f'limits.{name}'].unit

    @property
    def one_layer_a_core(self) -> bool:
        """Whether a layer can not be split over cores."""
        return self._supports('split_layers') is False

    def _supports(self, name: str) -> bool | None:
        """None if the spec does not know."""
        figure = self.chip.figures.get(f'support.{name}')
        if figure is None or figure.value is None:
            text = f'support.{name} is unknown'
            if text not in self.unchecked:
                self.unchecked.append(text)
            return None
        self.used.take(figure.name, 'the mapping', 'verdict on the layers')
        return figure.value

    def state_bits(self, population: Population) -> int:
        """Bits of state of a neuron; the chip's own where it fixes them."""
        return int(self.values.get('state_bits', population.state_bits))

    def quantised(self, network: Network) -> list[str]:
        """Which membranes must become narrower than they were in the run."""
        bits = self.values.get('state_bits', np.inf)
        wide = [p for p in network.populations if p.state_bits > bits]
        if not wide:
            return []
        return [
            f'{len(wide)} layers kept membranes of up to '
            f'{max(p.state_bits for p in wide)} bits; {self.chip.name} has '
            f'{bits:.0f}: they must be quantised, which the trace has not '
            'tried'
        ]

    def judge(self, layer: LayerFit, network: Network, weights: str,
              weight_bits: int) -> LayerFit:
        """Add what stands against a layer beside the size of its blocks."""
        reasons = list(layer.reasons)
        incoming = list(network.incoming(layer.name))
        spiking = [p for p in incoming if network.carries(p) == 'spikes']
        if spiking and self._supports(f'{weights}_weights') is False:
            other = {'shared': 'unrolled', 'unrolled': 'shared'}[weights]
            reasons.append(f'{self.chip.name} has no {weights} weights: use '
                           f'weights={other!r}')
        bits = self.values.get('weight_bits')
        if spiking and bits is not None and weight_bits > bits:
            reasons.append(f'weights of {weight_bits} bits, '
                           f'{self.chip.name} has at most {bits:.0f}')
        for p in spiking:
            if not p.static and self._supports('dynamic_synapses') is False:
                reasons.append(f'{p.name}: {p.reason}; {self.chip.name} has '
                               'static synapses only')
        for p in incoming:
            if network.carries(p) == 'membranes' and \
                    self._supports('membrane_transfer') is False:
                reasons.append(
                    f'{p.name}: the membrane potentials of {p.source} are '
                    f'added here, but {self.chip.name} sends spikes only')
        targets = {
            p.target
            for p in network.outgoing(layer.name)
            if network.carries(p) == 'spikes'
        }
        fan_out = self.values.get('fan_out')
        if fan_out is not None and len(targets) > fan_out:
            reasons.append(f'it feeds {len(targets)} layers, '
                           f'{self.chip.name} allows {fan_out:.0f}')
        return replace(layer, reasons=tuple(reasons))


def match_cores(layers: list[LayerFit], limits: Limits) -> list[LayerFit]:
    """Give each layer a core of its own, where cores differ in size."""
    if 'cores' not in limits.values:
        return layers  # unchecked says that their number is unknown
    count = int(limits.values['cores'])
    holds = np.ones((len(layers), count), bool)
    for name in CORE_LIMITS:
        if name not in limits.values:
            continue
        sizes = np.broadcast_to(limits.values[name], count)
        needs = np.array([layer.needs[name] for layer in layers])
        holds &= needs[:, None] <= sizes[None]
    match = maximum_bipartite_matching(csr_array(holds), perm_type='column')
    text = (f'the {count} cores of {limits.chip.name} hold one layer each, '
            f'and none that is large enough is left for it')
    return [
        layer if core >= 0 or layer.reasons else replace(
            layer, reasons=(text, ))
        for layer, core in zip(layers, match)
    ]
