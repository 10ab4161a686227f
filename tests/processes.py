"""Functions that run in several processes over gloo, as a test."""

import os
import socket
import traceback
from multiprocessing import get_context

import torch
import torch.distributed as torch_dist


def free_port():
    """A port that nobody uses."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def run_in_processes(folder, function, *args, number=2, **kwargs):
    """Run ``function(*args, **kwargs)`` in processes that torch.distributed
    connects, forked so that nothing is imported anew; return what each has
    returned. ``folder`` is a pathlib.Path for files.
    """
    environ = dict(WORLD_SIZE=str(number), MASTER_ADDR='127.0.0.1',
                   MASTER_PORT=str(free_port()))

    def run(rank):
        os.environ.update(environ, RANK=str(rank), LOCAL_RANK=str(rank))
        torch.set_num_threads(1)
        try:
            found = function(*args, **kwargs)
        except BaseException:
            (folder / f'{rank}.txt').write_text(traceback.format_exc())
            os._exit(1)  # the others fail as they lose this one
        torch.save(found, folder / f'{rank}.pt')
        if torch_dist.is_initialized():
            torch_dist.destroy_process_group()

    jobs = [get_context('fork').Process(target=run, args=(rank, ))
            for rank in range(number)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(120)
        job.kill()
    errors = [path.read_text() for path in folder.glob('[0-9].txt')]
    assert [job.exitcode for job in jobs] == [0] * number, '\n'.join(errors)
    return [
        torch.load(folder / f'{rank}.pt', weights_only=False)
        for rank in range(number)
    ]
