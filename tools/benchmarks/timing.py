"""What the benchmarks share: interleaved medians, table and JSON."""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmsnn.files import dump_json


def interleaved(candidates: dict[str, Callable], rounds: int,
                clock: Callable = time.perf_counter) -> dict[str, float]:
    """Median seconds of each candidate; every round runs all of them, so
    that a busy machine slows all alike. For what runs on one thread,
    ``time.thread_time`` does not count the time of others."""
    times = {name: [] for name in candidates}
    for run in candidates.values():
        run()
    for _ in track(range(rounds), description=', '.join(candidates)):
        for name, run in candidates.items():
            start = clock()
            result = run()
            times[name].append(clock() - start)
            del result
    return {name: statistics.median(found) for name, found in times.items()}


def ratio(what: str, target: float | None, candidates: dict[str, Callable],
          rounds: int) -> dict:
    """One row: the second candidate's time over the first's."""
    base, other = candidates
    seconds = interleaved(candidates, rounds)
    return dict(
        what=what,
        baseline=base,
        candidate=other,
        baseline_ms=seconds[base] * 1e3,
        candidate_ms=seconds[other] * 1e3,
        ratio=seconds[other] / seconds[base],
        target=target,
        rounds=rounds)


def parse_arguments(description: str, rounds: int,
                    **options: dict) -> argparse.Namespace:
    """Options of every benchmark; ``options`` are those of one: arguments of
    ``add_argument`` by name."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--rounds', type=int, default=rounds)
    parser.add_argument('--threads', type=int, default=0,
                        help='CPU threads (default: as PyTorch chooses)')
    parser.add_argument('--json', type=Path, help='also write JSON here')
    for name, option in options.items():
        parser.add_argument(f'--{name}', **option)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    return arguments


#: Columns of a table of times: heading, text of a row.
TIMES = (
    ('what', lambda row: row['what']),
    ('baseline', lambda row: row['baseline']),
    ('ms', lambda row: f'{row["baseline_ms"]:.1f}'),
    ('candidate', lambda row: row['candidate']),
    ('ms', lambda row: f'{row["candidate_ms"]:.1f}'),
    ('ratio', lambda row: f'{row["ratio"]:.2f}'),
    ('target', lambda row: at_most(row['target'])),
)


def at_most(target: float | None) -> str:
    """A target in a table; empty if there is none."""
    return '' if target is None else f'<= {target}'


def report(rows: list[dict], path: Path | None,
           columns: Sequence[tuple[str, Callable]] = TIMES) -> None:
    """Print a table, write JSON if asked for."""
    # Here, since it needs mmcv, which neurons do not.
    from mmsnn.engine.provenance import processor
    machine = dict(
        processor=processor('cpu'),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        python=platform.python_version())
    table = Table(title=', '.join(f'{k} {v}' for k, v in machine.items()))
    for name, _ in columns:
        table.add_column(
            name, justify='left' if name in ('what', 'baseline',
                                             'candidate') else 'right')
    for row in rows:
        table.add_row(*(text(row) for _, text in columns))
    Console(width=140).print(table)
    if path:
        dump_json(path, dict(machine=machine, rows=rows))
