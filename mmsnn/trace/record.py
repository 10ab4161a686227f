"""One op of a trace: what it is, and what it did."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from fractions import Fraction
from itertools import zip_longest
from typing import Any

#: Kinds of op that are synapses when spikes drive them, and cost
#: multiply-accumulates when their input is real values.
SYNAPSES = ('conv', 'linear', 'matmul')

#: Kinds of op in a trace.
KINDS = (*SYNAPSES, 'neuron', 'norm', 'interpolate', 'pool', 'add', 'real')

#: Images, recorded one by one, whose own counts are kept.
MOST_IMAGES = 100

#: Amounts whose squares are kept, for :meth:`OpRecord.std`.
_VARYING = ('sops', 'in_spikes', 'emitted')


def _sum(a: Any, b: Any) -> Any:
    """Sum of numbers, or of nested lists of numbers, of any lengths."""
    if isinstance(a, list) or isinstance(b, list):
        if not a or not b:
            return a or b or []
        return [_sum(x, y) for x, y in zip_longest(a, b, fillvalue=0)]
    return a + b


def _last(a: Any, b: Any) -> Any:
    return b


def _first_images(a: list, b: list) -> list:
    return (a + b)[:MOST_IMAGES]


def _sum_by_name(a: dict, b: dict) -> dict:
    return {k: a.get(k, 0) + b.get(k, 0) for k in {**a, **b}}


def _union(a: list, b: list) -> list:
    return a + [x for x in b if x not in a]


def _merged(rule: Callable[[Any, Any], Any], default: Any = 0,
            compare: bool = True) -> Any:
    """A field to which calls add by a rule, ``rule(before, new)``.

    ``default`` is a value, or ``list`` or ``dict`` for an empty one.
    """
    start = dict(default_factory=default) if isinstance(default, type) else (
        dict(default=default))
    return field(**start, compare=compare, metadata=dict(rule=rule))


@dataclass
class OpRecord:
    """Totals of one op of a model over all recorded images.

    Attributes:
        module (str): Path of the module that ran the op, as in
            ``model.named_modules()``.
        kind (str): One of :data:`KINDS`.
        op (str): The aten op, e.g. ``'convolution'``; ``'neuron'`` for
            neurons.
        spiking (bool): Whether the input (for a matmul: at least one
            operand) was spikes. A synapse with ``spiking=False`` is charged
            as multiply-accumulates.
        note (str): Why the op is charged as it is.
        call (int): Number of the module's call within a run of the model: a
            head that feature levels share has one record for each.
        postprocess (bool): Whether the op belongs to what a method of
            upstream such as ``predict_by_feat`` does with results (boxes,
            scores).
        geometry (dict): Of a convolution: ``kernel``, ``stride``,
            ``padding``, ``dilation`` (a list with a number per axis),
            ``groups`` and ``transposed``.
        static (bool): False for a product of two activations, and where
            weights are computed from what the model is given: they are not
            known before the run.
        calls (int): Number of calls.
        input_shape (tuple[int]): Shape of the input in the last call, batch
            included.
        output_shape (tuple[int]): Shape of the output in the last call.
        timesteps (int): T of the neuron, or of the neuron that feeds a
            spiking synapse; 1 elsewhere. Amounts are summed over time steps.
        repeats (int): In how many time steps the op ran on the same image: a
            twin without time runs it once instead.
        dense_ops (int): Multiply-accumulates that the float twin would do:
            output elements x fan-in, as FLOPs are usually counted
            (products with padding included).
        sops (int): Exact additions caused by spikes at synapses.
        macs (int): Multiply-accumulates on real-valued input.
        adds (int): Real-valued additions (residuals, biases of sums).
        comparisons (int): Real-valued comparisons (max pooling, sorting).
        other (int): Other real-valued operations (exponentials, divisions).
        neurons (int): Neurons updated, once per time step (each runs
            ``max_spikes`` sub-steps).
        max_spikes (int): D of the neuron, or of the neuron that feeds a
            spiking synapse; 0 elsewhere.
        spikes (list[int]): Spikes emitted in sub-step 1..D of the first time
            step, then of the second, ... (of neurons, and of the gates of a
            pooling of spikes).
        in_spikes (int): Spikes that arrived, summed over sub-steps.
        in_elements (int): Elements of the input, the denominator of
            ``in_spikes``.
        weights (int): Number of weights that outputs share, without biases,
            once (not per image).
        weight_bytes (int): Bytes of weights and biases, once.
        weight_pieces (list): Where these weights lie, so that those that
            several ops use are told apart from others: for each piece of
            memory ``[name, first, end, number]``, the parameter (or what has
            made it), the elements between which it lies, and how many of
            them it has.
        synapses (int): Connections of single inputs to single outputs, those
            into the padding left out (weights that nothing shares); a total
            over calls.
        state_bytes (int): Bytes of the membranes that the neurons hold for
            one image (neurons only).
        accumulators (int): Integers that a product of activations builds up
            and must hold (``K^T V``, or the result of ``Q (K^T V)``); 0
            elsewhere.
        accumulator_max (int): Largest absolute integer that such a product
            can reach, for the accumulator's width; 0 elsewhere.
        sampled (int): Calls in which the next two were counted, for the first
            image of a batch. They are costly, so the first run is taken.
        substep_sops (list[int]): ``sops`` in each sub-step of the neuron that
            feeds the op, as ``spikes`` lists them.
        touched (list[int]): Outputs that at least one spike reaches, in each
            of those sub-steps; for convolutions and linear layers.
        axis_spikes (list): Where the spikes of the first image of the first
            run fall: for each sub-step, and each axis of ``output_shape``
            (of which the first has the rows of that image), the spikes at
            each index. Of neurons, and of the gates of a pooling of spikes.
        by_image (list): Where images are run one by one, for each of the
            first :data:`MOST_IMAGES`: the spikes of a neuron in each
            sub-step, or the SOPs of a synapse, a list of one number.
        squares (dict[str, Fraction]): For ``sops``, ``in_spikes`` and
            ``emitted`` the sum over runs of the total squared over the run's
            number of images, exact.

    Raises:
        ValueError: If ``kind`` is none of :data:`KINDS`.

    Example:
        >>> record = OpRecord('fc', 'linear', 'mm', spiking=True)
        >>> record.add_call(sops=6, in_spikes=2)
        >>> record.add_call(sops=9, in_spikes=3)
        >>> record.calls, record.sops
        (2, 15)
    """

    # What the op is.
    module: str
    kind: str
    op: str
    spiking: bool = False
    note: str = ''
    call: int = 1
    postprocess: bool = False
    geometry: dict = field(default_factory=dict)
    static: bool = True
    # How often it ran, and on what.
    calls: int = _merged(_sum)
    input_shape: tuple[int, ...] = _merged(_last, ())
    output_shape: tuple[int, ...] = _merged(_last, ())
    timesteps: int = _merged(max, 1)
    repeats: int = _merged(max, 1)
    # Amounts of operations.
    dense_ops: int = _merged(_sum)
    sops: int = _merged(_sum)
    macs: int = _merged(_sum)
    adds: int = _merged(_sum)
    comparisons: int = _merged(_sum)
    other: int = _merged(_sum)
    # Neurons and spikes.
    neurons: int = _merged(_sum)
    max_spikes: int = _merged(max)
    spikes: list[int] = _merged(_sum, list)
    in_spikes: int = _merged(_sum)
    in_elements: int = _merged(_sum)
    # Memory.
    weights: int = _merged(max)
    weight_bytes: int = _merged(max)
    weight_pieces: list[list] = _merged(_union, list)
    synapses: int = _merged(_sum)
    state_bytes: int = _merged(max)
    accumulators: int = _merged(_sum)
    accumulator_max: int = _merged(max)
    # Sub-steps of one image, and statistics: both depend on how images were
    # cut into runs.
    sampled: int = _merged(_sum, compare=False)
    substep_sops: list[int] = _merged(_sum, list, compare=False)
    touched: list[int] = _merged(_sum, list, compare=False)
    axis_spikes: list[list[list[int]]] = _merged(_sum, list, compare=False)
    by_image: list[list[int]] = _merged(_first_images, list, compare=False)
    squares: dict[str, Fraction] = _merged(_sum_by_name, dict, compare=False)

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f'kind {self.kind!r} of {self.module!r} is not '
                             f'one of {", ".join(KINDS)}')

    def include(self, other: 'OpRecord') -> None:
        """Add the amounts of more calls of the same op.

        Args:
            other (OpRecord): Of these calls.
        """
        self.add_call(**{name: getattr(other, name) for name in _RULES})

    def add_call(self, calls: int = 1, **amounts) -> None:
        """Add the amounts of a call, or of several.

        Args:
            calls (int): Number of calls. Defaults to 1.
            **amounts: Fields of the record that calls add to.
        """
        for name, value in dict(amounts, calls=calls).items():
            setattr(self, name, _RULES[name](getattr(self, name), value))

    @staticmethod
    def times(calls: int, amounts: dict) -> dict:
        """Amounts of several equal calls, for :meth:`add_call`.

        Args:
            calls (int): Number of calls.
            amounts (dict): Fields of one of them.

        Returns:
            dict: Fields of all of them.

        Example:
            >>> OpRecord.times(3, dict(macs=2, weight_bytes=8))
            {'calls': 3, 'macs': 6, 'weight_bytes': 8}
        """
        return dict(
            calls=calls, **{
                k: v * calls if _RULES[k] is _sum else v
                for k, v in amounts.items()
            })

    @staticmethod
    def joined(amounts: dict, more: dict) -> dict:
        """Amounts of some calls and of more, for :meth:`add_call`.

        Args:
            amounts (dict): Fields of some calls.
            more (dict): Fields of more calls.

        Returns:
            dict: Fields of all of them.

        Example:
            >>> OpRecord.joined(dict(spikes=[3, 1]), dict(spikes=[2], macs=5))
            {'spikes': [5, 1], 'macs': 5}
        """
        return {
            **amounts, **{
                k: _RULES[k](amounts[k], v) if k in amounts else v
                for k, v in more.items()
            }
        }

    @property
    def emitted(self) -> int:
        """Spikes that a neuron has emitted, over all sub-steps; 0 for gates,
        which only hand spikes on."""
        return sum(self.spikes) if self.kind == 'neuron' else 0

    @property
    def accumulator_bits(self) -> int:
        """Bits with sign of an accumulator of a product; 0 elsewhere."""
        return self.accumulator_max.bit_length() + 1 if self.accumulators \
            else 0

    def end_run(self, images: int) -> None:
        """Note statistics, in a record of one run of the model.

        Args:
            images (int): Images of the run.
        """
        if images == 1 and self.spiking:
            self.by_image = [list(self.spikes) or [self.sops]]
        self.squares = {
            name: Fraction(getattr(self, name)**2, images)
            for name in _VARYING if getattr(self, name)
        }

    def std(self, name: str, runs: int, images: int) -> float:
        """Standard deviation of an amount between images.

        Where a run holds several images, that of the runs' means is scaled:
        images are taken to be independent of each other.

        Args:
            name (str): ``sops``, ``in_spikes`` or ``emitted``.
            runs (int): Runs of the model, at least two.
            images (int): Images in all of them.

        Returns:
            float: In the unit of the amount, per image.

        Example:
            >>> record = OpRecord('fc', 'linear', 'mm', sops=2)
            >>> record.end_run(1)
            >>> other = OpRecord('fc', 'linear', 'mm', sops=4)
            >>> other.end_run(1)
            >>> record.include(other)
            >>> round(record.std('sops', 2, 2), 4)  # of 2 and 4
            1.4142
        """
        squares = self.squares.get(name, 0.0)
        return max(0.0, (squares - getattr(self, name)**2 / images) /
                   (runs - 1))**0.5

    @property
    def rate(self) -> float:
        """Mean number of spikes that arrive per input element and image,
        summed over T x D (``r_n`` of the paper's supplement S1)."""
        if not self.in_elements:
            return 0.0
        return self.in_spikes * self.timesteps / self.in_elements


#: Fields that describe an op; its first call sets them.
DESCRIPTION = tuple(f.name for f in fields(OpRecord)
                    if 'rule' not in f.metadata)

#: How the other fields of calls are joined to those of calls before.
_RULES: dict[str, Callable[[Any, Any], Any]] = {
    f.name: f.metadata['rule']
    for f in fields(OpRecord) if 'rule' in f.metadata
}


def own_neurons(records: Iterable[OpRecord]) -> list[str]:
    """What an estimate says of neurons whose class has its own equations.

    Args:
        records (Iterable[OpRecord]): All ops of a trace.

    Returns:
        list[str]: A sentence with their paths; empty if there are none.

    Example:
        >>> own_neurons([OpRecord('fc.neuron', 'neuron', 'neuron',
        ...                       note='its class has its own charge')])
        ['Neurons with equations of their own are taken for the neuron that \
the chip has, one update each: fc.neuron (its class has its own charge).']
    """
    found = {r.module: f'{r.module} ({r.note})' for r in records
             if r.kind == 'neuron' and r.note}
    if not found:
        return []
    return ['Neurons with equations of their own are taken for the neuron '
            'that the chip has, one update each: '
            f'{", ".join(found.values())}.']


def is_spiking_synapse(record: OpRecord) -> bool:
    """Whether spikes drive the op and it is one of :data:`SYNAPSES`.

    Args:
        record (OpRecord): The op.

    Returns:
        bool: False for a synapse on real values.

    Example:
        >>> is_spiking_synapse(OpRecord('fc', 'linear', 'mm', spiking=True))
        True
        >>> is_spiking_synapse(OpRecord('stem', 'conv', 'convolution'))
        False
    """
    return record.spiking and record.kind in SYNAPSES
