"""The op trace: what every op of a model did during spike-driven inference.

The trace is the only thing that :mod:`mmsnn.hardware` reads. It accumulates
over calls: all counts are totals over ``trace.images`` images.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from itertools import zip_longest
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from mmsnn.files import dump_json

#: Kinds of op in a trace. ``conv``, ``linear`` and ``matmul`` are synapses
#: when their input is spikes, and cost multiply-accumulates when it is not.
KINDS = ('conv', 'linear', 'matmul', 'neuron', 'norm', 'interpolate', 'pool',
         'add', 'real')

#: Fields that describe an op; its first call sets them.
_DESCRIPTION = ('module', 'kind', 'op', 'spiking', 'note')

#: Fields of which the largest counts; all other numbers add up over calls.
_LARGEST = ('weight_bytes', 'state_bytes', 'accumulator_max', 'max_spikes',
            'timesteps', 'repeats')

#: Format version of :meth:`OpTrace.save`.
FORMAT = 1


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
        input_shape (tuple[int]): Shape of the input in the last call, batch
            included.
        output_shape (tuple[int]): Shape of the output in the last call.
        calls (int): Number of calls.
        dense_ops (int): Multiply-accumulates that the float twin would do:
            output elements x fan-in, as FLOPs are usually counted
            (products with padding included).
        sops (int): Exact additions caused by spikes at synapses.
        macs (int): Multiply-accumulates on real-valued input.
        adds (int): Real-valued additions (residuals, biases of sums).
        comparisons (int): Real-valued comparisons (max pooling, sorting).
        other (int): Other real-valued operations (exponentials, divisions).
        in_spikes (int): Spikes that arrived, summed over sub-steps.
        in_elements (int): Elements of the input, the denominator of
            ``in_spikes``.
        neurons (int): Neurons updated, once per time step (each runs
            ``max_spikes`` sub-steps).
        spikes (list[int]): Spikes emitted in sub-step 1..D of the first time
            step, then of the second, ... (neurons only).
        max_spikes (int): D of the neuron, or of the neuron that feeds a
            spiking synapse; 0 elsewhere.
        timesteps (int): T of that neuron; amounts are summed over them. 1
            elsewhere.
        repeats (int): In how many time steps the op ran on the same image: a
            twin without time runs it once instead.
        weight_bytes (int): Bytes of the weights, once (not per image).
        state_bytes (int): Bytes of the membranes that the neurons hold for
            one image (neurons only).
        accumulator_max (int): Largest absolute integer that an attention
            product can reach, for the accumulator's width; 0 elsewhere.
        note (str): Why the op is charged as it is.
    """

    module: str
    kind: str
    op: str
    spiking: bool = False
    input_shape: Tuple[int, ...] = ()
    output_shape: Tuple[int, ...] = ()
    calls: int = 0
    dense_ops: int = 0
    sops: int = 0
    macs: int = 0
    adds: int = 0
    comparisons: int = 0
    other: int = 0
    in_spikes: int = 0
    in_elements: int = 0
    neurons: int = 0
    spikes: List[int] = field(default_factory=list)
    max_spikes: int = 0
    timesteps: int = 1
    repeats: int = 1
    weight_bytes: int = 0
    state_bytes: int = 0
    accumulator_max: int = 0
    note: str = ''

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f'kind {self.kind!r} of {self.module!r} is not '
                             f'one of {", ".join(KINDS)}')

    def include(self, other: 'OpRecord') -> None:
        """Add the amounts of more calls of the same op."""
        self.add_call(**{
            f.name: getattr(other, f.name)
            for f in fields(OpRecord) if f.name not in _DESCRIPTION
        })

    def add_call(self, calls: int = 1, **amounts) -> None:
        """Add the amounts of a call, or of several.

        Args:
            calls (int): Number of calls. Defaults to 1.
            **amounts: Fields of the record.
        """
        self.calls += calls
        for name, value in amounts.items():
            before = getattr(self, name)
            if name in _LARGEST:
                value = max(before, value)
            elif name == 'spikes':
                value = [
                    a + b for a, b in zip_longest(before, value, fillvalue=0)
                ]
            elif not name.endswith('_shape'):
                value = before + value
            setattr(self, name, value)

    @staticmethod
    def times(calls: int, amounts: Dict) -> Dict:
        """Amounts of several equal calls, for :meth:`add_call`.

        Example:
            >>> OpRecord.times(3, dict(macs=2, weight_bytes=8))
            {'calls': 3, 'macs': 6, 'weight_bytes': 8}
        """
        return dict(
            calls=calls, **{
                k: v if k in _LARGEST or k.endswith('_shape') else v * calls
                for k, v in amounts.items()
            })

    @property
    def rate(self) -> float:
        """Mean number of spikes that arrive per input element and image,
        summed over T x D (``r_n`` of the paper's supplement S1)."""
        if not self.in_elements:
            return 0.0
        return self.in_spikes * self.timesteps / self.in_elements


