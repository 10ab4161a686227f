"""One of several processes that adds up numbers (no test by itself)."""

import os
import signal
import sys

import torch
import torch.distributed as torch_dist

from mmsnn.engine.failures import FailsOnce


def main(how):
    torch_dist.init_process_group('gloo')
    rank = torch_dist.get_rank()
    for step in range(1000):
        if how == 'all' or step == 3 and rank == 1:
            print('it fails now', flush=True)
            if how == 'killed':
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError('no bread at ' + 'home')
        torch_dist.all_reduce(torch.ones(1))


if __name__ == '__main__':
    with FailsOnce('pytorch'):
        main(sys.argv[1])
