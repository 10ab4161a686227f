"""A loader that goes on gives what it would have given."""

import multiprocessing
import os
import random
import signal
import time
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.dataset import (
    DefaultSampler,
    InfiniteSampler,
    worker_init_fn,
)
from torch.utils.data import DataLoader, Dataset, RandomSampler

from mmsnn.conversion.upstream.random_numbers import RandomNumbers
from mmsnn.engine.resume import LoaderPlace, ResumableLoader

BATCHES = 5


class Drawn(Dataset):
    """An index, and what each generator draws for it."""

    def __len__(self):
        return 2 * BATCHES

    def __getitem__(self, index):
        return [index, torch.rand(1).item(), np.random.rand(),
                random.random()]


def build(workers=0, persistent=False, sampler=DefaultSampler, seed=4,
          init_seed=7, batch_size=2):
    options = {} if sampler is RandomSampler else dict(seed=seed)
    init = None if init_seed is None else partial(
        worker_init_fn, num_workers=workers, rank=0, seed=init_seed)
    dataset = Drawn()
    return ResumableLoader.adopt(
        DataLoader(
            dataset, batch_size, sampler=sampler(dataset, **options),
            num_workers=workers, persistent_workers=persistent,
            collate_fn=list, worker_init_fn=init))


def run(loader, passes, first=0, kept=()):
    """Batches of passes, and what the process draws behind each; places at
    batches of ``kept``."""
    got, places = [], {}
    for number in range(first, passes):
        if hasattr(loader.sampler, 'set_epoch'):
            loader.sampler.set_epoch(number)
        for batch in loader:
            got.append((batch, torch.rand(1).item()))
            if len(got) in kept:
                places[len(got)] = (loader.place().state_dict(),
                                    RandomNumbers().state_dict())
    return got, places


def scramble():
    torch.manual_seed(999)
    np.random.seed(998)
    random.seed(997)


@pytest.mark.parametrize('workers, persistent, init_seed, sampler', [
    (0, False, 7, DefaultSampler),
    (0, False, None, RandomSampler),
    (2, False, None, RandomSampler),
    (2, True, 7, DefaultSampler),
    (3, True, None, RandomSampler),
])
def test_the_rest_is_the_same(workers, persistent, init_seed, sampler):
    options = dict(
        workers=workers, persistent=persistent, init_seed=init_seed,
        sampler=sampler)
    places = (1, BATCHES, BATCHES + 3)
    whole, kept = run(build(**options), 3, kept=places)
    for place in places:
        scramble()
        state, numbers = kept[place]
        loader = build(seed=99, **options)
        inside = place % BATCHES
        loader.go_on(LoaderPlace(**state), inside=bool(inside))
        RandomNumbers.of(numbers).restore()
        rest, again = run(
            loader, 3, first=place // BATCHES,
            kept=[BATCHES - inside + 4 if inside else 3])
        assert rest == whole[place:]
        # And once more, from a place in a run that had gone on.
        (done, (state, numbers)), = again.items()
        scramble()
        loader = build(seed=99, **options)
        loader.go_on(LoaderPlace(**state), inside=True)
        RandomNumbers.of(numbers).restore()
        place += done
        rest, _ = run(loader, 3, first=place // BATCHES)
        assert rest == whole[place:]


def test_an_infinite_sampler_goes_on():
    def take(loader, number):
        batches = iter(loader)
        return [next(batches) for _ in range(number)]

    options = dict(workers=2, sampler=InfiniteSampler)
    whole = take(build(**options), 13)
    loader = build(**options)
    take(loader, 7)
    numbers = RandomNumbers()
    other = build(**options)
    other.go_on(loader.place(), inside=True)
    numbers.restore()
    assert take(other, 6) == whole[7:]


def test_batches_are_those_of_the_plain_loader():
    torch.manual_seed(1)
    plain = build(workers=2)
    plain.__class__ = DataLoader
    expected = [list(plain) for _ in range(2)], torch.rand(1)
    torch.manual_seed(1)
    loader = build(workers=2)
    assert ([list(loader) for _ in range(2)], torch.rand(1)) == expected
    assert loader.collate_fn is list


def test_other_samples_are_said(monkeypatch):
    said = []
    monkeypatch.setattr('mmsnn.engine.resume.loader.print_log',
                        lambda message, *args: said.append(message))

    class Shuffled(DefaultSampler):

        def __iter__(self):
            return iter(np.random.permutation(2 * BATCHES).tolist())

    loader = build(sampler=Shuffled)
    next(iter(loader))
    place = loader.place()
    other = build(sampler=Shuffled)
    # A sampler that draws from a generator that is not restored.
    place.start['numpy'] = place.start['numpy'].roll(99)
    other.go_on(place, inside=True)
    next(iter(other))
    assert 'gives other samples' in said[0]


def test_places_are_plain_data(tmp_path):
    loader = build(workers=2)
    list(loader)
    place = loader.place().state_dict()
    torch.save(place, tmp_path / 'place.pth')
    found = torch.load(tmp_path / 'place.pth', weights_only=True)
    assert found['taken'] == BATCHES
    assert RandomNumbers.of(found['start']) == RandomNumbers.of(place['start'])


def test_workers_of_a_killed_process_end():
    """What workers have sent and nobody takes does not keep them."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        batches = iter(build(workers=4, batch_size=1))
        next(batches)
        time.sleep(2)  # workers run ahead as far as they may
        os.write(writing, ' '.join(
            str(x.pid) for x in multiprocessing.active_children()).encode())
        time.sleep(60)
    workers = os.read(reading, 1000).decode().split()
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    assert len(workers) == 4
    end = time.time() + 30
    while any(os.path.exists(f'/proc/{x}') for x in workers):
        assert time.time() < end
        time.sleep(0.2)
