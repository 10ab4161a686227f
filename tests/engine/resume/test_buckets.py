import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import nn

from mmsnn.engine.resume.buckets import settle_buckets


class Dropped(BaseModel):

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.steps = 0

    def forward(self, inputs, mode):
        self.steps += 1
        return dict(loss=nn.functional.dropout(self.norm(inputs)).sum())


def test_a_batch_is_run_without_a_trace():
    model = Dropped()
    wrapper = OptimWrapper(
        torch.optim.SGD(model.parameters(), 1.), accumulative_counts=2)
    model.norm.weight.grad = torch.tensor([3., 4.])
    before = {k: v.clone() for k, v in model.state_dict().items()}
    batch, of_wrapper = dict(inputs=torch.rand(4, 2)), dict(vars(wrapper))
    numbers = torch.get_rng_state()
    settle_buckets(model, batch, wrapper)
    assert model.steps == 1
    assert torch.equal(torch.get_rng_state(), numbers)
    assert vars(wrapper) == of_wrapper
    assert model.norm.weight.grad.tolist() == [3, 4]
    assert model.norm.bias.grad is None
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
