"""Which figure of a chip spec each cause of energy is charged with."""

from fractions import Fraction

from mmsnn.hardware.amounts import PJ_PER_MJ, Amount, divided, scaled
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
    """Prices counts of operations, and remembers the figures that were used.

    Args:
        chip (Chip): Where the figures come from.
        memories (dict[str, Memory], optional): Precision of the weights ->
            memory that holds them. At other precisions accesses to memory are
            not charged. Defaults to None: at none.

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
        """The figures that were used, in order of first use."""
        return self._used.constants

    def has_precision(self, precision: str) -> bool:
        """Whether the spec has any figure of a precision.

        Args:
            precision (str): ``fp32`` or ``int8``.

        Returns:
            bool: False if no result of that precision can be priced.
        """
        return any(
            name.startswith(f'{precision}.') for name in self.chip.figures)

    def figure_name(self, cause: str, precision: str) -> str:
        """Name of the figure that a cause is charged with.

        Args:
            cause (str): One of :data:`CAUSES`.
            precision (str): Precision of the weights, ``fp32`` or ``int8``.

        Returns:
            str: The first of its figures in :data:`PRICES` that the spec
            lists; else the last, whose absence is then an error.
        """
        if cause in MEMORY_CAUSES:
            return self.memories[precision].figure
        names = PRICES[precision][cause]
        return next((n for n in names if n in self.chip.figures), names[-1])

    def charges(self, cause: str, precision: str) -> bool:
        """Whether a cause is charged. All are, save neuron updates and
        accesses to memory where the spec has no figure for them.

        Args:
            cause (str): One of :data:`CAUSES`.
            precision (str): Precision of the weights, ``fp32`` or ``int8``.

        Returns:
            bool: Whether the cause is charged.
        """
        if cause in MEMORY_CAUSES:
            return precision in self.memories
        return cause != UPDATES or (
            self.figure_name(UPDATES, precision) in self.chip.figures)

    def price(self, cause: str, precision: str, needed_by: str) -> Amount:
        """Energy of one operation, or of one access to memory.

        Args:
            cause (str): One of :data:`CAUSES`.
            precision (str): Precision of the weights, ``fp32`` or ``int8``.
            needed_by (str): The result that needs it, for the error message.

        Returns:
            float | Range: pJ; a range where the figure is one.

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
        """Energy of counts, by cause.

        Causes that do not occur are left out, so that their figures are not
        needed; so are those that are not charged (:meth:`charges`).

        Args:
            counts (dict[str, int | Fraction]): Cause -> number of operations,
                totals over all images.
            images (int): Number of these images.
            precision (str): Precision of the weights, ``fp32`` or ``int8``.
            needed_by (str): The result that needs it, for the error message.

        Returns:
            dict[str, float | Range]: Cause -> mJ per image.

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
