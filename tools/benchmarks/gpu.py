"""What one GPU does, as ratios in one run: neurons, training, inference,
detectors, pre-training, spike-train form, hook, equality of both forms, and
several GPUs where there are some.

Each part runs in a process of its own, so that one that fails or hangs stops
no other. --dry-run runs all of it tiny on the CPU, without timing.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

# Finding out whether there is a GPU must not start CUDA in this process: its
# children could not use it.
os.environ.setdefault('PYTORCH_NVML_BASED_CUDA_CHECK', '1')

from gpu_parts import PARTS, load_part  # noqa: E402

from mmsnn.files import dump_json  # noqa: E402

#: Packages whose versions matter.
PACKAGES = ('mmsnn_suite', 'torch', 'triton', 'onedl-mmcv', 'onedl-mmengine',
            'onedl-mmpretrain', 'onedl-mmdetection', 'onedl-mmsegmentation',
            'spikingjelly')
#: Columns: heading, key of a row, format.
COLUMNS = (('ms', 'ms', '{:.2f}'), ('ratio', 'ratio', '{:.2f}'),
           ('images/s', 'images', '{:.0f}'), ('MB', 'mb', '{:.0f}'),
           ('ratio', 'mb_ratio', '{:.2f}'), ('target', 'target', '{}'))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=PARTS)
    parser.add_argument('--budget', type=float, default=450, help=(
        'seconds for all of it; parts share it, and what one leaves goes to '
        'those behind it (default: %(default)s)'))
    parser.add_argument('--json', type=Path, help=(
        'also write JSON here, anew after each part'))
    parser.add_argument('--logs', type=Path, help=(
        'folder that keeps what each part has printed, tracebacks included'))
    parser.add_argument('--dry-run', action='store_true', help=(
        'run all of it tiny on the CPU, without timing'))
    return parser.parse_args()


def look(path: Path) -> None:
    """Write what the GPU is; fails where there is none, or where CUDA was
    started before the fork. In a child."""
    import torch
    torch.zeros(1, device='cuda')
    path.write_text(json.dumps(dict(
        gpu=torch.cuda.get_device_name(), gpus=torch.cuda.device_count(),
        memory_gb=round(torch.cuda.mem_get_info()[1] / 1e9),
        capability='.'.join(map(str, torch.cuda.get_device_capability())),
        cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version())))


def run_part(name: str, dry_run: bool, seconds: float, path: Path,
             log: Path) -> None:
    """A part, in a child."""
    os.setsid()  # so that its own children can be ended with it
    with log.open('w') as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    import torch
    from gpu_parts.bench import Bench
    device = torch.device('cpu' if dry_run else 'cuda')
    bench = Bench(device, dry_run, seconds, path)
    torch.manual_seed(0)
    try:
        load_part(name)(bench)
    except Exception as error:
        bench.fault(name, error)


def in_child(method: str, function, *args, seconds: float) -> str:
    """Run a function in a child; returns why it has not ended well."""
    child = get_context(method).Process(target=function, args=args)
    child.start()
    try:
        child.join(seconds)
        if child.is_alive():
            return f'stopped after {seconds:.0f} s'
    finally:
        if child.is_alive():
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                child.kill()
            child.join()
    return f'ended with {child.exitcode}' if child.exitcode else ''


def can_look(method: str, path: Path) -> bool:
    """Whether children that are started in this way can use the GPU."""
    log = os.open(os.devnull, os.O_WRONLY)
    before = os.dup(2)
    os.dup2(log, 2)
    failed = in_child(method, look, path, seconds=120)
    os.dup2(before, 2)
    return not failed


def versions() -> dict[str, str]:
    """Of packages that are installed, Python and the driver."""
    from importlib.metadata import PackageNotFoundError, version
    found = dict(python=sys.version.split()[0])
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            pass
    try:
        found['driver'] = subprocess.run(
            ['nvidia-smi', '--query-gpu=driver_version',
             '--format=csv,noheader'], capture_output=True, text=True,
            timeout=20, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        pass
    return found


def machine(folder: Path, dry_run: bool) -> tuple[dict, str]:
    """What this machine is, and the way to start children; raises
    SystemExit(2) where there is no GPU."""
    if dry_run:
        # mmengine would take a GPU that it sees.
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
        return dict(gpu='none, dry run on the CPU', **versions()), 'fork'
    path = folder / 'gpu.json'
    for method in ('fork', 'spawn'):
        if can_look(method, path):
            return dict(json.loads(path.read_text()), **versions()), method
    import torch
    built = (f'it is built for CUDA {torch.version.cuda}'
             if torch.version.cuda else 'it is built without CUDA')
    print(f'gpu.py needs a GPU, and PyTorch {torch.__version__} ({built}) '
          'finds none that it can use; gpu.py --dry-run tries all parts on '
          'the CPU', file=sys.stderr)
    raise SystemExit(2)


def preload(parts: Iterable[str]) -> None:
    """Import and read what the parts need, once for all of them; what fails
    is said by the part that needs it."""
    for name in parts:
        try:
            load_part(name)
            if name in ('detector', 'equality'):
                from gpu_parts import dense
                dense.read(dense.DETECTOR)
        except Exception:
            pass


def run_parts(arguments, folder: Path,
              method: str) -> Iterator[tuple[str, dict]]:
    """What each part has found, as it ends."""
    end = time.monotonic() + arguments.budget
    names = [x for x in PARTS if x in arguments.parts]
    for number, name in enumerate(names):
        rest = sum(PARTS[x] for x in names[number:])
        seconds = max(5., (end - time.monotonic()) * PARTS[name] / rest)
        print(f'[{number + 1}/{len(names)}] {name}: up to {seconds:.0f} s',
              flush=True)
        start, path = time.monotonic(), folder / f'{name}.json'
        failed = in_child(
            method, run_part, name, arguments.dry_run, seconds, path,
            folder / f'{name}.log', seconds=1.2 * seconds + 5)
        part = json.loads(path.read_text()) if path.exists() else dict(
            rows=[], faults=[])
        if failed:
            part['faults'].append(f'{name}: {failed}')
        print(f'  {len(part["rows"])} rows in '
              f'{time.monotonic() - start:.0f} s')
        yield name, part


def print_part(part: dict) -> None:
    """A table for each heading, of the columns that it has; then faults."""
    from rich.console import Console
    from rich.table import Table
    console = Console(width=120, markup=False)
    for what, rows in groupby(part['rows'], lambda row: row['what']):
        rows = list(rows)
        table = Table(box=None, pad_edge=False)
        table.add_column(what, overflow='fold')
        columns = [x for x in COLUMNS
                   if any(row.get(x[1]) is not None for row in rows)]
        for heading, _, _ in columns:
            table.add_column(heading, justify='right', no_wrap=True)
        for row in rows:
            table.add_row(row.get('note') or row['candidate'], *(
                '' if row.get(key) is None else form.format(row[key])
                for _, key, form in columns))
        console.print()
        console.print(table)
    for fault in part['faults']:
        print(f'failed: {fault}')
    sys.stdout.flush()


def main() -> None:
    arguments = parse_arguments()
    # So that no child is left when this process is told to end.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.logs or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        where, method = machine(folder, arguments.dry_run)
        print(', '.join(f'{k} {v}' for k, v in where.items()), flush=True)
        if method == 'fork':
            preload(arguments.parts)
            # In case an import has started CUDA.
            if not arguments.dry_run and not can_look(
                    method, folder / 'gpu.json'):
                method = 'spawn'
        found = {}
        # What is found stays where this process is killed.
        for name, found[name] in run_parts(arguments, folder, method):
            print_part(found[name])
            if arguments.json:
                dump_json(arguments.json, dict(machine=where, parts=found))
    sys.exit(any(part['faults'] for part in found.values()))


if __name__ == '__main__':
    main()
