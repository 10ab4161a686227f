"""How many directions a matrix of features really uses."""

import torch


def effective_rank(matrix: torch.Tensor) -> float:
    r"""Effective rank of a matrix (paper, eq. 29): the exponential of the
    entropy of its normalised singular values,

    .. math::
        \exp\Big(-\sum_k p_k \ln p_k\Big), \qquad
            p_k = \sigma_k / \sum_j \sigma_j

    from 1, where all rows are multiples of one, to the number of columns,
    where all directions have the same weight. It is computed in float64 from
    the singular values themselves: those of the Gram matrix would be exact
    to half as many digits. Rows are not centred.

    Args:
        matrix (Tensor): (N * positions, C), of any floating-point type, on
            any device.

    Returns:
        float: 0 of a matrix of zeros, which has no direction.

    Raises:
        ValueError: If it is no matrix, is empty, or has values that are not
            finite.

    Example:
        >>> round(effective_rank(torch.eye(3)), 6)
        3.0
        >>> round(effective_rank(torch.ones(4, 3)), 6)
        1.0
    """
    if matrix.dim() != 2 or not matrix.numel():
        raise ValueError('the effective rank is that of a matrix '
                         '(N * positions, C) with at least one value, but '
                         f'the shape is {tuple(matrix.shape)}')
    if not matrix.isfinite().all():
        raise ValueError('the effective rank needs finite values, but the '
                         'output of the encoder is NaN or infinite')
    # Not every accelerator has float64.
    values = torch.linalg.svdvals(matrix.detach().cpu().double())
    total = values.sum()
    if total == 0:
        return 0.
    return torch.special.entr(values / total).sum().exp().item()
