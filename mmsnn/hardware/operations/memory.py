"""Which memory is taken to hold a network, and what its accesses cost."""

from collections.abc import Iterable
from dataclasses import dataclass

from mmsnn.hardware.chips.spec import Chip
from mmsnn.trace import OpRecord

from .counts import (
    ACTIVATION_READS,
    ACTIVATION_WRITES,
    STATE_READS,
    STATE_WRITES,
    WEIGHT_READS,
)

#: Figure of the chip spec -> bytes of one bank; None if it has no size.
BANKS = {
    'memory.sram_8kb': 8 * 2**10,
    'memory.sram_32kb': 32 * 2**10,
    'memory.sram_1mb': 2**20,
    'memory.flat': None,
}

#: Precision of the weights -> cause -> bytes of one access. Membranes are
#: FP32 or INT32; with INT8 weights an activation takes a byte, however few
#: its bits.
ACCESS_BYTES = {
    'fp32': {
        WEIGHT_READS: 4,
        STATE_READS: 4,
        STATE_WRITES: 4,
        ACTIVATION_READS: 4,
        ACTIVATION_WRITES: 4,
    },
    'int8': {
        WEIGHT_READS: 1,
        STATE_READS: 4,
        STATE_WRITES: 4,
        ACTIVATION_READS: 1,
        ACTIVATION_WRITES: 1,
    },
}


@dataclass(frozen=True)
class Memory:
    """Where weights, membranes and activations are held.

    Attributes:
        figure (str): Name of the figure for its energy per byte, one of
            :data:`BANKS`.
        held (int): Bytes of the weights and of all membranes.
        chosen (bool): Whether the caller has named the memory.
    """

    figure: str
    held: int
    chosen: bool

    def __str__(self) -> str:
        size = BANKS[self.figure]
        takes = f'weights and membranes take {self.held:,} bytes'
        if self.chosen or size is None:
            return f'{takes}; all accesses are charged {self.figure}'
        if self.held > size:
            return (f'{takes}, more than one bank of {self.figure} holds: '
                    'all accesses are charged as to such banks, the way to a '
                    'bank is free')
        return f'{takes}, which {self.figure} holds'


def charged_memory(chip: Chip, records: Iterable[OpRecord], precision: str,
                   name: str | None = None) -> Memory | None:
    """The memory whose price accesses of a network are charged.

    Args:
        chip (Chip): States the energies per byte, in pJ.
        records (Iterable[OpRecord]): All ops.
        precision (str): Precision of the weights, ``fp32`` or ``int8``.
        name (str, optional): A memory of the spec, such as ``'sram_32kb'``.
            Defaults to None: the smallest SRAM with a known energy that holds
            all weights and membranes, or the largest if none does. ``flat``
            is only taken if it is named.

    Returns:
        Memory | None: None if the spec knows the energy of no SRAM, so that
        accesses are not charged.

    Raises:
        ValueError: If ``name`` is not a memory of :data:`BANKS`.
        MissingFigureError: If the spec does not know the energy of ``name``.

    Example:
        >>> from mmsnn.trace import OpRecord
        >>> from mmsnn.hardware import load_chip
        >>> chip = load_chip('cmos45_memory')
        >>> fc = OpRecord('fc', 'linear', 'mm', weights=5000)
        >>> print(charged_memory(chip, [fc], 'fp32'))
        weights and membranes take 20,000 bytes, which memory.sram_32kb holds
        >>> print(charged_memory(load_chip('cmos45'), [fc], 'fp32'))
        None
    """
    records = list(records)
    held = held_bytes(records, precision)
    check_memory(name)
    if name is not None:
        figure = f'memory.{name}'
        chip.figure(figure, 'the energy of memory accesses')
        return Memory(figure, held, True)
    known = [b for b, size in BANKS.items() if size is not None
             and b in chip.figures and chip.figures[b].value is not None]
    if not known:
        return None
    fits = [b for b in known if held <= BANKS[b]]
    return Memory((fits[:1] or known[-1:])[0], held, False)


