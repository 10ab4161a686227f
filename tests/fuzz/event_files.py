"""Mutates small recordings of every format, and judges what reading gives.

Right is: EventFileError, in one line of at most 300 characters that can be
printed and names the file; or events in order, not below 0 us and inside of
the sensor, that begin with those before the first damaged byte, where these
can be told. For files with checksums (AEDAT 4 by LZ4, NPZ) all must be the
original ones. Within 5 s and 500 MB.

Usage, a process with limits for each format, one line each:

    PYTHONPATH=tests python tests/fuzz/event_files.py --mutations 2000
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
from fuzz.event_writers import WRITERS, some_events

from mmsnn.datasets.events import EventFileError, read_events

# With a checksum over all data: events are those written, or an error.
SUMMED = ('npz', 'npz_deflated', 'npz_structured', 'aedat4_lz4')
SECONDS, MEGABYTES = 5, 500
# What a program writes where a number is damaged.
NUMBERS = (0, 1, 2**15, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40,
           2**62, 2**63 - 1, 2**63, 2**64 - 1)


def mutate(content: bytes, rng: random.Random) -> bytes:
    """A broken file: one to eight changes, of bytes near each other or not.

    Args:
        content (bytes): The whole file.
        rng (random.Random): What draws.
    """
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        if not data:
            break
        near = rng.choice((64, 512, len(data), len(data)))
        at = rng.randrange(min(near, len(data)))
        if rng.random() < .2:  # directories lie at ends
            at = len(data) - 1 - at
        n = rng.choice((1, 2, 4, 8, 64))
        kind = rng.randrange(9)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at] = rng.randrange(256)
        elif kind == 3:
            size = rng.choice((2, 4, 8))
            number = rng.choice(NUMBERS) % (1 << 8 * size)
            data[at:at + size] = number.to_bytes(
                size, rng.choice(('little', 'big')))
        elif kind == 4:
            data[at:at] = rng.randbytes(n)
        elif kind == 5:
            del data[at:at + n]
        elif kind == 6:
            other = rng.randrange(len(data))
            data[at:at + n] = data[other:other + n]
        elif kind == 7:
            data[at:at + n] = rng.choice((b'\0', b'\xff', b'\n', b'9')) * n
        else:
            data += rng.randbytes(n)
    return bytes(data)


def judge(path: Path, events: np.ndarray, known: int, summed: bool,
          on_error: str, behind: bool = False) -> str:
    """'right', 'refused', or what is wrong.

    Args:
        path (Path): The broken file.
        events (np.ndarray): Those of the whole one.
        known (int): So many of them lie before the damage.
        summed (bool): Whether all must be those.
        on_error (str): How to read.
        behind (bool): Whether only the header or the first event is damaged,
            so that without an error all others must be read as they are.
    """
    start = time.perf_counter()
    try:
        found = read_events(path, on_error=on_error)
        verdict = 'right'
        if len(found):
            outside = (found['x'] > 65534) | (found['y'] > 65534)
            if (np.diff(found['t']) < 0).any() or found['t'][0] < 0:
                verdict = 'wrong: times'
            elif outside.any() or (found['p'] > 1).any():
                verdict = 'wrong: places'
        if found[:known].tolist() != events[:known].tolist():
            verdict = 'wrong: events before the damage'
        elif summed and found.tolist() != events[:len(found)].tolist():
            verdict = 'wrong: events in spite of a checksum'
        elif behind and on_error == 'raise' and (
                found[1 - len(events):].tolist() != events[1:].tolist()):
            verdict = 'wrong: events behind a damaged header'
    except EventFileError as error:
        text = str(error)
        verdict = 'refused'
        if len(text) > 300 or not text.isprintable() or (
                path.name not in text):
            verdict = f'wrong: message {text!r}'
    except Exception as error:  # noqa: BLE001
        verdict = f'wrong: {type(error).__name__}: {error}'
    seconds = time.perf_counter() - start
    if seconds > SECONDS:
        return f'wrong: {seconds:.0f} s'
    return verdict


def broken_files(name: str, first: int, count: int):
    """Yield number, content, how many events lie before the damage, and
    whether all but the first lie behind it.

    Args:
        name (str): The format.
        first (int): Number of the first mutation, which is its seed, too.
        count (int): How many.
    """
    content, ends = WRITERS[name][1](some_events())
    for number in range(first, first + count):
        rng = random.Random(number << 8 ^ zlib.crc32(name.encode()))
        broken = mutate(content, rng)
        same = next((i for i, (a, b) in enumerate(zip(content, broken))
                     if a != b), min(len(content), len(broken)))
        known = 0 if ends is None else int(
            np.searchsorted(ends, same, 'right'))
        # In AEDAT 4 an event ends where its packet does.
        yield number, broken, known, (
            ends is not None and not known and not name.startswith('aedat4')
            and broken.endswith(content[ends[0]:]))


def run(name: str, first: int, count: int, folder: Path) -> dict:
    """Judge mutations of one format; count verdicts, list what is wrong."""
    events = some_events()
    result = dict(right=0, refused=0, wrong=[])
    path = folder / f'{name}{WRITERS[name][0]}'
    for number, content, known, behind in broken_files(name, first, count):
        path.write_bytes(content)
        mode = ('raise', 'skip')[number % 2]
        verdict = judge(path, events, known, name in SUMMED, mode, behind)
        if verdict in result:
            result[verdict] += 1
        else:
            result['wrong'].append((number, verdict))
    return result


def _peaks() -> list[int]:
    """Most memory of this process, and of one that it started, MB."""
    return [resource.getrusage(who).ru_maxrss // 1024
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]


def _child(name: str, count: int) -> None:
    """All mutations of a format, in this process; prints a line."""
    import logging
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        # With what is loaded on first use.
        suffix, write = WRITERS[name]
        whole = Path(folder) / f'whole{suffix}'
        whole.write_bytes(write(some_events())[0])
        assert read_events(whole).tolist() == some_events().tolist()
        base = _peaks()
        result = run(name, 0, count, Path(folder))
    grown = sum(_peaks()) - sum(base)
    if grown > MEGABYTES:
        result['wrong'].append(('all', f'wrong: {grown} MB'))
    print(f'| {name} | {count:,} | {result["right"]:,} | '
          f'{result["refused"]:,} | {len(result["wrong"])} |', flush=True)
    for number, verdict in result['wrong'][:20]:
        print(f'  {number}: {verdict}', file=sys.stderr)
    sys.exit(bool(result['wrong']))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--mutations', type=int, default=2000)
    parser.add_argument('--format', choices=WRITERS, help='only this one, in '
                        'this process')
    arguments = parser.parse_args()
    if arguments.format:
        _child(arguments.format, arguments.mutations)
    print('| format | mutations | right | refused | wrong |\n'
          '|---|---|---|---|---|', flush=True)
    ended = [
        subprocess.run([sys.executable, __file__, '--format', name,
                        '--mutations', str(arguments.mutations)]).returncode
        for name in WRITERS]
    sys.exit(any(ended))


if __name__ == '__main__':
    main()
