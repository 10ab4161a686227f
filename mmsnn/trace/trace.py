"""The op trace: what every op of a model did during spike-driven inference.

The trace is the only thing that :mod:`mmsnn.hardware` reads. It accumulates
over calls: all counts are totals over ``trace.images`` images.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from mmsnn.files import dump_json

from .checks import check_fields, check_kind, check_sources, shown
from .reads import Reads
from .record import DESCRIPTION, OpRecord
from .run_statistics import RunStatistics, total_amounts

#: Format version of :meth:`OpTrace.save`, and those that can be read. Files
#: of format 3 do not say which part of a layer an op reads, nor where weights
#: lie.
FORMAT, READABLE = 4, (3, 4)

#: Sources that are no ops: what the model is given, and a tensor that no op
#: seen has made (NumPy, or a compiled op that PyTorch does not know).
INPUT, UNKNOWN = 'input', 'unknown'

#: Number of a record in the trace, or :data:`INPUT`, or :data:`UNKNOWN`.
Source = int | str


class OpTrace:
    """Ordered op records of one model.

    Args:
        records (list[OpRecord], optional): In order of first execution.
        images (int): Number of images the totals stand for. Defaults to 0.

    Attributes:
        images (int): Number of images the totals stand for.
        statistics (RunStatistics): How much amounts differ between images.
        image_shapes (Counter): Number of images of each shape (C, H, W).

    Example:
        >>> trace = OpTrace([OpRecord('stem', 'conv', 'convolution', macs=8)],
        ...                 images=2)
        >>> trace
        OpTrace(1 ops, 2 images, 0 SOPs, 8 MACs)
        >>> trace.total('macs')
        8
        >>> trace.per_image('macs')
        4.0
    """

    def __init__(self,
                 records: list[OpRecord] | None = None,
                 images: int = 0) -> None:
        self._records: dict[tuple, OpRecord] = {}
        # Key of a record or a name -> whether it is a product's operand.
        self._sources: dict[tuple, dict[tuple | str, bool]] = {}
        # Key of a record -> that of a neuron layer -> what it reads of it.
        self._reads: dict[tuple, dict[tuple, Reads]] = {}
        self.images = images
        self.statistics = RunStatistics()
        self.image_shapes: Counter = Counter()
        seen = Counter()
        for record in records or []:
            identity = _identity(record)
            seen[identity] += 1
            self._records[(*identity, seen[identity])] = record

    def __repr__(self) -> str:
        return (f'OpTrace({len(self)} ops, {self.images} images, '
                f'{self.total("sops")} SOPs, {self.total("macs")} MACs)')

    def __iter__(self) -> Iterator[OpRecord]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: tuple, **new) -> OpRecord:
        """The record under a key, made at its first use.

        Args:
            key (tuple): Tells the ops of a model apart.
            **new: Fields of a new :class:`OpRecord`.

        Returns:
            OpRecord: The record, to be added to.
        """
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = OpRecord(**new)
        return record

    def connect(self, key: tuple, sources: Iterable,
                operands: Iterable = (),
                reads: dict[tuple, Reads] | None = None) -> None:
        """Note what an op has read.

        Args:
            key (tuple): Of its record.
            sources (Iterable): Keys of the records that made its input;
                :data:`INPUT` or :data:`UNKNOWN` where none did.
            operands (Iterable): Those of the operand that a product adds up,
                which must be complete before spikes select from it.
            reads (dict[tuple, Reads], optional): Key of a neuron layer among
                the sources -> which of its elements the op reads, where that
                is not simply all of them.
        """
        known = self._sources.setdefault(key, {})
        for source in sources:
            if source != key:
                known.setdefault(source, False)
        for source in operands:
            if source != key:
                known[source] = True
        for source, found in (reads or {}).items():
            before = self._reads.setdefault(key, {}).get(source)
            self._reads[key][source] = before.including(
                found) if before else found

    def reads(self) -> list[dict[int, Reads]]:
        """Which part of a neuron layer each record has read.

        Returns:
            list[dict[int, Reads]]: For each record, in their order, the
            neuron layers of which it does not read all elements in their own
            order, or where some reach no output.

        Example:
            >>> OpTrace([OpRecord('n', 'neuron', 'neuron')]).reads()
            [{}]
        """
        numbers = {key: i for i, key in enumerate(self._records)}
        return [{
            numbers[source]: found
            for source, found in self._reads.get(key, {}).items()
            if source in numbers
        } for key in self._records]

    def sources(self) -> list[dict[Source, bool]]:
        """What each record has read: the network's graph.

        Returns:
            list[dict[Source, bool]]: For each record, in their order, its
            sources, and for each of them whether it is the operand that a
            product adds up. Views, concatenation and other ops that cost
            nothing are passed through.

        Example:
            >>> trace = OpTrace()
            >>> for module, kind in (('n', 'neuron'), ('fc', 'linear')):
            ...     _ = trace.get((module, ), module=module, kind=kind, op='')
            >>> trace.connect(('n', ), [INPUT])
            >>> trace.connect(('fc', ), [('n', )])
            >>> trace.sources()
            [{'input': False}, {0: False}]
        """
        numbers = {key: i for i, key in enumerate(self._records)}
        return [{
            numbers.get(source, source): operand
            for source, operand in self._sources.get(key, {}).items()
        } for key in self._records]

    def end_run(self, image_shape: tuple[int, ...] = ()) -> None:
        """Note statistics, in a trace of one run of the model.

        Args:
            image_shape (tuple[int]): Shape of an image as the model got it.
        """
        if self.images < 1:
            return
        self.image_shapes[tuple(image_shape)] += self.images
        self.statistics.add(total_amounts(self), self.images)
        for record in self:
            record.end_run(self.images)

    def total(self, name: str) -> int:
        """Sum of an amount over all records.

        Args:
            name (str): A numeric attribute of :class:`OpRecord`.
        """
        return sum(getattr(record, name) for record in self)

    def per_image(self, name: str) -> float:
        """Sum of an amount over all records, per image.

        Args:
            name (str): A numeric attribute of :class:`OpRecord`.

        Raises:
            ValueError: If no image was recorded.
        """
        self.require_images()
        return self.total(name) / self.images

    def require_images(self) -> None:
        """Raise if nothing was recorded.

        Raises:
            ValueError: If the trace is of no image.
        """
        if self.images < 1:
            raise ValueError('the op trace holds no image: run the converted '
                             'model on at least one image inside `with`')

    @property
    def neurons(self) -> int:
        """Number of neurons of the model, times images."""
        return sum(r.neurons // r.timesteps for r in self)

    def firing_rate(self) -> list[float]:
        """Network spike firing rate per sub-step (paper, section 5.3).

        Returns:
            list[float]: Spikes of all neurons in a sub-step over the number
            of neurons, 0..1: for sub-steps 1..D of the first time step, then
            of the second.

        Example:
            >>> neuron = OpRecord('n', 'neuron', 'neuron', neurons=4,
            ...                   max_spikes=2, spikes=[3, 1])
            >>> OpTrace([neuron], images=1).firing_rate()
            [0.75, 0.25]
        """
        neurons = self.neurons
        depth = max((len(r.spikes) for r in self), default=0)
        totals = [0] * depth
        for record in self:
            if record.kind == 'neuron':
                for d, count in enumerate(record.spikes):
                    totals[d] += count
        return [t / neurons if neurons else 0.0 for t in totals]

    def audit(self) -> list[OpRecord]:
        """Ops that cost something although no spikes drove them.

        Returns:
            list[OpRecord]: Their records.

        Example:
            >>> stem = OpRecord('stem', 'conv', 'convolution', macs=8)
            >>> fc = OpRecord('fc', 'linear', 'mm', spiking=True, sops=3)
            >>> [record.module for record in OpTrace([stem, fc], 1).audit()]
            ['stem']
        """
        return [
            r for r in self if not r.spiking and r.kind != 'neuron' and
            (r.macs or r.adds or r.comparisons or r.other)
        ]

    @classmethod
    def merged(cls, traces: list['OpTrace']) -> 'OpTrace':
        """Totals over traces of the same model, e.g. one per process.

        Args:
            traces (list[OpTrace]): Recorded here or read from files; they
                stay as they are.

        Returns:
            OpTrace: A new trace.

        Example:
            >>> one = OpTrace([OpRecord('fc', 'linear', 'mm', sops=3)], 1)
            >>> OpTrace.merged([one, one]).per_image('sops')
            3.0
        """
        whole = cls()
        for trace in traces:
            whole.include(trace._with_common_keys())
        return whole

    def include(self, other: 'OpTrace') -> None:
        """Add the totals of more images.

        Args:
            other (OpTrace): Of the same model, with the same keys.
        """
        self.images += other.images
        self.statistics.include(other.statistics)
        self.image_shapes += other.image_shapes
        for key, record in other._records.items():
            self.get(key, **{f: getattr(record, f)
                             for f in DESCRIPTION}).include(record)
        for key, sources in other._sources.items():
            self.connect(key, [s for s, operand in sources.items()
                               if not operand],
                         [s for s, operand in sources.items() if operand],
                         other._reads.get(key))

    def _with_common_keys(self) -> 'OpTrace':
        """The same trace, with the keys that it would have if it was read
        from a file."""
        same = OpTrace(list(self), self.images)
        keys = dict(zip(self._records, same._records))
        for key, sources in self._sources.items():
            same._sources[keys[key]] = {
                keys.get(s, s): operand for s, operand in sources.items()
            }
        for key, reads in self._reads.items():
            same._reads[keys[key]] = {keys[s]: r for s, r in reads.items()}
        same.statistics, same.image_shapes = self.statistics, self.image_shapes
        return same

    def save(self, path: str | Path) -> None:
        """Write the trace as JSON, whole or not at all.

        Args:
            path (str | Path): The file.
        """
        dump_json(
            path,
            dict(
                format=FORMAT,
                images=self.images,
                image_shapes=[[list(shape), number] for shape, number in
                              self.image_shapes.items()],
                statistics=dict(
                    asdict(self.statistics),
                    squares=[[float(x) for x in row]
                             for row in self.statistics.squares]),
                records=[
                    dict(asdict(record),
                         squares={k: float(v)
                                  for k, v in record.squares.items()},
                         sources=list(sources.items()),
                         reads=[[source, asdict(found)] for source, found in
                                reads.items()])
                    for record, sources, reads in zip(
                        self, self.sources(), self.reads())
                ]))

    @classmethod
    def load(cls, path: str | Path) -> 'OpTrace':
        """Read a trace that :meth:`save` wrote.

        Args:
            path (str | Path): The file.

        Returns:
            OpTrace: An equal trace.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not such a trace, or is cut off, or
                holds values that none has; the message names both.
        """
        try:
            raw = json.loads(Path(path).read_text())
            check_kind(raw, dict, 'the trace')
            if raw['format'] not in READABLE:
                raise ValueError(
                    f'format {shown(raw["format"])}, expected {FORMAT}: '
                    'record the trace again')
            check_kind(raw['records'], list, 'records')
            for i, item in enumerate(raw['records']):
                check_kind(item, dict, f'record {i}')
            check_kind(raw['image_shapes'], list, 'image_shapes')
            records, many = raw['records'], len(raw['records'])
            sources = [item.pop('sources') for item in records]
            reads = [item.pop('reads', []) for item in records]
            check_fields(RunStatistics, dict(images=raw['images']),
                         'the trace')
            check_fields(RunStatistics, raw['statistics'], 'statistics')
            trace = cls([_record(i, item) for i, item in enumerate(records)],
                        raw['images'])
            trace.statistics = RunStatistics(**raw['statistics'])
            for shape, number in raw['image_shapes']:
                check_fields(OpRecord, dict(input_shape=shape, calls=number),
                             'image_shapes')
                trace.image_shapes[tuple(shape)] += number
            keys = list(trace._records)
            for i, (key, pairs) in enumerate(zip(keys, sources)):
                check_sources(pairs, many, f'record {i}')
                trace._sources[key] = {
                    keys[s] if isinstance(s, int) else s: operand
                    for s, operand in pairs
                }
            for i, (key, pairs) in enumerate(zip(keys, reads)):
                check_sources([[s, True] for s, _ in pairs], many,
                              f'reads of record {i}')
                for source, found in pairs:
                    check_fields(Reads, found, f'reads of record {i}')
                    trace._reads.setdefault(
                        key, {})[keys[source]] = Reads(**found)
            return trace
        except (AttributeError, LookupError, RecursionError, TypeError,
                ValueError) as error:
            said = (f'the key {error} is missing'
                    if isinstance(error, KeyError) else error)
            raise ValueError(
                f'{path} is not an op trace written by mmsnn: {said}'
            ) from error


def _record(number: int, item: dict) -> OpRecord:
    check_fields(OpRecord, item,
                 f'record {number} ({shown(item.get("module"))})')
    for key in ('input_shape', 'output_shape'):
        item[key] = tuple(item[key])
    return OpRecord(**item)


def _identity(record: OpRecord) -> tuple:
    """What the records of equal ops of a model have in common."""
    return record.module, record.call, record.op, record.spiking
