"""Events a second of one core's time: histograms against SpikingJelly's (where
it is installed), np.bincount and np.add.at; reading against faery's."""

import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from timing import interleaved, parse_arguments, report

from mmsnn.datasets.events import make_events, native, read_events, split
from mmsnn.datasets.events.frames import histogram, histogram_numpy

BINS = 8
SIZE = 640, 480


def made_up(n: int = 500_000) -> np.ndarray:
    """Events of moving blobs, of which many share pixels."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 100_000, n))
    centre = rng.uniform(100, 380, (8, 2))[rng.integers(0, 8, n)]
    x, y = (centre + rng.normal(0, 30, (n, 2))).T
    return make_events(t, (x + t / 1000).clip(0, SIZE[0] - 1),
                       y.clip(0, SIZE[1] - 1), rng.integers(0, 2, n))


def add_at(events: np.ndarray) -> np.ndarray:
    bins = split(events, BINS)
    index = np.repeat(np.arange(BINS), np.diff(bins.bounds))
    frames = np.zeros((BINS, 2, SIZE[1], SIZE[0]), np.float32)
    np.add.at(frames, (index, events['p'], events['y'], events['x']), 1)
    return frames


def others(events: np.ndarray) -> dict:
    """What makes the same frames."""
    columns = {key: events[key].copy() for key in 'txyp'}
    found = {}
    try:
        name = f'SpikingJelly {version("spikingjelly")}'
        from spikingjelly.datasets.utils import (
            integrate_events_by_fixed_frames_number,
        )
        for by, theirs in (('count', 'number'), ('time', 'time')):
            found[f'{name}, {theirs}'] = by, 3., (
                lambda theirs=theirs: integrate_events_by_fixed_frames_number(
                    columns, theirs, BINS, SIZE[1], SIZE[0]))
    except PackageNotFoundError:
        print('SpikingJelly is left out, as it is not installed')
    found['np.bincount (without a compiler)'] = 'count', None, (
        lambda: histogram_numpy(events, split(events, BINS), SIZE))
    found['np.add.at'] = 'count', None, lambda: add_at(events)
    return found


#: Columns: heading, text of a row.
COLUMNS = (
    ('what', lambda row: row['what']),
    ('baseline', lambda row: row['baseline']),
    ('M events/s', lambda row: f'{row["baseline_rate"]:.1f}'),
    ('mmsnn, M events/s', lambda row: f'{row["rate"]:.1f}'),
    ('target', lambda row: '' if row['least_rate'] is None else
     f'>= {row["least_rate"]:.0f}'),
    ('times', lambda row: f'{row["times"]:.1f}'),
    ('target', lambda row: '' if row['least_times'] is None else
     f'>= {row["least_times"]:.0f}'),
)


def compare(what: str, n: int, baseline: str, theirs, ours, rounds: int,
            least_rate=None, least_times=None) -> dict:
    """One row: median rates of two candidates in the same rounds."""
    seconds = interleaved({baseline: theirs, 'mmsnn': ours}, rounds,
                          time.thread_time)
    return dict(
        what=what,
        events=n,
        baseline=baseline,
        baseline_rate=n / seconds[baseline] / 1e6,
        rate=n / seconds['mmsnn'] / 1e6,
        times=seconds[baseline] / seconds['mmsnn'],
        least_rate=least_rate,
        least_times=least_times,
        rounds=rounds)


def main() -> None:
    arguments = parse_arguments(
        __doc__, rounds=21, recording=dict(
            type=Path, help='of 640x480, e.g. an EVT 2.0 file; made-up events '
            'otherwise'))
    path = arguments.recording
    events = read_events(path, size=SIZE) if path else made_up()
    n = len(events)
    what = f'{n:,} events{"" if path else ", made up"}, {BINS} bins'
    print('Kernels are in use' if native.load() else 'Kernels are not in use')
    rows = []
    for name, (by, times, run) in others(events).items():

        def ours(by=by):
            return histogram(events, split(events, BINS, by), SIZE)

        assert (run() == ours()).all(), f'{name} makes other frames'
        rows.append(compare(f'histogram, {what}', n, name, run, ours,
                            arguments.rounds, 60., times))
    if path:
        try:
            import faery
        except ModuleNotFoundError:
            print('Reading is left out, as faery is not installed')
        else:
            rows.append(compare(
                f'reading {path.suffix}', n, f'faery {version("faery")}',
                lambda: list(faery.events_stream_from_file(path)),
                lambda: read_events(path), arguments.rounds))
    report(rows, arguments.json, COLUMNS)


if __name__ == '__main__':
    main()
