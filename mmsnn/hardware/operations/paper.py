"""What the paper reports, and what it implies, beside what was counted."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mmsnn.hardware.amounts import PJ_PER_MJ, Range
from mmsnn.hardware.chips.spec import Chip, load_chip
from mmsnn.hardware.network.trace_graph import TraceGraph
from mmsnn.trace import SYNAPSES, OpTrace, is_spiking_synapse
from mmsnn.zoo import ZOO, metafiles


@cache
def reported_energies(zoo: Path = ZOO) -> dict[str, float]:
    """Energies that the paper reports, by the name of the config.

    The paper calls them power. They are read from ``Reported Energy (mJ)`` in
    the metafiles of the model zoo.

    Args:
        zoo (Path): Folder of the model index. Defaults to
            :data:`mmsnn.zoo.ZOO`.

    Returns:
        dict[str, float]: Name of a config, without ``.py`` -> mJ per image.

    Raises:
        ValueError: If metafiles state two powers for one config; the message
            names both.
    """
    found: dict[str, tuple[float, str]] = {}
    for metafile, models in metafiles(zoo).items():
        for model in models:
            for result in model['Results']:
                power_mj = result['Metrics'].get('Reported Energy (mJ)')
                if power_mj is None:
                    continue
                where = f'{power_mj:g} of {model["Name"]} in {metafile}'
                config = Path(model['Config']).stem
                other, first = found.setdefault(config, (power_mj, where))
                if other != power_mj:
                    raise ValueError(f'two values of Reported Energy (mJ) for '
                                     f'the config {config}: {first}, {where}')
    return {config: power_mj for config, (power_mj, _) in found.items()}


def reported_energy(config: str | Path) -> float | None:
    """Energy that the paper reports for a config's model, in mJ per image.

    Args:
        config (str | Path): Name or path of the config.

    Returns:
        float | None: What the metafile of the config says; None if it says
        nothing, or if no metafile names the config.

    Example:
        >>> reported_energy('espikeformer-10m_sfa4_8xb256-200e_in1k')
        3.0
        >>> reported_energy('espikeformer-tiny_sfa4_1xb64-20e_digits-32x32')
    """
    return reported_energies().get(Path(config).name.removesuffix('.py'))


@dataclass(frozen=True)
class ImpliedCount:
    """Mean spike count that a reported power implies, beside the measured one.

    The paper's formula ``E = E_MAC FL_1 + E_AC sum(FL_n r_n)`` is solved for
    one ``r`` that all layers share: the mean of the ``r_n``, weighted by
    ``FL_n``.

    Attributes:
        power_mj (float): The power as reported, in mJ per image.
        implied (float): Spikes per neuron and image that it implies;
            negative if the synapses on real input already cost more.
        measured (float): The same weighted mean, of the measured rates.
        exact (float): Additions per dense operation: as ``measured``, but
            spikes at a border reach fewer outputs.
        per_neuron (float): Spikes per neuron and image, where each neuron
            counts once, however many synapses it feeds.
        formula_mj (float): The formula with the measured rates, in mJ per
            image.
        most (int): The most spikes that a neuron can fire, T x D.
    """

    power_mj: float
    implied: float
    measured: float
    exact: float
    per_neuron: float
    formula_mj: float
    most: int

    def __str__(self) -> str:
        if self.implied < 0:
            return (f'{self.power_mj:g} mJ, as reported, are less than the '
                    'synapses on real input cost alone, so they imply no '
                    f'spike count; measured: {self.measured:.3g} spikes per '
                    f'neuron and image (of {self.most}), which gives '
                    f'{self.formula_mj:.3g} mJ by the formula')
        return (f'{self.power_mj:g} mJ, as reported, imply '
                f'{self.implied:.3g} spikes per neuron and image (of '
                f'{self.most}); measured: {self.measured:.3g}, which gives '
                f'{self.formula_mj:.3g} mJ by the same formula')


def implied_count(trace: OpTrace, power_mj: float,
                  chip: str | Chip = 'cmos45') -> ImpliedCount:
    """The mean spike count that a reported power implies for a model.

    Args:
        trace (OpTrace): Ops of the same model, on images of the same size.
        power_mj (float): The power as reported, in mJ per image.
        chip (str | Chip): A chip spec with ``fp32.mac`` and ``fp32.ac``, each
            one number. Defaults to ``'cmos45'``.

    Returns:
        ImpliedCount: Implied and measured count.

    Raises:
        ValueError: If ``power_mj`` is not positive, the trace holds no
            spiking synapse, or a figure is a range.
        MissingFigureError: If the spec does not know one of the figures.

    Example:
        >>> from mmsnn.trace import OpRecord, OpTrace
        >>> stem = OpRecord('stem', 'conv', 'c', dense_ops=10, macs=10)
        >>> fc = OpRecord('fc', 'linear', 'mm', spiking=True, in_spikes=1,
        ...               dense_ops=100, sops=25, in_elements=4, max_spikes=4)
        >>> n = OpRecord('n', 'neuron', 'neuron', neurons=4, spikes=[1])
        >>> found = implied_count(OpTrace([stem, n, fc], 1), 91e-9)
        >>> round(found.implied, 6), found.measured  # (91 - 46) / 0.9 / 100
        (0.5, 0.25)
    """
    if not power_mj > 0:
        raise ValueError(f'a reported power (--paper-mj) must be positive, in '
                         f'mJ per image, got {power_mj}')
    chip = load_chip(chip)
    mac, ac = (_number(chip, f'fp32.{name}', 'the implied spike count')
               for name in ('mac', 'ac'))
    spiking = [r for r in trace if is_spiking_synapse(r) and r.in_elements]
    # FL of one time step: rates are summed over all of them.
    dense = sum(r.dense_ops / r.timesteps for r in spiking) / trace.images
    if not dense:
        raise ValueError('the op trace holds no spiking synapse: no spike '
                         'count can be implied')
    real = sum(r.dense_ops for r in trace
               if r.kind in SYNAPSES and not r.spiking) / trace.images
    weighted = sum(r.dense_ops / r.timesteps * r.rate
                   for r in spiking) / trace.images
    spikes = trace.total('emitted')
    return ImpliedCount(
        power_mj=power_mj,
        implied=(power_mj * PJ_PER_MJ - mac * real) / (ac * dense),
        measured=weighted / dense,
        exact=sum(r.sops for r in spiking) / trace.images / dense,
        per_neuron=spikes / max(1, trace.neurons),
        formula_mj=(mac * real + ac * weighted) / PJ_PER_MJ,
        most=max(r.max_spikes * r.timesteps for r in spiking))


def _number(chip: Chip, name: str, needed_by: str) -> float:
    """A figure that must be one number."""
    value = chip.figure(name, needed_by).value
    if isinstance(value, Range):
        raise ValueError(f'{needed_by} needs one number, but {name} of chip '
                         f"spec {chip.path} is a range ({value}): give "
                         "chip.at('low') or chip.at('high')")
    return value


#: Kind of hidden multiplication -> what it is.
HIDDEN = {
    'first layer': 'a synapse that reads the image: the paper charges it',
    'chain': ('a synapse behind a synapse, without neuron between them: '
              're-parameterisation does not fold it (depthwise to pointwise, '
              'two branches of a product)'),
    'head on membranes': ('a last synapse that reads membranes, not spikes'),
    'norm': 'a norm that could not be folded',
    'interpolation': 'interpolation, pooling or sampling of membranes',
    'scaling': 'another product of real values',
}


@dataclass(frozen=True)
class HiddenCost:
    """Multiplications that no spike drives.

    Attributes:
        kind (str): Why no spike drives them, one of :data:`HIDDEN`.
        modules (tuple[str]): Paths of the modules that do them.
        macs (float): Multiply-accumulates per image.
        energy_mj (float): Their energy in mJ per image, at ``fp32.mac``.
    """

    kind: str
    modules: tuple[str, ...]
    macs: float
    energy_mj: float


def hidden_multiplications(trace: OpTrace,
                           chip: str | Chip = 'cmos45') -> list[HiddenCost]:
    """Find every multiplication that an energy formula for spikes can
    overlook.

    Args:
        trace (OpTrace): Ops of the model, with their inputs, as a converted
            model records them.
        chip (str | Chip): A chip spec with ``fp32.mac``, one number. Defaults
            to ``'cmos45'``.

    Returns:
        list[HiddenCost]: One for each kind that occurs, in order of
        :data:`HIDDEN`.

    Raises:
        MissingFigureError: If the spec does not know the figure.
    """
    chip = load_chip(chip)
    mac = _number(chip, 'fp32.mac', 'the cost of hidden multiplications')
    graph = TraceGraph(trace)
    read_by: dict[int, list[int]] = {}
    for i, sources in graph.sources.items():
        for source in sources:
            if isinstance(source, int):
                read_by.setdefault(source, []).append(i)
    found: dict[str, list] = {}
    for i, record in enumerate(graph.records):
        if record.macs:
            kind = _kind(i, graph, read_by)
            found.setdefault(kind, []).append(record)
    costs = []
    for kind in HIDDEN:
        records = found.get(kind, [])
        macs = sum(r.macs for r in records) / trace.images
        if records:
            modules = tuple(dict.fromkeys(r.module for r in records))
            costs.append(
                HiddenCost(kind, modules, macs, macs * mac / PJ_PER_MJ))
    return costs


def _kind(i: int, graph: TraceGraph, read_by: dict[int, list[int]]) -> str:
    record = graph.records[i]
    if record.kind == 'norm':
        return 'norm'
    if record.kind in ('interpolate', 'pool'):
        return 'interpolation'
    if record.kind not in SYNAPSES:
        return 'scaling'
    if any(not isinstance(s, int) for s in graph.sources.get(i, ())):
        return 'first layer'
    todo, seen = list(read_by.get(i, ())), set()
    while todo:  # does anything fire from it?
        j = todo.pop()
        if graph.records[j].kind == 'neuron':
            return 'chain'
        if j not in seen:
            seen.add(j)
            todo += read_by.get(j, ())
    return 'head on membranes'
