"""What the operations of an estimate are charged."""

from fractions import Fraction

from .chip import Chip
from .counts import (
    ADDS,
    CAUSES,
    COMPARISONS,
    OTHER,
    REAL_MACS,
    SYNAPSE_ACS,
    SYNAPSE_MACS,
    UPDATES,
    Counts,
)
from .figures import Constant, UsedFigures

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

    Example:
        >>> from mmsnn.hardware import load_chip
        >>> pricing = Pricing(load_chip('cmos45'))
        >>> pricing.energies({'additions': 4}, 4, 'fp32', 'the example')
        {'additions': 9e-10}
        >>> [constant.name for constant in pricing.constants]
        ['fp32.add']
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
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
        names = PRICES[precision][cause]
        return next((n for n in names if n in self.chip.figures), names[-1])

    def charges_updates(self, precision: str) -> bool:
        """Whether the spec has a figure for updates of neurons."""
        return self.figure_name(UPDATES, precision) in self.chip.figures

    def price(self, cause: str, precision: str, needed_by: str) -> float:
        """pJ per operation.

        Raises:
            MissingFigureError: If the figure is absent or null.
            ValueError: If the figure is a range.
        """
        return self._used.number(
            self.figure_name(cause, precision), needed_by,
            f'{cause} ({precision.upper()} weights)')

    def energies(self, counts: Counts, images: int, precision: str,
                 needed_by: str) -> dict[str, float]:
        """mJ per image by cause, for totals over ``images`` images.

        Causes that do not occur are left out, so their figures are not
        needed; so are neuron updates where the spec has no figure for them.

        Raises:
            MissingFigureError: If a figure that is needed is absent or null.
        """
        energies = {}
        for cause in CAUSES:
            count = counts.get(cause, 0)
            if not count or (cause == UPDATES
                             and not self.charges_updates(precision)):
                continue
            price = self.price(cause, precision, needed_by)
            energies[cause] = (
                float(Fraction(count, images)) * price / PJ_PER_MJ)
        return energies
