"""The newest checkpoint that can be read, and files that stay whole."""

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub
from mmengine.runner import find_latest_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader, save_checkpoint

from mmsnn import files
from mmsnn.checkpoints import TRUST, CheckpointError, CheckpointRefused


@pytest.fixture
def run(tmp_path):
    """A folder with three checkpoints and others that are none of the run."""
    folder = tmp_path / 'run'
    folder.mkdir()
    for name in ('iter_9', 'iter_10', 'iter_100', 'best_mIoU_iter_50', 'x_99'):
        torch.save(dict(name=name), folder / f'{name}.pth')
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_100.pth'))
    return folder


def latest(folder):
    return Path(find_latest_checkpoint(str(folder)))


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def test_the_last_one_is_taken(run):
    assert latest(run) == run / 'iter_100.pth'
    (run / 'last_checkpoint').unlink()
    assert find_latest_checkpoint(str(run)) is None


def test_a_moved_folder(run, tmp_path):
    moved = tmp_path / 'moved'
    run.rename(moved)
    assert latest(moved) == moved / 'iter_100.pth'
    shutil.copytree(moved, run)  # the copy goes on with its own
    assert latest(moved) == moved / 'iter_100.pth'


def test_checkpoints_in_another_folder(run, tmp_path):
    work = tmp_path / 'work'
    work.mkdir()
    shutil.copy(run / 'last_checkpoint', work)
    assert latest(work) == run / 'iter_100.pth'
    cut(run / 'iter_100.pth')
    assert latest(work) == run / 'iter_10.pth'


def test_the_one_before_is_taken_and_said(run, capsys):
    cut(run / 'iter_100.pth')
    assert latest(run) == run / 'iter_10.pth'
    (run / 'iter_10.pth').write_bytes(b'')
    assert latest(run) == run / 'iter_9.pth'
    (run / 'iter_100.pth').unlink()
    assert latest(run) == run / 'iter_9.pth'
    (run / 'iter_9.pth').write_bytes(b'')
    with pytest.raises(CheckpointError, match='no checkpoint of .*run can be'):
        latest(run)


def test_the_one_before_is_taken_where_files_are_trusted(run, monkeypatch):
    monkeypatch.setenv(TRUST, '1')
    cut(run / 'iter_100.pth')
    assert latest(run) == run / 'iter_10.pth'


def test_a_note_that_was_cut_off(run):
    (run / 'last_checkpoint').write_text('')
    os.utime(run / 'iter_9.pth', (1, 1))
    os.utime(run / 'iter_10.pth', (2, 2))
    assert latest(run) == run / 'iter_100.pth'
    for path in run.glob('*.pth'):
        path.unlink()
    with pytest.raises(FileNotFoundError, match='last_checkpoint names'):
        latest(run)


def test_a_note_that_names_the_folder_of_the_run(run, tmp_path):
    for named in ('.', str(run)):
        (run / 'last_checkpoint').write_text(named)
        os.utime(run / 'iter_10.pth', (2**33, 2**33))
        assert latest(run) == run / 'iter_10.pth'


def test_a_folder_of_parts(run):
    parts = run / 'iter_200.pth'  # as strategies save them
    parts.mkdir()
    (run / 'last_checkpoint').write_text(str(parts))
    assert latest(run) == parts
    with pytest.raises(CheckpointError, match='iter_200.pth is a folder: '):
        CheckpointLoader.load_checkpoint(str(parts))


def test_a_hostile_one_is_not_skipped(run):
    torch.save(dict(a=print), run / 'iter_100.pth')
    with pytest.raises(CheckpointRefused, match='iter_100.pth'):
        latest(run)


def full(*_):
    raise OSError(errno.ENOSPC, 'No space left on device')


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    save_checkpoint(dict(a=1), str(path))
    monkeypatch.setattr(files.os, 'fsync', full)
    with pytest.raises(OSError, match='disk full: .*a.pth could not be wri.*'
                       'the old one is kept') as error:
        save_checkpoint(dict(a=2), str(path))
    assert error.value.errno == errno.ENOSPC
    assert torch.load(path) == dict(a=1)
    assert [file.name for file in tmp_path.iterdir()] == ['a.pth']
    with pytest.raises(OSError, match='disk full: .*b.pth could not be wri'):
        save_checkpoint(dict(a=2), str(tmp_path / 'b.pth'))
    assert [file.name for file in tmp_path.iterdir()] == ['a.pth']


def test_a_limit_of_the_system(tmp_path):
    """A child process that may write 20 kB to a file."""
    pid = os.fork()
    if pid == 0:
        import resource
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        code = 1
        try:
            save_checkpoint(dict(a=torch.ones(9999)), str(tmp_path / 'a.pth'))
        except OSError as error:
            code = 0 if 'disk full' in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not list(tmp_path.iterdir())


