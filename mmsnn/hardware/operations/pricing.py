"""What the operations of an estimate are charged."""

from fractions import Fraction

from mmsnn.hardware.amounts import Amount, divided, scaled
from mmsnn.hardware.chips.figures import Constant, UsedFigures
from mmsnn.hardware.chips.spec import Chip

from .counts import (
    ADDS,
    CAUSES,
    COMPARISONS,
    MEMORY_CAUSES,
    OTHER,
    REAL_MACS,
    SYNAPSE_ACS,
    SYNAPSE_MACS,
    UPDATES,
    Counts,
)
from .memory import ACCESS_BYTES, Memory

PJ_PER_MJ = 1e9

#: Precision of the weights -> cause -> figures of the chip spec; the first
#: that the spec lists is charged. With INT8 weights membranes are INT32.
PRICES: dict[str, dict[str, tuple[str, ...]]] = {
    'fp32': {
        SYNAPSE_ACS: ('fp32.ac', ),
        SYNAPSE_MACS: ('fp32.mac', ),
        REAL_MACS: ('fp32.mac', ),
        ADDS: ('fp32.add', ),
        COMPARISONS: ('fp32.compare', 'fp32.add'),
        OTHER: ('fp32.other', 'fp32.mac'),
        UPDATES: ('fp32.neuron_update', ),
    },
    'int8': {
        SYNAPSE_ACS: ('int8.ac', ),
        SYNAPSE_MACS: ('int8.mac', ),
        REAL_MACS: ('int32.mac', ),
        ADDS: ('int32.add', ),
        COMPARISONS: ('int32.compare', 'int32.add'),
        OTHER: ('int32.other', 'int32.mac'),
        UPDATES: ('int32.neuron_update', ),
    },
}


class Pricing:
    """Prices counts and keeps the figures that were used.

    Args:
        chip (Chip): Where the figures come from.
        memories (dict[str, Memory], optional): By precision of the weights;
            accesses to memory are not charged for others. Defaults to None.

    Example:
        >>> from mmsnn.hardware import load_chip
        >>> pricing = Pricing(load_chip('cmos45'))
        >>> pricing.energies({'additions': 4}, 4, 'fp32', 'the example')
        {'additions': 9e-10}
        >>> [constant.name for constant in pricing.constants]
        ['fp32.add']
    """

    def __init__(self, chip: Chip,
                 memories: dict[str, Memory] | None = None) -> None:
        self.chip = chip
        self.memories = memories or {}
        self._used = UsedFigures(chip)

    @property
    def constants(self) -> list[Constant]:
        """The figures that were used, in order of :data:`CAUSES`."""
        return self._used.constants

    def has_precision(self, precision: str) -> bool:
        """Whether the spec has any figure of that precision."""
        return any(
            name.startswith(f'{precision}.') for name in self.chip.figures)

    def figure_name(self, cause: str, precision: str) -> str:
        """The figure that ``cause`` is charged with: the first that the spec
        lists, else the last (whose absence is then an error)."""
        if cause in MEMORY_CAUSES:
            return self.memories[precision].figure
        names = PRICES[precision][cause]
        return next((n for n in names if n in self.chip.figures), names[-1])

    def charges(self, cause: str, precision: str) -> bool:
        """Whether there is a figure for what may go without: updates of
        neurons, and accesses to memory."""
        if cause in MEMORY_CAUSES:
            return precision in self.memories
        return cause != UPDATES or (
            self.figure_name(UPDATES, precision) in self.chip.figures)

    def price(self, cause: str, precision: str, needed_by: str) -> Amount:
        """pJ per operation, or per access to memory: a number, or a range
        where the figure is one.

        Raises:
            MissingFigureError: If the figure is absent or null.
        """
        name = self.figure_name(cause, precision)
        charged_for = f'{cause} ({precision.upper()} weights)'
        span = self._used.span(name, needed_by, charged_for)
        price = span.low if span.exact else span
        if cause in MEMORY_CAUSES:
            return scaled(price, ACCESS_BYTES[precision][cause])
        return price

    def energies(self, counts: Counts, images: int, precision: str,
                 needed_by: str) -> dict[str, Amount]:
        """mJ per image by cause, for totals over ``images`` images.

        Causes that do not occur are left out, so their figures are not
        needed; so is what :meth:`charges` has no figure for.

        Raises:
            MissingFigureError: If a figure that is needed is absent or null.
        """
        energies = {}
        for cause in CAUSES:
            count = counts.get(cause, 0)
            if not count or not self.charges(cause, precision):
                continue
            price = self.price(cause, precision, needed_by)
            energies[cause] = divided(
                scaled(price, float(Fraction(count, images))), PJ_PER_MJ)
        return energies