class OpTrace:
    """Ordered op records of one model.

    Args:
        records (list[OpRecord], optional): In order of first execution.
        images (int): Number of images the totals stand for.

    Example:
        >>> trace = OpTrace([OpRecord('stem', 'conv', 'convolution', macs=8)],
        ...                 images=2)
        >>> trace.total('macs')
        8
        >>> trace.per_image('macs')
        4.0
    """

    def __init__(self,
                 records: Optional[List[OpRecord]] = None,
                 images: int = 0) -> None:
        self._records: Dict[tuple, OpRecord] = {}
        self.images = images
        seen = Counter()
        for record in records or []:
            what = (record.module, record.op, record.spiking)
            seen[what] += 1
            self._records[(*what, seen[what])] = record

    def __iter__(self) -> Iterator[OpRecord]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: tuple, **new) -> OpRecord:
        """The record under ``key``, made from ``new`` at its first use."""
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = OpRecord(**new)
        return record

    def total(self, name: str) -> int:
        """Sum of a numeric field over all records."""
        return sum(getattr(record, name) for record in self)

    def per_image(self, name: str) -> float:
        """:meth:`total` over the number of images.

        Raises:
            ValueError: If no image was recorded.
        """
        if self.images < 1:
            raise ValueError('the op trace is empty: run the model on at '
                             'least one image before asking for figures')
        return self.total(name) / self.images

    @property
    def neurons(self) -> int:
        """Number of neurons, times images."""
        return sum(r.neurons // r.timesteps for r in self)

    def firing_rate(self) -> List[float]:
        """Network spike firing rate per sub-step: spikes of all neurons in
        sub-step d of a time step over the number of neurons (paper, section
        5.3). Sub-steps 1..D of all time steps, one after the other."""
        neurons = self.neurons
        depth = max((len(r.spikes) for r in self), default=0)
        totals = [0] * depth
        for record in self:
            for d, count in enumerate(record.spikes):
                totals[d] += count
        return [t / neurons if neurons else 0.0 for t in totals]

    def audit(self) -> List[OpRecord]:
        """Every op that cost something although no spike drove it."""
        return [
            r for r in self if not r.spiking and r.kind != 'neuron' and
            (r.macs or r.adds or r.comparisons or r.other)
        ]

    @classmethod
    def merged(cls, traces: List['OpTrace']) -> 'OpTrace':
        """Totals over traces of the same model, e.g. one per process.

        Example:
            >>> one = OpTrace([OpRecord('fc', 'linear', 'mm', sops=3)], 1)
            >>> OpTrace.merged([one, one]).per_image('sops')
            3.0
        """
        whole = cls()
        for trace in traces:
            # Equal keys, whether it was recorded here or read from a file.
            whole.include(cls(list(trace), trace.images))
        return whole

    def include(self, other: 'OpTrace') -> None:
        """Add the totals of more images."""
        self.images += other.images
        for key, record in other._records.items():
            self.get(key, **{f: getattr(record, f)
                             for f in _DESCRIPTION}).include(record)

    def save(self, path) -> None:
        """Write the trace as JSON, whole or not at all."""
        dump_json(
            path,
            dict(
                format=FORMAT,
                images=self.images,
                records=[asdict(r) for r in self]))

    @classmethod
    def load(cls, path) -> 'OpTrace':
        """Read a trace that :meth:`save` wrote.

        Raises:
            ValueError: If the file is not such a trace.
        """
        try:
            raw = json.loads(Path(path).read_text())
            if raw['format'] != FORMAT:
                raise ValueError(f'format {raw["format"]}, expected {FORMAT}')
            names = {f.name for f in fields(OpRecord)}
            records = []
            for item in raw['records']:
                unknown = set(item) - names
                if unknown:
                    raise ValueError(f'unknown fields {sorted(unknown)}')
                for key in ('input_shape', 'output_shape'):
                    item[key] = tuple(item[key])
                records.append(OpRecord(**item))
            return cls(records, raw['images'])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'{path} is not an op trace written by mmsnn: {error}'
            ) from error