def hook_and_runner(folder, info=(), **keys):
    """A CheckpointHook before its training, and what it needs of a runner."""
    folder.mkdir(exist_ok=True)
    hub = MessageHub(f'of {folder}')
    for key, value in dict(info).items():
        hub.update_info(key, value)

    def save(out_dir, filename, *_, **__):
        path = os.path.join(out_dir, filename)
        save_checkpoint(dict(iter=runner.iter), path)

    runner = SimpleNamespace(
        work_dir=str(folder), message_hub=hub, iter=0, epoch=0,
        save_checkpoint=save, train_loop=SimpleNamespace(),
        logger=SimpleNamespace(info=print))
    hook = CheckpointHook(by_epoch=False, **keys)
    hook.before_train(runner)
    return hook, runner


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_old_checkpoint_stays_until_the_new_one_is_there(
        tmp_path, monkeypatch):
    folder = tmp_path / 'run'
    hook, runner = hook_and_runner(folder, max_keep_ckpts=1)
    hook._save_checkpoint(runner)
    runner.iter = 1
    hook._save_checkpoint(runner)
    assert names(folder) == ['iter_2.pth', 'last_checkpoint']
    runner.iter = 2
    monkeypatch.setattr(files.os, 'fsync', full)
    with pytest.raises(OSError, match='disk full'):
        hook._save_checkpoint(runner)
    assert names(folder) == ['iter_2.pth', 'last_checkpoint']
    assert latest(folder) == folder / 'iter_2.pth'


def test_the_best_checkpoint_stays_until_the_new_one_is_there(
        tmp_path, monkeypatch):
    folder = tmp_path / 'run'
    hook, runner = hook_and_runner(
        folder, max_keep_ckpts=1, save_best='acc', rule='greater')
    hook._save_checkpoint(runner)
    hook._save_best_checkpoint(runner, dict(acc=1.))
    runner.iter = 1
    hook._save_checkpoint(runner)
    hook._save_best_checkpoint(runner, dict(acc=2.))
    before = names(folder)
    assert before == ['best_acc_iter_1.pth', 'iter_1.pth', 'last_checkpoint']
    monkeypatch.setattr(files.os, 'fsync', full)
    runner.iter = 2
    with pytest.raises(OSError, match='disk full'):
        hook._save_best_checkpoint(runner, dict(acc=3.))
    assert names(folder) == before




@pytest.mark.parametrize('names_of', [('acc', ), ('acc', 'loss')])
def test_the_best_checkpoint_of_a_moved_folder(tmp_path, names_of):
    folder, moved = tmp_path / 'run', tmp_path / 'moved'
    keys = dict(save_best=list(names_of), rule='greater')
    hook, runner = hook_and_runner(folder, **keys)
    hook._save_checkpoint(runner)
    hook._save_best_checkpoint(runner, dict.fromkeys(names_of, 1.))
    folder.rename(moved)
    hook, runner = hook_and_runner(
        moved, runner.message_hub.runtime_info, **keys)
    assert runner.message_hub.get_info('last_ckpt') == str(
        moved / 'iter_0.pth')
    runner.iter = 1
    hook._save_checkpoint(runner)
    hook._save_best_checkpoint(runner, dict.fromkeys(names_of, 2.))
    assert names(moved) == [
        *(f'best_{name}_iter_1.pth' for name in names_of), 'iter_0.pth',
        'iter_1.pth', 'iter_2.pth', 'last_checkpoint'
    ]
    assert not folder.exists()


def test_a_best_checkpoint_that_is_saved_again_stays(tmp_path, monkeypatch):
    """Its folder may have been named in another way before."""
    monkeypatch.chdir(tmp_path)
    hook, runner = hook_and_runner(
        Path('run'), save_best='acc', rule='greater')
    hook.best_ckpt_path = f'{tmp_path}/run/best_acc_iter_0.pth'
    Path(hook.best_ckpt_path).touch()
    hook._save_best_checkpoint(runner, dict(acc=2.))
    assert names(Path('run')) == ['best_acc_iter_0.pth']


def test_what_a_killed_process_has_left_is_removed(tmp_path):
    folder = tmp_path / 'run'
    folder.mkdir()
    left = ['.iter_4.{}.part.pth', '.best_a.b_iter_4.{}.part.pth',
            '.last_checkpoint.{}.part']
    running = [name.format(os.getppid()) for name in left]
    others = ['.iter_x.part.pth', '.report.999999999.part.html', 'iter_1.pth']
    for name in (*running, *others, *(name.format(process) for name in left
                                      for process in (os.getpid(),
                                                      999999999))):
        (folder / name).touch()
    hook_and_runner(folder)
    assert names(folder) == sorted((*running, *others))