def check_memory(name: str | None) -> None:
    """Check the name of a memory.

    Args:
        name (str | None): Part of a name in :data:`BANKS`, or None.

    Raises:
        ValueError: If there is no such memory; the message lists them.
    """
    valid = [figure.partition('.')[2] for figure in BANKS]
    if name is not None and name not in valid:
        raise ValueError(f'memory must be one of {", ".join(valid)}, or None, '
                         f'got {name!r}')


def held_bytes(records: Iterable[OpRecord], precision: str) -> int:
    """Bytes of all weights, each once, and of all membranes.

    Weights are told apart by the memory in which they lie: a layer that is
    called several times, or a parameter that several layers share, counts
    once, and several weights of one module count each. Where a record does
    not say where its weights lie, those of its module count once.

    Args:
        records (Iterable[OpRecord]): All ops.
        precision (str): Precision of the weights, ``fp32`` or ``int8``.

    Returns:
        int: Bytes that a memory must have to hold the network.

    Example:
        >>> from mmsnn.trace import OpRecord
        >>> records = [OpRecord('n', 'neuron', 'neuron', state_bytes=32),
        ...            OpRecord('fc', 'linear', 'mm', weights=10)]
        >>> held_bytes(records, 'fp32'), held_bytes(records, 'int8')
        (72, 42)
    """
    records = list(records)
    pieces: dict[str, set[tuple[int, int, int]]] = {}
    others: dict[str, int] = {}
    for r in records:
        for name, *piece in r.weight_pieces:
            pieces.setdefault(name, set()).add(tuple(piece))
        if not r.weight_pieces:
            others[r.module] = max(r.weights, others.get(r.module, 0))
    number = sum(map(_distinct, pieces.values())) + sum(others.values())
    size = ACCESS_BYTES[precision][WEIGHT_READS]
    return size * number + sum(r.state_bytes for r in records)


def _distinct(pieces: set[tuple[int, int, int]]) -> int:
    """Elements of pieces of one memory, those that lie in several once. Of
    pieces that are interleaved (columns of a matrix) none is in two."""
    union, last = 0, 0
    for first, end, _ in sorted(pieces):
        union += max(0, end - max(first, last))
        last = max(last, end)
    return min(union, sum(number for *_, number in pieces))


def memory_assumptions(memories: dict[str, Memory]) -> list[str]:
    """What is assumed about accesses to memory, in words.

    Args:
        memories (dict[str, Memory]): Precision of the weights -> memory.

    Returns:
        list[str]: Sentences for an estimate; none if no access is charged.
    """
    if not memories:
        return []
    texts = [
        ('Memory, spiking form: every addition that a spike causes fetches a '
         'weight, and reads and writes a membrane; every neuron reads and '
         'writes its membrane in every sub-step. In a product of activations '
         'the other operand takes the place of weights.'),
        ('Memory, twins, and synapses on real input in every form: every '
         'multiply-accumulate fetches a weight and reads an activation, and '
         'keeps its sum in a register; a twin writes one activation where the '
         'spiking form has a neuron.'),
        ('Memory: nothing is reused or cached, in no form. Data flows of '
         'accelerators fetch a weight or an activation of a dense network '
         'once for many operations, which spikes that come one by one can '
         'not: the ratio flatters the spiking form.')
    ]
    sizes = {
        p: ', '.join(f'{cause.split()[0]} {size}' for cause, size in
                     ((c, ACCESS_BYTES[p][c]) for c in
                      (WEIGHT_READS, STATE_READS, ACTIVATION_READS)))
        for p in memories
    }
    for precision, memory in memories.items():
        texts.append(f'Memory with {precision.upper()} weights: {memory}. '
                     f'Bytes of an access: {sizes[precision]}.')
    return texts
