"""Find out whether the op trace of an image is of several runs of a network.

A model that cuts an image into crops (sliding windows) calls its network once
for each. On a chip that is one network, mapped once and run several times.
"""

from dataclasses import dataclass, field

from mmsnn.trace import SYNAPSES, OpRecord, Source

Edges = dict[int, dict[Source, bool]]

#: Fields that are equal in the records of one op in two runs.
_SAME = ('module', 'kind', 'op', 'spiking', 'static', 'geometry',
         'input_shape', 'output_shape', 'max_spikes', 'timesteps', 'repeats',
         'calls', 'neurons', 'synapses', 'weights', 'weight_bytes',
         'state_bytes')


@dataclass(frozen=True)
class Runs:
    """How the ops of a trace repeat.

    Attributes:
        number (int): Runs of the network for an image; 1 if it does not
            repeat.
        records (dict[int, list[int]]): For each op of the first run its
            number in all runs. Empty if it does not repeat.
        outside (list[int]): Ops that join the results of runs.
    """

    number: int = 1
    records: dict[int, list[int]] = field(default_factory=dict)
    outside: list[int] = field(default_factory=list)


def find_runs(records: list[OpRecord], sources: Edges) -> Runs:
    """Find the runs of a network for an image.

    Neurons, synapses and all that they depend on are looked at in the order
    in which they ran. They are several runs if this list can be cut into
    parts of equal length such that the n-th ops of all parts are the same op
    of the same module on the same shapes, and read from the same places of
    their own part, or the model's input. So no run depends on another.

    Ops behind the last synapse belong to a run as long as they repeat in the
    same way. From where ops join runs (the mean of overlapping crops) they
    are ``outside``.

    Args:
        records (list[OpRecord]): All records of a trace.
        sources (dict[int, dict[Source, bool]]): What each op on the chip has
            read, as in :attr:`TraceGraph.sources`.

    Returns:
        Runs: The largest number of runs that is possible.

    Example:
        >>> from mmsnn.trace import OpRecord
        >>> def crop(call):
        ...     return [OpRecord('a', 'neuron', 'neuron', call=call),
        ...             OpRecord('fc', 'linear', 'mm', call=call)]
        >>> add = OpRecord('(model)', 'add', 'add')
        >>> edges = {0: {'input': False}, 1: {0: False},
        ...          2: {'input': False}, 3: {2: False},
        ...          4: {1: False, 3: False}}
        >>> find_runs([*crop(1), *crop(2), add], edges)
        Runs(number=2, records={0: [0, 2], 1: [1, 3]}, outside=[4])
    """
    body = _body(records, sources)
    for number in range(len(body), 1, -1):
        if len(body) % number == 0 and _repeats(body, number, records,
                                                sources):
            break
    else:
        return Runs()
    length = len(body) // number
    parts = [body[k * length:(k + 1) * length] for k in range(number)]
    outside = _continue(parts, records, sources)
    return Runs(number, {same[0]: list(same) for same in zip(*parts)}, outside)


def _body(records, sources: Edges) -> list[int]:
    """Neurons and synapses, and all that they depend on."""
    needed: set = set()
    for i in reversed(sources):
        if records[i].kind == 'neuron' or records[i].kind in SYNAPSES:
            needed.add(i)
        if i in needed:
            needed.update(sources[i])
    return [i for i in sources if i in needed]


def _repeats(body: list[int], number: int, records,
             sources: Edges) -> bool:
    """Whether ops are so many runs of one network."""
    length = len(body) // number
    place = {i: divmod(k, length) for k, i in enumerate(body)}
    return all(
        _alike(body[k], i, place, records, sources)
        for k in range(length) for i in body[k::length])


def _alike(first: int, other: int, place: dict, records,
           sources: Edges) -> bool:
    """Whether two ops are the same op in two runs."""
    a, b = records[first], records[other]
    if any(getattr(a, name) != getattr(b, name) for name in _SAME):
        return False
    read = [_read(i, place, sources) for i in (first, other)]
    return read[0] is not None and read[0] == read[1]


def _read(i: int, place: dict, sources: Edges) -> dict | None:
    """What an op reads, as places in its run. None if it reads another run,
    or a tensor that no op has made."""
    found: dict = {}
    for source, operand in sources[i].items():
        if isinstance(source, int):
            if source not in place or place[source][0] != place[i][0]:
                return None
            source = place[source][1]
        elif source != 'input':
            return None
        found[source] = operand
    return found


def _continue(parts: list[list[int]], records,
              sources: Edges) -> list[int]:
    """Add ops behind the last synapse to the runs while they repeat; return
    the others."""
    run_of = {i: k for k, part in enumerate(parts) for i in part}
    own: list[list[int]] = [[] for _ in parts]
    rest = [i for i in sources if i not in run_of]
    for i in rest:
        runs = {run_of.get(s) for s in sources[i] if s != 'input'}
        if len(runs) == 1 and None not in runs:
            run_of[i] = runs.pop()
            own[run_of[i]].append(i)
    place = {i: (k, n) for k, part in enumerate(parts)
             for n, i in enumerate(part)}
    for same in zip(*own):
        place.update({i: (k, len(parts[0])) for k, i in enumerate(same)})
        if not all(_alike(same[0], i, place, records, sources)
                   for i in same):
            break
        for part, i in zip(parts, same):
            part.append(i)
    inside = {i for part in parts for i in part}
    return [i for i in rest if i not in inside]
