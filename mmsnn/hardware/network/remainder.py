"""What a trace has beside the projections of its network."""

from collections.abc import Sequence

from mmsnn.trace import OpRecord

from .populations import Remainder
from .projections import Projection
from .trace_graph import SAME, TraceGraph

#: Modules that a note names.
_NAMED = 3


def remainder_of(graph: TraceGraph, projections: Sequence[Projection],
                 made_by: Sequence[int], images: int) -> tuple[Remainder, ...]:
    """Operations of a trace that are in no projection.

    Args:
        graph (TraceGraph): The graph of the trace.
        projections (Sequence[Projection]): Those of its network.
        made_by (Sequence[int]): For each of them, the op that it comes from.
        images (int): Images of the trace, times runs.

    Returns:
        tuple[Remainder]: One for each module and reason.
    """
    charged = dict.fromkeys(graph.sources, (0.0, 0.0, 0.0))
    for i, p in zip(made_by, projections):
        charged[i] = tuple(
            a + b for a, b in zip(charged[i], (p.total_sops, p.macs, p.adds)))
    found: dict[tuple[str, str], Remainder] = {}
    for i, record in enumerate(graph.records):
        reason = graph.left_out.get(i)
        if reason is None and i not in charged:
            continue  # of another run, summed up in that of the first
        rest = [_rest(whole / images, part) for whole, part in zip(
            _amounts(record), charged.get(i, (0.0, 0.0, 0.0)))]
        if not any(rest):
            continue
        key = record.module, reason or SAME
        before = found.get(key, Remainder(*key, ops=0))
        found[key] = Remainder(*key, before.ops + 1, *(
            a + b for a, b in zip((before.sops, before.macs, before.adds),
                                  rest)))
    return tuple(found.values())


def _amounts(record: OpRecord) -> tuple[int, int, int]:
    return (record.sops, record.macs,
            record.adds + record.comparisons + record.other)


def _rest(whole: float, part: float) -> float:
    """What is left, without the rounding error of a sum."""
    rest = whole - part
    return rest if abs(rest) > 1e-9 * whole else 0.0


def remainder_notes(remainder: Sequence[Remainder],
                    runs: int) -> tuple[str, ...]:
    """A sentence for each reason why operations are not in a network.

    Args:
        remainder (Sequence[Remainder]): What is not in it.
        runs (int): Runs of the network for an image.

    Returns:
        tuple[str]: Empty if all operations are in it. Where additions that
        spikes cause are among them all modules are named.

    Example:
        >>> print(*remainder_notes([Remainder('head', 'gives one number',
        ...                                   adds=4.0)], 1))
        Not on the cores, 1 op of head that gives one number: 4 operations
        per image.
    """
    texts = []
    for reason in dict.fromkeys(r.reason for r in remainder):
        rows = [r for r in remainder if r.reason == reason]
        sops, macs, adds = (runs * sum(getattr(r, name) for r in rows)
                            for name in ('sops', 'macs', 'adds'))
        ops = sum(r.ops for r in rows)
        modules = [r.module for r in rows]
        shown = modules if sops else modules[:_NAMED]
        more = ', ...' if len(shown) < len(modules) else ''
        amounts = [f'{n:,.0f} {what}' for n, what in (
            (sops, 'additions by spikes'), (macs, 'multiply-accumulates'),
            (adds, 'operations')) if n]
        verb = reason if ops == 1 else _plural(reason)
        texts.append(
            f'Not on the cores, {ops} op{"s" * (ops > 1)} of '
            f'{", ".join(shown)}{more} that {verb}: {", ".join(amounts)} per '
            'image.')
    return tuple(texts)


def _plural(reason: str) -> str:
    """The verb of several ops."""
    verb, _, rest = reason.partition(' ')
    return f'{dict(**{"is": "are"}).get(verb, verb.removesuffix("s"))} {rest}'
