"""A stage of a spiking backbone."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmsnn.layers import in_layout


class Stage(nn.Sequential):
    """A downsampling convolution, then blocks.

    Example:
        >>> stage = Stage()
        >>> stage.add_module('downsample', nn.Conv2d(3, 4, 3, 2, 1))
        >>> stage.add_module('blocks', nn.Sequential(nn.ReLU()))
        >>> stage(torch.rand(1, 3, 8, 8), repeats=2).shape
        torch.Size([2, 4, 4, 4])
    """

    #: In training, compute the activations inside of a block again in the
    #: backward pass instead of keeping them.
    with_cp = False

    def forward(
        self,
        x: torch.Tensor,
        repeats: int = 1,
        context: Callable[[], AbstractContextManager] = nullcontext
    ) -> torch.Tensor:
        """Run the stage.

        Args:
            x (Tensor): (N, C, H, W).
            repeats (int): How often the output of the convolution is shown to
                the blocks. Defaults to 1.
            context (Callable): Gives the context in which a block runs again.
                Called where the block runs first. Defaults to none.

        Returns:
            Tensor: (N * repeats, C', H', W').
        """
        x = self.downsample(x)
        if repeats > 1:
            x = in_layout(lambda x: x.repeat_interleave(repeats, 0), x)
        return self.run_blocks(x, context)

    def run_blocks(
        self,
        x: torch.Tensor,
        context: Callable[[], AbstractContextManager] = nullcontext
    ) -> torch.Tensor:
        """Run what is behind the convolution.

        Args:
            x (Tensor): (N, C', H', W').
            context (Callable): As in :meth:`forward`.

        Returns:
            Tensor: Same shape.
        """
        if not (self.with_cp and self.training and torch.is_grad_enabled()):
            return self.blocks(x)
        for block in self.blocks:
            x = run_twice(block, x, context())
        return x


def run_twice(block: nn.Module, x: torch.Tensor,
              context: AbstractContextManager) -> torch.Tensor:
    """Run a block, and once more in the backward pass, to save memory.

    The second run draws the same random numbers, starts with the same
    running statistics of norms and leaves theirs alone, so that a training
    step computes what it computes without.

    Args:
        block (nn.Module): In training mode.
        x (Tensor): Its input.
        context (AbstractContextManager): Context of the second run.

    Returns:
        Tensor: Output of the block.

    Example:
        >>> norm, x = nn.BatchNorm1d(1), torch.ones(2, 1, requires_grad=True)
        >>> run_twice(norm, x, nullcontext()).sum().backward()
        >>> norm.num_batches_tracked
        tensor(1)
    """
    before = [(m, _copied(m._buffers)) for m in block.modules() if m._buffers]
    return checkpoint(
        block,
        x,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _again(before, context)))


def _copied(buffers: dict) -> dict:
    return {k: x if x is None else x.clone() for k, x in buffers.items()}


@contextmanager
def _again(before: list[tuple[nn.Module, dict]],
           context: AbstractContextManager) -> Iterator[None]:
    """The context of a block's second run, in which its buffers (running
    statistics of norms) are copies of what they were before the first."""
    now = [(module, dict(module._buffers)) for module, _ in before]
    for module, buffers in before:
        module._buffers.update(_copied(buffers))
    try:
        with context:
            yield
    finally:
        for module, buffers in now:
            module._buffers.update(buffers)
