"""Upstream's models made spiking: what trains, predicts, converts, costs.

Takes one config of each algorithm of mmdet and mmseg, puts a tiny
E-SpikeFormer with random weights under it and wraps its neck and heads with
mmsnn.SpikingModule. Each model, in a process of its own, does a training step,
a prediction, the float64 proof of its spike-train form and an energy estimate,
on small random pictures. Prints Markdown; progress goes to stderr.
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from upstream_catalogue import FRAMEWORKS, SKIPPED, Entry, catalogue

from mmsnn.files import dump_json, write_whole

HEAD = ('| model | training step | prediction | proof in float64 | mJ an '
        'image | real MACs | products that stay real | stops at |\n'
        '|---|---|---|---|---|---|---|---|')
STEPS = ('train', 'predict', 'proof', 'estimate')


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', nargs='+', default=[], metavar='NAME',
                        help='algorithms, or parts of FRAMEWORK/ALGORITHM/'
                        'CONFIG (default: all)')
    parser.add_argument('--jobs', type=int, default=1,
                        help='models at a time (default: %(default)s)')
    parser.add_argument('--out', type=Path, help='file for the table')
    parser.add_argument('--json', type=Path,
                        help='file for all that was found')
    parser.add_argument('--timeout', type=float, default=600,
                        help='seconds for a model (default: %(default)s)')
    parser.add_argument('--memory', type=float, default=10,
                        help='GB for a model (default: %(default)s)')
    parser.add_argument('--skipped', action='store_true',
                        help='only list what is not tried, and why')
    return parser.parse_args()


def in_processes(work: Callable[[Any], dict], tasks: list, jobs: int,
                 timeout: float,
                 memory: float) -> Iterator[tuple[Any, dict]]:
    """Do each task in a forked process of its own.

    Args:
        work (Callable): Takes a task, returns what it found.
        tasks (list): What to do.
        jobs (int): Processes at a time.
        timeout (float): Seconds for a task.
        memory (float): GB for a task.

    Yields:
        tuple[Any, dict]: Each task, when it is done, and what it found. One
        that ran out of time, or whose process ended, has found ``failed`` and
        ``reason``.
    """
    context = get_context('fork')
    left, running = list(tasks), {}
    while left or running:
        while left and len(running) < jobs:
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(
                target=_child, args=(work, left[0], writer, memory))
            process.start()
            writer.close()
            running[reader] = left.pop(0), process, time.time() + timeout
        soonest = min(deadline for *_, deadline in running.values())
        ready = wait(list(running), max(0, soonest - time.time()))
        late = [r for r, (*_, deadline) in running.items()
                if r not in ready and deadline <= time.time()]
        for reader in [*ready, *late]:
            task, process, _ = running.pop(reader)
            if reader in late:
                process.kill()
                found = _no_result(f'took longer than {timeout:g} s', timeout)
            else:
                try:
                    found = reader.recv()
                except EOFError:
                    process.join()
                    found = _no_result('its process ended with status '
                                       f'{process.exitcode}', 0)
            process.join()
            reader.close()
            yield task, found


def _no_result(reason: str, seconds: float) -> dict:
    return dict(done=[], failed='process', reason=reason, seconds=seconds)


def _child(work, task, writer, memory) -> None:
    most = int(memory * 1e9)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # what upstream prints and warns of
        os.dup2(nothing, stream)
    writer.send(work(task))


def row(name: str, found: dict) -> str:
    """A line of the table.

    Args:
        name (str): Of the model.
        found (dict): As :func:`upstream_trial.try_config` gives it.

    Returns:
        str: Cells between bars, as Markdown has them.
    """
    cells = ['yes' if step in found['done'] else '' for step in STEPS[:2]]
    proof = ''
    if 'proof' in found['done']:
        proof = 'equal' if found['equal'] else 'differs'
    cost = ['', '', '']
    if 'estimate' in found['done']:
        real = sorted(found['real'], key=found['real'].get, reverse=True)
        more = f' and {len(real) - 3} more' if len(real) > 3 else ''
        cost = [f'{found["energy_mj"]:.3g}', f'{found["real_share"]:.1%}',
                ', '.join(f'`{path}`' for path in real[:3]) + more or 'none']
    reason = ''
    if 'failed' in found:
        text = ' '.join(found['reason'].split()).replace('|', r'\|')
        reason = f'{found["failed"]}: {text[:300]}'
    return '| ' + ' | '.join(
        [name, *cells, proof, *cost, reason]) + ' |'


def skipped_rows() -> list[str]:
    """Lines of a table of what is not tried.

    Returns:
        list[str]: Algorithms that share a reason are in one line.
    """
    reasons: dict[str, list[str]] = {}
    for framework in FRAMEWORKS:
        for folder, reason in sorted(SKIPPED[framework].items()):
            reasons.setdefault(reason, []).append(f'{framework}/{folder}')
    return ['| not tried | because |', '|---|---|'] + [
        f'| {", ".join(folders)} | {reason} |'
        for reason, folders in reasons.items()
    ]


def select(entries: list[Entry], only: list[str]) -> list[Entry]:
    """Entries that ``--only`` names.

    Args:
        entries (list[Entry]): All of them.
        only (list[str]): Algorithms or parts of names; none takes all.

    Returns:
        list[Entry]: In their order.

    Raises:
        SystemExit: If a word names none of them.
    """
    for word in only:
        if not any(_named(entry, word) for entry in entries):
            raise SystemExit(f'--only {word}: no such algorithm; choose from '
                             + ', '.join(sorted({e.folder for e in entries})))
    return [e for e in entries
            if not only or any(_named(e, word) for word in only)]


def _named(entry: Entry, word: str) -> bool:
    return word == entry.folder or ('/' in word or '_r' in word
                                    ) and word in entry.name


def main():
    args = parse_args()
    if args.skipped:
        print('\n'.join(skipped_rows()))
        return
    entries = select(catalogue(), args.only)
    os.environ['OMP_NUM_THREADS'] = '1'
    import torch
    from upstream_trial import try_config
    torch.set_num_threads(1)
    results = {}
    for entry, found in in_processes(
            lambda entry: try_config(entry.framework, str(entry.config)),
            entries, args.jobs, args.timeout, args.memory):
        results[entry.name] = found
        print(f'[{len(results)}/{len(entries)}] {row(entry.name, found)} '
              f'{found["seconds"]:.0f} s {found.get("where", "")}',
              file=sys.stderr, flush=True)
    table = '\n'.join([HEAD, *(row(e.name, results[e.name])
                               for e in entries)])
    if args.json:
        dump_json(args.json, results)
    if args.out:
        write_whole(args.out, f'{table}\n')
    print(table)


if __name__ == '__main__':
    main()
