"""What an estimate by operation consists of.

Energies are numbers, or a :class:`~mmsnn.hardware.Range` where a figure of
the chip that they need is one.
"""

from dataclasses import dataclass
from typing import Any

from mmsnn.hardware.amounts import Amount, as_range, plain
from mmsnn.hardware.chips.figures import Constant


@dataclass(frozen=True)
class EnergyResult:
    """Energy of one form of the network, counted in one way.

    Attributes:
        key (str): Way of counting and precision, e.g. ``spiking_fp32``.
        title (str): Name in tables and plots.
        precision (str): Precision of the weights: ``fp32`` or ``int8``.
        energy_mj (float | Range): mJ per image.
        causes (dict[str, float | Range]): mJ per image by cause; they sum to
            ``energy_mj``.
        counts (dict[str, float]): Operations, and accesses to memory if they
            are charged, per image by cause.
        source (str): Where counts and costs come from.
        fidelity (str): How exact the counts are.
        scope (str): What is included and what is not.
    """

    key: str
    title: str
    precision: str
    energy_mj: Amount
    causes: dict[str, Amount]
    counts: dict[str, float]
    source: str
    fidelity: str
    scope: str


#: Fields of :class:`LayerEnergy` that count operations.
COUNTS = ('dense_ops', 'sops', 'macs', 'adds', 'comparisons', 'other')


@dataclass(frozen=True)
class LayerEnergy:
    """One op of the network; all counts and energies are per image.

    Attributes:
        module (str): Module path.
        kind (str): Kind of op, see :data:`mmsnn.trace.KINDS`.
        op (str): Name of the op.
        spiking (bool): Whether spikes drive it.
        rate (float): Spikes per input element and image, summed over T x D.
        dense_ops (float): Multiply-accumulates of the float twin.
        sops (float): Additions caused by spikes.
        macs (float): Multiply-accumulates on real input.
        adds (float): Real additions.
        comparisons (float): Real comparisons.
        other (float): Other real operations.
        energy_mj (dict[str, float | Range]): mJ by key of the result.
        note (str): Why the op is charged as it is.
    """

    module: str
    kind: str
    op: str
    spiking: bool
    rate: float
    dense_ops: float
    sops: float
    macs: float
    adds: float
    comparisons: float
    other: float
    energy_mj: dict[str, Amount]
    note: str


@dataclass(frozen=True)
class TwinComparison:
    """The spiking form against a twin with weights of equal precision.

    Attributes:
        spiking (str): Key of the spiking result.
        twin (str): Key of the twin's result.
        precision (str): Precision of the weights of both.
        ratio (float | Range): Energy of the spiking form over that of the
            twin, both at the same end of a range.
        verdict (str): ``wins``, ``loses`` or ``equal``, for the spiking form;
            ``open`` if it depends on the end of a range, or if no spike
            reached a synapse.
        break_even_rate (float | Range): Mean number of spikes per input at
            which additions cost as much as the twin's multiply-accumulates,
            with the accesses to memory that are charged for them.
        mean_rate (float): Additions per dense operation of the spiking
            synapses, the number to compare with ``break_even_rate``.
        sentence (str): The comparison in words.
        caveat (str): Why the ratio says little, or empty.
    """

    spiking: str
    twin: str
    precision: str
    ratio: Amount
    verdict: str
    break_even_rate: Amount
    mean_rate: float
    sentence: str
    caveat: str = ''


@dataclass(frozen=True)
class Difference:
    """One cause of the difference between formula and exact count.

    Attributes:
        cause (str): Name of the cause.
        energy_mj (float | Range): Formula minus exact count, mJ per image.
        explanation (str): Why the two differ.
    """

    cause: str
    energy_mj: Amount
    explanation: str


@dataclass(frozen=True)
class OperationsEstimate:
    """Energy by operation, of a network and of its twins, per image.

    Attributes:
        chip (str): Name of the chip spec.
        title (str): Title of the chip spec.
        images (int): Images that the op trace stands for.
        activation_bits (int): Bits of the quantised twin's activations,
            ``ceil(log2(D + 1))`` for the largest D.
        max_spikes (int): The largest D of a spiking synapse.
        results (tuple[EnergyResult]): One per form and precision.
        layers (tuple[LayerEnergy]): One per op, in order of execution.
        comparisons (tuple[TwinComparison]): Spiking form against its twins.
        differences (tuple[Difference]): Formula minus exact count, by cause.
        assumptions (tuple[str]): What was assumed where no figure exists.
        not_charged (tuple[str]): What the energies leave out.
        missing (dict[str, str]): Key of a result that could not be computed
            -> why.
        constants (tuple[Constant]): The chip figures that were used.
    """

    chip: str
    title: str
    images: int
    activation_bits: int
    max_spikes: int
    results: tuple[EnergyResult, ...]
    layers: tuple[LayerEnergy, ...]
    comparisons: tuple[TwinComparison, ...]
    differences: tuple[Difference, ...]
    assumptions: tuple[str, ...]
    not_charged: tuple[str, ...]
    missing: dict[str, str]
    constants: tuple[Constant, ...]

    def __getitem__(self, key: str) -> EnergyResult:
        """The result with that key, e.g. ``estimate['spiking_fp32']``.

        Args:
            key (str): One of :attr:`keys`.

        Returns:
            EnergyResult: Energy of one form, counted in one way.

        Raises:
            KeyError: If there is none; the message says why.
        """
        for result in self.results:
            if result.key == key:
                return result
        reason = self.missing.get(key)
        raise KeyError(
            f'no result {key!r}: {reason}' if reason else
            f'no result {key!r}: have {", ".join(self.keys)}')

    def __contains__(self, key: str) -> bool:
        return key in self.keys

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the results."""
        return tuple(result.key for result in self.results)

    @property
    def verdicts(self) -> list[str]:
        """The comparisons in words, each caveat once, at the end."""
        caveats = [c.caveat for c in self.comparisons if c.caveat]
        return [c.sentence for c in self.comparisons] + list(
            dict.fromkeys(caveats))

    @property
    def exact(self) -> bool:
        """Whether no energy is a range."""
        return all(as_range(r.energy_mj).exact for r in self.results)

    def to_dict(self) -> dict[str, Any]:
        """The estimate for JSON.

        Returns:
            dict[str, Any]: Plain dicts, lists, texts and numbers; a range is
            a dict of ``low`` and ``high``.
        """
        return plain(self)
