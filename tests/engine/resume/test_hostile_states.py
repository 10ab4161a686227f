"""A checkpoint that is resumed sets no attributes and removes no files."""

import pytest
from mmengine.fileio.backends import LocalBackend
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, LoggerHook

from mmsnn.checkpoints.saving import keeping_the_old
from mmsnn.engine.resume.run_state import set_hook_states


def test_only_what_a_hook_counts_is_set():
    logger, stopping = LoggerHook(), EarlyStoppingHook('a', rule='less')
    set_hook_states([logger, stopping], dict(
        LoggerHook=dict(interval=77),
        EarlyStoppingHook=dict(wait_count=3, patience=77, after_train=1)))
    assert logger.interval != 77
    assert stopping.wait_count == 3
    assert stopping.patience != 77
    assert 'after_train' not in vars(stopping)


@pytest.mark.parametrize('name, removed', [
    ('runs/best.pth', True),
    ('precious.pth', False),
    ('runs/../precious.pth', False),
    ('runs_2/best.pth', False),
])
def test_files_outside_of_the_run_are_not_removed(tmp_path, name, removed):
    for folder in ('runs', 'runs_2'):
        (tmp_path / folder).mkdir()
    path = tmp_path / name
    path.touch()
    hook = CheckpointHook(interval=1, save_best='a', rule='less')
    hook.out_dir = str(tmp_path / 'runs')
    hook.file_backend = LocalBackend()
    hook.last_ckpt = None
    keeping_the_old(lambda self: self.file_backend.remove(str(path)))(hook)
    assert path.exists() is not removed
