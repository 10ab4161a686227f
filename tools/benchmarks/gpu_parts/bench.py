"""What the parts share: a device, a clock, medians, memory, and rows."""

import json
import signal
import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch

#: Calls of each candidate before it is timed, and how often at least and at
#: most it is timed.
WARM_UP, LEAST, MOST = 3, 5, 50

#: The machine of the figures that others have reported (GPU.md).
REPORTED_GPU = 'H200'


class TimeIsUp(Exception):
    """The part's time is over."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """What takes longer, such as to compile, is ended by :class:`TimeIsUp`,
    whatever is made of that on the way here."""
    rung = []

    def ring(number, frame):
        rung.append(number)
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    except Exception:
        if rung:
            raise TimeIsUp from None
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass
class Bench:
    """A part's device and time, and what it has found so far.

    Args:
        device: Where to run.
        dry_run: Run all tiny, without timing.
        seconds: How long the part may take.
        path: File for what is found, rewritten with each row.
    """

    device: torch.device
    dry_run: bool
    seconds: float
    path: Path
    rows: list[dict] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.seconds
        self.cuda = self.device.type == 'cuda'

    def size(self, full, tiny):
        """One of both: ``tiny`` in a dry run."""
        return tiny if self.dry_run else full

    def left(self) -> float:
        """Seconds that the part has left."""
        return self._end - time.monotonic()

    def is_reported_gpu(self) -> bool:
        """Whether figures of others are of this kind of GPU."""
        return self.cuda and REPORTED_GPU in torch.cuda.get_device_name()

    def add(self, what: str, candidate: str, **values) -> None:
        """Add a row: ``ms``, ``ratio``, ``images`` (per second), ``mb``,
        ``mb_ratio``, ``target``, ``note``."""
        self.rows.append(dict(what=what, candidate=candidate, **values))
        self._write()

    def fault(self, what: str, error: BaseException | str) -> None:
        """Note in one line what did not run."""
        if isinstance(error, BaseException):
            traceback.print_exception(error)
            lines = str(error).strip().splitlines() or ['']
            error = f'{type(error).__name__}: {lines[0][:200]}'
        self.faults.append(f'{what}: {error}')
        self._write()

    def _write(self) -> None:
        self.path.write_text(
            json.dumps(dict(rows=self.rows, faults=self.faults)))

    def compile(self, function: Callable, **options) -> Callable:
        """``torch.compile``; a dry run leaves out the code generator."""
        backend = 'aot_eager' if self.dry_run else 'inductor'
        return torch.compile(function, backend=backend, **options)

    def free_bytes(self) -> int:
        """Memory of the device that nobody uses."""
        return torch.cuda.mem_get_info()[0] if self.cuda else 2**30

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.cuda:
            torch.cuda.synchronize()

    def compare(self,
                what: str,
                builders: dict[str, Callable[[], Callable]],
                images: int = 0,
                share: float = 1.,
                targets: dict[str, str] = {}) -> dict[str, dict]:
        """A row for each candidate; ratios are to the first that runs.

        Args:
            what: Heading of the rows.
            builders: By name, functions that return what is timed.
            images: Number of images of a call, for images per second.
            share: Part of the time left that this may take.
            targets: What a candidate's figures should be, by name.

        Returns:
            The rows, by name.
        """
        end = time.monotonic() + share * self.left()
        runs, memory = {}, {}
        for name, build in builders.items():
            try:
                if runs and not self.dry_run and time.monotonic() > end:
                    raise TimeIsUp
                # A dry run is slow where others use the machine.
                with nullcontext() if self.dry_run else at_most(self.left()):
                    runs[name], memory[name] = self._warmed(build)
            except TimeIsUp:
                self.fault(f'{what}, {name}', 'left out, no time was left')
            except Exception as error:
                self.fault(f'{what}, {name}', error)
        seconds = self._medians(runs, end)
        rows, first = {}, next(iter(runs), None)
        for name in runs:
            row = dict(mb=memory[name])
            if not self.dry_run:
                row.update(
                    ms=seconds[name] * 1e3,
                    ratio=seconds[name] / seconds[first],
                    images=images / seconds[name] if images else None)
                if memory[name] and memory[first]:
                    row.update(mb_ratio=memory[name] / memory[first])
            rows[name] = row
            self.add(what, name, target=targets.get(name), **row)
        return rows

    def _warmed(self, build: Callable) -> tuple[Callable, float | None]:
        """What ``build`` returns, after some calls, and the most MB that it
        needed above what was there before it was built."""
        if self.cuda:
            torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated() if self.cuda else 0
        run = build()
        for _ in range(1 if self.dry_run else WARM_UP):
            run()
        self.synchronize()
        if not self.cuda:
            return run, None
        torch.cuda.reset_peak_memory_stats()
        run()
        self.synchronize()
        return run, (torch.cuda.max_memory_allocated() - before) / 1e6

    def _medians(self, runs: dict[str, Callable],
                 end: float) -> dict[str, float]:
        """Median seconds of each; every round runs all of them."""
        times = {name: [] for name in runs}
        if self.dry_run or not runs:
            return times
        for number in range(MOST):
            if number >= LEAST and time.monotonic() > end:
                break
            for name, run in runs.items():
                times[name].append(self._seconds(run))
        return {name: statistics.median(x) for name, x in times.items()}

    def _seconds(self, run: Callable) -> float:
        """Of one call; on a GPU between two events."""
        if not self.cuda:
            start = time.perf_counter()
            run()
            return time.perf_counter() - start
        start, stop = (
            torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop) / 1e3

    def reported(self, what: str, candidate: str, **values) -> None:
        """A row of figures of others, where the GPU is of their kind."""
        if self.is_reported_gpu():
            self.add(what, f'{candidate} (reported, {REPORTED_GPU})',
                     **values)

    def normal(self, shape: Sequence[int], dtype=torch.float32,
               scale: float = 1.) -> torch.Tensor:
        """Normal numbers on the device."""
        return torch.randn(
            *shape, device=self.device, dtype=dtype).mul_(scale)
