"""tools/benchmarks/gpu.py"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).parents[2] / 'tools' / 'benchmarks'


def call(*options, **environ):
    return subprocess.run(
        [sys.executable, str(TOOLS / 'gpu.py'), *options], text=True,
        capture_output=True, timeout=600,
        env=dict(os.environ, PYTHONPATH=str(TOOLS.parents[1]),
                 OMP_NUM_THREADS='1', **environ))


@pytest.fixture
def gpu(monkeypatch):
    """The module."""
    monkeypatch.syspath_prepend(str(TOOLS))
    before = set(sys.modules)
    import gpu
    yield gpu
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], '__file__', None) or ''
        if file.startswith(str(TOOLS)):
            del sys.modules[name]


@pytest.fixture
def bench(gpu, tmp_path):
    """A part on the CPU, with timing."""
    from gpu_parts.bench import Bench
    return Bench(torch.device('cpu'), False, 60., tmp_path / 'part.json')


def test_refuses_in_one_sentence_where_there_is_no_gpu():
    done = call(CUDA_VISIBLE_DEVICES='')
    assert done.returncode == 2 and not done.stdout
    line, = done.stderr.strip().splitlines()
    assert line.startswith('gpu.py needs a GPU') and '--dry-run' in line


def dry_run(tmp_path, *parts):
    for name in ('mmdet', 'mmseg', 'mmpretrain'):
        pytest.importorskip(name)
    out = tmp_path / 'gpu.json'
    done = call('--dry-run', '--json', str(out), '--logs',
                str(tmp_path / 'logs'), '--parts', *parts)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert found['machine']['torch'] == torch.__version__.split('+')[0]
    assert list(found['parts']) == list(parts)
    for part in found['parts'].values():
        assert part['rows'] and not part['faults']
        assert not any(row.get('ms') for row in part['rows'])
    return {name: part['rows'] for name, part in found['parts'].items()}


def test_dry_run(tmp_path):
    rows = dry_run(
        tmp_path, 'neurons', 'training', 'inference', 'detector',
        'pretraining', 'spikes', 'hook', 'equality')
    assert {row['candidate'] for row in rows['training']} == {
        'ReLU, contiguous', 'SFA, contiguous', 'ReLU, channels-last',
        'SFA, channels-last', 'SFA, compiled'}
    proofs = [row for row in rows['equality'] if 'float64' in row['note']]
    assert len(proofs) == 4  # two models, two forms
    assert all(row['note'].startswith('0 of ') for row in proofs)


def test_dry_run_of_two_processes(tmp_path):
    halves, together = dry_run(tmp_path, 'processes')['processes']
    assert 'processes differ by 0e+00' in halves['note']
    assert 'processes differ by 0e+00' in together['note']
    assert 'torch.compile' in together['what']


def test_ratios_are_to_the_first_that_runs(bench, monkeypatch):
    # Medians 4 and 2 of what the clock says; a warm-up is not timed.
    clock = dict(slow=iter([9., 4., 1.] * 50), fast=iter([2., 2., 7.] * 50))
    monkeypatch.setattr(
        bench, '_seconds', lambda run: next(clock[run()]))

    def fails():
        raise MemoryError('too large\nof this')

    rows = bench.compare(
        'a step', dict(broken=fails, slow=lambda: lambda: 'slow',
                       fast=lambda: lambda: 'fast'), images=8)
    assert rows['slow']['ratio'] == 1 and rows['fast']['ratio'] == 0.5
    assert rows['fast']['ms'] == 2000 and rows['fast']['images'] == 4
    assert bench.faults == ['a step, broken: MemoryError: too large']
    written = json.loads(bench.path.read_text())
    assert [row['candidate'] for row in written['rows']] == ['slow', 'fast']


def test_what_takes_too_long_costs_no_other_figure(bench):
    bench._end = time.monotonic() + 0.5

    def compiles():
        try:
            time.sleep(600)
        except Exception as error:  # as compilers do
            raise ValueError('backend raised') from error

    def fails():
        raise ValueError('backend raised')

    bench.compare('a step', dict(
        eager=lambda: lambda: None, broken=fails, compiled=compiles,
        late=compiles))
    assert [row['candidate'] for row in bench.rows] == ['eager']
    assert bench.faults == [
        'a step, broken: ValueError: backend raised',
        'a step, compiled: left out, no time was left',
        'a step, late: left out, no time was left']
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_tables(gpu, capsys):
    gpu.print_part(dict(faults=['one [sentence]'], rows=[
        dict(what='a step', candidate='ReLU', ms=2., ratio=1., mb=None),
        dict(what='a step', candidate='SFA', ms=1.5, ratio=0.75,
             target='<= 1'),
        dict(what='a proof', candidate='x', note='0 of 9 differ')]))
    lines = [x.split() for x in capsys.readouterr().out.splitlines()]
    assert [x for x in lines if x] == [
        ['a', 'step', 'ms', 'ratio', 'target'],
        ['ReLU', '2.00', '1.00'],
        ['SFA', '1.50', '0.75', '<=', '1'],
        ['a', 'proof'],
        ['0', 'of', '9', 'differ'],
        ['failed:', 'one', '[sentence]']]


@pytest.fixture
def main(gpu, monkeypatch, tmp_path):
    """Run all of it with other parts; its code, and what is in JSON."""
    def run(parts):
        monkeypatch.setattr(gpu, 'load_part', parts.get)
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
        monkeypatch.setattr(sys, 'argv', [
            'gpu.py', '--dry-run', '--json', str(tmp_path / 'out.json'),
            '--parts', *parts])
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as ended:
                gpu.main()
        finally:
            signal.signal(signal.SIGTERM, handler)
        text = (tmp_path / 'out.json').read_text()
        return ended.value.code, json.loads(text)['parts']

    return run


def test_what_is_found_stays_if_it_is_ended(main, capsys):
    def good(bench):
        bench.add('what', 'which', ms=1.5)

    def ends(bench):
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(600)

    code, found = main(dict(neurons=good, training=ends, hook=good))
    assert code == 128 + signal.SIGTERM
    assert list(found) == ['neurons'] and found['neurons']['rows']
    assert 'which' in capsys.readouterr().out


@pytest.mark.parametrize('usable, method', [
    (True, 'fork'), (False, 'spawn')])
def test_no_fork_where_an_import_has_started_cuda(
        gpu, monkeypatch, usable, method):
    methods = []
    monkeypatch.setattr(gpu, 'machine', lambda *_: ({}, 'fork'))
    monkeypatch.setattr(gpu, 'preload', lambda *_: None)
    monkeypatch.setattr(gpu, 'can_look', lambda *_: usable)
    monkeypatch.setattr(
        gpu, 'run_parts', lambda *x: methods.append(x[-1]) or ())
    monkeypatch.setattr(sys, 'argv', ['gpu.py'])
    monkeypatch.setattr(gpu.signal, 'signal', lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert not ended.value.code and methods == [method]


def test_tensors_shrink_where_memory_is_small(bench, monkeypatch):
    from gpu_parts.neurons import COPIES, fitting
    monkeypatch.setattr(bench, 'free_bytes', lambda: 5 * 3 * 2 * 4 * COPIES)
    assert fitting(bench, (64, 3, 2), 4, ()) == (5, 3, 2)
    assert fitting(bench, (4, 3, 2), 4, ()) == (4, 3, 2)
    assert fitting(bench, (64, 300, 2), 4, ()) == (1, 300, 2)


def test_a_part_that_fails_or_dies_stops_no_other(main, capsys):
    def good(bench):
        bench.add('what', 'which', ms=1.5)

    def raises(bench):
        bench.add('before', 'which')
        raise ValueError('one sentence\nand more')

    def dies(bench):
        os._exit(7)

    code, found = main(dict(neurons=raises, training=dies, hook=good))
    assert code == 1
    assert found['neurons']['faults'] == ['neurons: ValueError: one sentence']
    assert len(found['neurons']['rows']) == 1
    assert found['training']['faults'] == ['training: ended with 7']
    assert found['hook'] == dict(
        rows=[dict(what='what', candidate='which', ms=1.5)], faults=[])
    assert 'failed: training: ended with 7' in capsys.readouterr().out


def test_a_part_that_hangs_is_ended_with_its_children(gpu, tmp_path):
    path = tmp_path / 'child'

    def hangs():
        os.setsid()
        child = subprocess.Popen(['sleep', '600'])
        path.with_suffix('.part').write_text(str(child.pid))
        path.with_suffix('.part').rename(path)
        time.sleep(600)

    assert gpu.in_child('fork', hangs, seconds=3) == 'stopped after 3 s'
    stat = Path('/proc', path.read_text(), 'stat')
    for _ in range(100):  # a zombie until someone reaps it
        if not stat.exists() or stat.read_text().split()[2] == 'Z':
            break
        time.sleep(0.1)
    else:
        pytest.fail('the child of the part is still there')
