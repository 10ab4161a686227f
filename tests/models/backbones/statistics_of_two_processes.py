"""One of two processes that run half of a batch each (no test by itself)."""

import sys

import torch

from mmsnn.models import MaskedESpikeFormer

#: Four images of 2 x 3 patches, two of each visible.
MASK = torch.tensor([[[1, 0, 0], [0, 1, 0]], [[1, 1, 0], [0, 0, 0]],
                     [[0, 0, 1], [0, 1, 0]], [[0, 0, 1], [0, 0, 1]]]).bool()


def run(part: slice) -> tuple:
    """Output, gradients and statistics of a part of the batch."""
    torch.manual_seed(0)
    model = MaskedESpikeFormer(
        dict(embed_dims=[4, 8, 8, 8], depths=[1, 1, 0, 1, 0], num_heads=2),
        norm_cfg=dict(type='mmsnn.SyncBN')).double().train()
    for name, parameter in model.named_parameters():
        if 'norm.bias' in name:
            parameter.data.uniform_(0, 1)
    images = torch.randn(4, 3, 32, 48, dtype=torch.double)
    weight = torch.randn(4, 8, 2, 3, dtype=torch.double)
    out, = model(images[part], MASK[part])
    (out * weight[part]).sum().backward()
    return (out.detach(), [p.grad for p in model.parameters()],
            list(model.buffers()))


if __name__ == '__main__':
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo')
    rank = torch.distributed.get_rank()
    # Parts of different sizes.
    result = run(slice(0, 1) if rank == 0 else slice(1, 4))
    torch.save(result, f'{sys.argv[1]}/{rank}.pt')
    torch.distributed.destroy_process_group()
