"""Limits of a chip, and whether each layer of a network keeps them."""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from mmsnn.hardware.amounts import Range
from mmsnn.hardware.chips.figures import MissingFigureError, UsedFigures
from mmsnn.hardware.chips.spec import Chip
from mmsnn.hardware.network.populations import Network, Population

#: Limits of one core that a block of neurons must keep. ``axons_in``: distinct
#: neurons that send to it; ``axons_out``: messages if each of its neurons
#: fires once; ``fan_in``: connections into one neuron.
CORE_LIMITS = ('neurons', 'axons_in', 'axons_out', 'synapse_memory', 'memory',
               'fan_in')


@dataclass(frozen=True)
class LayerFit:
    """Whether a layer fits on a chip.

    Attributes:
        name (str): Name of the population.
        cores (int): Cores that it needs. If no core can hold even its smallest
            block, those that it would need without the limits that this block
            exceeds.
        neurons (int): Number of its neurons.
        limited_by (str): The limit which would need the most cores if it were
            the only one; empty if one core holds the whole layer.
        needs (dict[str, float]): Limit -> what the fullest core needs of it,
            in the unit of the limit.
        reasons (tuple[str]): Why the layer does not fit; empty if it does.
    """

    name: str
    cores: int
    neurons: int
    limited_by: str = ''
    needs: dict[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether there is no reason why it does not fit."""
        return not self.reasons


class Limits:
    """The limits that a chip spec knows.

    A limit that the spec does not list does not exist. One that is null is
    unknown: it is not checked, and ``unchecked`` says so. Of a limit that is
    a range the lower end is taken.

    Args:
        chip (Chip): A spec with cores.

    Attributes:
        values (dict): Limit -> its value; a tuple if it differs from core to
            core.
        unchecked (list[str]): Sentences that name what could not be checked.

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
        """The value of a limit, on the largest core if cores differ.

        Args:
            name (str): One of ``values``.

        Returns:
            float: In the unit of the limit.
        """
        value = self.values[name]
        return max(value) if isinstance(value, tuple) else value

    def unit(self, name: str) -> str:
        """The unit of a limit.

        Args:
            name (str): One of ``values``.
        """
        return self.chip.figures[f'limits.{name}'].unit

    @property
    def one_layer_a_core(self) -> bool:
        """Whether a core holds a whole layer, which can not be split."""
        return self._supports('split_layers') is False

    def _supports(self, name: str) -> bool | None:
        """Whether the chip has an ability; None if the spec does not know,
        which ``unchecked`` then says."""
        figure = self.chip.figures.get(f'support.{name}')
        if figure is None or figure.value is None:
            text = f'support.{name} is unknown'
            if text not in self.unchecked:
                self.unchecked.append(text)
            return None
        self.used.take(figure.name, 'the mapping', 'verdict on the layers')
        return figure.value

    def state_bits(self, population: Population) -> int:
        """Bits of the state of one neuron on this chip.

        Args:
            population (Population): The population of the neuron.

        Returns:
            int: As many as the chip gives each neuron, if that is fixed; else
            as many as the neuron had in the traced run.
        """
        return int(self.values.get('state_bits', population.state_bits))

    def quantised(self, network: Network) -> list[str]:
        """Membranes that the chip keeps in fewer bits than the traced run.

        Args:
            network (Network): The network.

        Returns:
            list[str]: A sentence that says how many layers must be quantised;
            empty if none.
        """
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
        """Check what a layer asks of the chip besides room on its cores.

        These are: the way in which weights are stored, their bits, products of
        two activations, membranes that are handed on, and the number of
        layers that it feeds.

        Args:
            layer (LayerFit): The layer, its size already checked.
            network (Network): The network that it is part of.
            weights (str): ``shared`` or ``unrolled``.
            weight_bits (int): Bits of a stored weight.

        Returns:
            LayerFit: The layer, with a reason more for each of these that the
            chip lacks.
        """
        reasons = list(layer.reasons)
        incoming = list(network.incoming(layer.name))
        spiking = [p for p in incoming if network.carries(p) == 'spikes'
                   and p.op != 'relay']
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
    """Check that each layer gets a core of its own that is large enough.

    Cores may differ in size. As many layers as possible are matched with a
    core that holds them (maximum bipartite matching).

    Args:
        layers (list[LayerFit]): All layers, each on one core.
        limits (Limits): Limits of a chip that does not split layers.

    Returns:
        list[LayerFit]: The layers, with a reason for those that are left
        without a core.
    """
    if 'cores' not in limits.values:
        return layers  # unchecked says that their number is unknown
    count = int(limits.values['cores'])
    known = [name for name in CORE_LIMITS if name in limits.values]
    differ = any(isinstance(limits.values[name], tuple) for name in known)
    cores = count if differ else min(count, len(layers))
    holds = np.ones((len(layers), cores), bool)
    for name in known:
        sizes = np.broadcast_to(limits.values[name], cores)
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
