"""Trainings that are killed and resumed leave what they would have left."""

import pytest
from kill_and_resume import (
    ROWS,
    differences,
    import_all,
    killed,
    whole,
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    import_all()
    return tmp_path_factory.mktemp('trainings')  # they share their images


@pytest.mark.parametrize('name, iterations', [
    # In the middle of an accumulation, behind a turn of the workers' roles.
    ('epochs, 2 persistent workers, checkpoints inside', [9]),
    # Between a checkpoint and its validation, and in an epoch.
    ('epochs, frozen backbone', [5, 12]),
    ('iterations, 2 processes, 2 persistent workers', [11]),
])
def test_killed_and_resumed_is_whole(folder, name, iterations):
    first, second = folder / f'{name} whole', folder / f'{name} killed'
    whole(first, ROWS[name])
    killed(second, ROWS[name], iterations)
    count, differ = differences(first, second)
    assert count > 2000
    assert not differ


def test_the_hooks_change_nothing(folder):
    """A run without the hooks has the same weights, to the bit."""
    row = dict(workers=2, persistent=True)
    first, second = folder / 'with', folder / 'without'
    whole(first, row)
    whole(second, dict(row, plain=True))
    count, differ = differences(first, second)
    assert all('exact_resume' in name for name in differ), differ
    assert count > 2000
