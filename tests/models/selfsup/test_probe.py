import torch

from mmsnn.models import PooledBatchNormNeck


def test_mean_over_positions_then_over_images():
    neck = PooledBatchNormNeck(2)
    maps = torch.tensor([[[[1., 3.]], [[0., 0.]]], [[[4., 8.]], [[5., 5.]]]])
    # Means over positions 2, 6 and 0, 5: each is -1, 1 after the norm.
    out, = neck((maps, ))
    expected = torch.tensor([[-1., -1.], [1., 1.]])
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=0)
    assert not list(neck.parameters())
    # In eval mode an image does not depend on the others of its batch.
    neck.eval()
    torch.testing.assert_close(neck((maps[:1], ))[0], neck((maps, ))[0][:1])
