"""Functions that run in several processes over gloo, as a test."""

import os
import socket
from multiprocessing import get_context

import torch
import torch.distributed as torch_dist


def run_in_processes(folder, function, *args, number=2):
    """Run ``function(*args)`` in processes that torch.distributed connects,
    forked so that nothing is imported anew; return what each has returned.

    ``folder`` is a pathlib.Path for files.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    context = get_context('fork')
    jobs = [
        context.Process(
            target=_run, args=(folder, rank, number, port, function, args))
        for rank in range(number)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(120)
        job.kill()
    assert [job.exitcode for job in jobs] == [0] * number
    return [
        torch.load(folder / f'{rank}.pt', weights_only=False)
        for rank in range(number)
    ]


def _run(folder, rank, number, port, function, args):
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(number),
        MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    torch.save(function(*args), folder / f'{rank}.pt')
    if torch_dist.is_initialized():
        torch_dist.destroy_process_group()
