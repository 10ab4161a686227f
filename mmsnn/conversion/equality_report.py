"""What a comparison of both forms of a model has found."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

#: Results of both forms agree up to this: in float64 relative to each value;
#: in shorter types, where sums that cancel leave only rounding, to the largest
#: value.
AGREE = 1e-9
SHORT_AGREE = dict(float32=1e-3, float16=0.05, bfloat16=0.05)
#: A potential over the threshold lies on a threshold up to this, relative to
#: itself (to 1 where it is smaller); in float64, and in shorter types.
TIE, SHORT_TIE = 1e-9, 1e-5


def agree(error: float, share: float, dtype: str) -> bool:
    """Whether results are the same, but for rounding.

    Args:
        error (float): Largest difference, relative to the value.
        share (float): Largest difference, relative to the largest value.
        dtype (str): The type that they were rounded to.

    Returns:
        bool: Whether ``error`` is within :data:`AGREE` or, in shorter types,
        ``share`` within :data:`SHORT_AGREE`.

    Example:
        >>> agree(0.5, 1e-4, 'float32'), agree(0.5, 1e-4, 'float64')
        (True, False)
    """
    if dtype in SHORT_AGREE:
        return share <= SHORT_AGREE[dtype]
    return error <= AGREE


@dataclass
class NeuronEquality:
    """How often one neuron layer fired in both forms.

    Attributes:
        module (str): Path in the model in training form.
        neurons (int): Neurons compared, over all images and calls.
        differences (int): Neurons whose spike count differs.
        max_difference (int): Largest difference of a count.
        training_spikes (int): Sum of counts in training form.
        spike_train_spikes (int): Sum of spikes in spike-train form.
        ties (int): Differences that are ties: in both forms the potential
            lies within rounding of the same threshold, on either side of it.
    """

    module: str
    neurons: int = 0
    differences: int = 0
    max_difference: int = 0
    training_spikes: int = 0
    spike_train_spikes: int = 0
    ties: int = 0

    def including(self, other: 'NeuronEquality') -> 'NeuronEquality':
        """The same layer on more images.

        Args:
            other (NeuronEquality): What was compared there.
        """
        return NeuronEquality(
            self.module, self.neurons + other.neurons,
            self.differences + other.differences,
            max(self.max_difference, other.max_difference),
            self.training_spikes + other.training_spikes,
            self.spike_train_spikes + other.spike_train_spikes,
            self.ties + other.ties)


@dataclass
class EqualityReport:
    """Comparison of all neurons of a model in both forms.

    Attributes:
        dtype (str): Floating-point type of both runs.
        images (int): Images compared.
        rows (list[NeuronEquality]): One per neuron layer.
        output_error (float): Largest difference between what both forms
            returned, relative to the value itself (see
            :func:`~mmsnn.conversion.tensor_error.relative_error`), where
            rounding does not explain it (see
            :func:`~mmsnn.conversion.rounding.measure_rounding`): no neuron
            stands behind the last layers. Infinite if a type, a key, a
            shape, a label or a mask differs.
        never_ran (list[str]): Neuron layers that no batch has reached.
        output_path (str): Where results differ most; empty if nowhere.
        not_compared (list[str]): Paths and types of what both forms returned
            and nobody can compare, such as an iterator. Where there is any,
            the forms are not called equal.
        output_share (float): Largest difference between results, relative to
            the largest value: how wrong they are on the whole.
        rounded_to (str): The type to which autocast inside the model rounds;
            empty if it does not.

    Example:
        >>> report = EqualityReport('float64', 1, [
        ...     NeuronEquality('0.neuron', 9, 1, 2, 5, 7)])
        >>> report.equal, str(report)
        (False, '1 of 9 spike counts differ in float64 (1 neuron layers, \
1 images); most at 0.neuron: 1 of 9')
    """

    dtype: str
    images: int = 0
    rows: list[NeuronEquality] = field(default_factory=list)
    output_error: float = 0.
    never_ran: list[str] = field(default_factory=list)
    output_path: str = ''
    not_compared: list[str] = field(default_factory=list)
    output_share: float = 0.
    rounded_to: str = ''

    @classmethod
    def merged(cls, reports: Sequence['EqualityReport']) -> 'EqualityReport':
        """One report of what several processes have compared.

        Args:
            reports (Sequence[EqualityReport]): Of the same model in the same
                type, in the order of the images.

        Returns:
            EqualityReport: Of all images.

        Example:
            >>> one = EqualityReport('float64', 1, [NeuronEquality('0', 9)])
            >>> str(EqualityReport.merged([one, one]))[:40]
            '0 of 18 spike counts differ in float64 ('
        """
        rows: dict[str, NeuronEquality] = {}
        for row in (row for report in reports for row in report.rows):
            before = rows.get(row.module)
            rows[row.module] = before.including(row) if before else row
        compared = [r for r in reports if r.images] or reports[:1]
        worst = max(compared, key=lambda r: r.output_error)
        return replace(
            worst,
            images=sum(r.images for r in compared),
            rows=list(rows.values()),
            never_ran=[path for path in compared[0].never_ran
                       if all(path in r.never_ran for r in compared)],
            not_compared=list(dict.fromkeys(
                name for r in compared for name in r.not_compared)),
            output_share=max(r.output_share for r in compared),
            rounded_to=max(r.rounded_to for r in compared))

    @property
    def total_neurons(self) -> int:
        """Neurons compared, over all layers."""
        return sum(row.neurons for row in self.rows)

    @property
    def total_differences(self) -> int:
        """Neurons whose spike count differs, over all layers."""
        return sum(row.differences for row in self.rows)

    @property
    def total_ties(self) -> int:
        """Differences that are ties, over all layers. A spike more or less
        makes true differences behind it."""
        return sum(row.ties for row in self.rows)

    @property
    def silent(self) -> list[str]:
        """Neuron layers that fired in neither form: that their counts are
        equal says nothing."""
        return [
            row.module for row in self.rows
            if not row.training_spikes and not row.spike_train_spikes
        ]

    @property
    def equal(self) -> bool:
        """Whether everything was compared and nothing differed: no spike
        count, and no result by more than rounding. In shorter types than
        float64, rounding alone can change a label or a box."""
        return (self.total_neurons > 0 and self.total_differences == 0
                and not self.not_compared and self.outputs_agree)

    @property
    def outputs_agree(self) -> bool:
        """Whether both forms returned the same, but for rounding: up to
        1e-9 of each value in float64; of the largest value, 1e-3 in float32
        and 0.05 in 16 bits, or where autocast rounds to them."""
        return agree(self.output_error, self.output_share,
                     self.rounded_to or self.dtype)

    def __str__(self) -> str:
        worst = max(self.rows, key=lambda r: r.differences, default=None)
        rounded = (f', rounded to {self.rounded_to} by autocast'
                   if self.rounded_to else '')
        text = (f'{self.total_differences} of {self.total_neurons} spike '
                f'counts differ in {self.dtype}{rounded} ({len(self.rows)} '
                f'neuron layers, {self.images} images)')
        if worst is not None and worst.differences:
            text += (f'; most at {worst.module}: {worst.differences} of '
                     f'{worst.neurons}')
        tied = [row for row in self.rows if row.ties]
        if tied:
            bound = TIE if self.dtype == 'float64' else SHORT_TIE
            text += (f'; {self.total_ties} of them are ties (within '
                     f'{bound:.0e} of a threshold), the first at '
                     f'{tied[0].module}')
        if not self.outputs_agree:
            text += f'; results differ by up to {self.output_error:.1e}'
            if self.output_path:
                text += f' at {self.output_path}'
        for what, names in (('results not compared', self.not_compared),
                            ('never ran', self.never_ran),
                            ('never fired', self.silent)):
            if names:
                text += f'; {len(names)} {what}: {", ".join(names[:3])}'
                text += ', ...' if len(names) > 3 else ''
        return text
