import copy

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmsnn.conversion import fold_norms
from mmsnn.conversion.fold import find_folds
from mmsnn.neurons import SFANeuron


def randomised(model):
    """Norms with statistics and factors of their own; eval mode, float64."""
    for m in model.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.running_mean.normal_()
            m.running_var.uniform_(0.2, 3)
            if m.affine:
                nn.init.normal_(m.weight)
                nn.init.normal_(m.bias)
    return model.double().eval()


def check(model, folded, *shape):
    model = randomised(model)
    x = torch.randn(shape, dtype=torch.float64)
    expected = model(x.clone())
    for number in (folded, 0):  # nothing is folded twice
        assert fold_norms(model) == number
        torch.testing.assert_close(
            model(x.clone()), expected, rtol=1e-12, atol=1e-12)
    norms = any(isinstance(m, nn.modules.batchnorm._BatchNorm)
                for m in model.modules())
    assert not (folded and norms)


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('affine', [True, False])
@pytest.mark.parametrize('synapse,norm,shape', [
    (lambda b: nn.Conv2d(4, 6, 3, padding=1, bias=b), nn.BatchNorm2d,
     (2, 4, 5, 6)),
    (lambda b: nn.Conv2d(4, 6, 3, groups=2, bias=b), nn.BatchNorm2d,
     (2, 4, 5, 6)),
    (lambda b: nn.ConvTranspose2d(4, 6, 3, stride=2, bias=b), nn.BatchNorm2d,
     (2, 4, 5, 6)),
    (lambda b: nn.Conv1d(4, 6, 1, bias=b), nn.BatchNorm1d, (2, 4, 5)),
    (lambda b: nn.Linear(4, 6, bias=b), nn.BatchNorm1d, (5, 4)),
    (lambda b: nn.Conv2d(4, 6, 3, bias=b), nn.SyncBatchNorm, (2, 4, 5, 6)),
], ids=['conv', 'groups', 'transposed', 'conv1d', 'linear', 'sync'])
def test_sequential(synapse, norm, shape, bias, affine):
    check(
        nn.Sequential(synapse(bias), norm(6, affine=affine), nn.ReLU()), 1,
        *shape)


@pytest.mark.parametrize('order,act,folded', [
    (('conv', 'norm', 'act'), True, 1),
    (('act', 'conv', 'norm'), True, 1),
    (('conv', 'act', 'norm'), True, 0),
    (('conv', 'act', 'norm'), False, 1),
    (('norm', 'conv', 'act'), True, 0),
    (('norm', 'act', 'conv'), True, 0)])
def test_conv_module(order, act, folded):
    module = ConvModule(
        4, 4, 3, norm_cfg=dict(type='BN'), order=order,
        act_cfg=dict(type='LeakyReLU') if act else None)
    check(module, folded, 2, 4, 5, 6)


def test_conv_module_without_norm():
    check(ConvModule(4, 4, 3), 0, 2, 4, 5, 6)


@pytest.mark.parametrize('groups', [2, 4])
def test_a_transposed_convolution_with_groups_is_left_alone(groups):
    net = nn.Sequential(
        nn.ConvTranspose2d(4, 4, 3, groups=groups), nn.BatchNorm2d(4))
    check(net, 0, 2, 4, 5, 6)


def test_something_in_between():
    for middle in (nn.ReLU(), nn.Identity(), SFANeuron()):
        check(nn.Sequential(nn.Conv2d(4, 4, 1), middle, nn.BatchNorm2d(4)),
              0, 2, 4, 5, 6)


def test_a_module_that_stands_twice_in_a_sequential():
    act = nn.ReLU()
    check(
        nn.Sequential(nn.Conv2d(4, 4, 1), act, nn.Conv2d(4, 4, 1), act,
                      nn.BatchNorm2d(4)), 0, 2, 4, 5, 6)
    conv = nn.Conv2d(4, 4, 1)
    check(nn.Sequential(conv, nn.BatchNorm2d(4), conv, nn.BatchNorm2d(4)), 0,
          2, 4, 5, 6)


def test_a_convolution_that_two_branches_share_keeps_their_norms():

    class Branches(nn.Module):

        def __init__(self):
            super().__init__()
            conv = nn.Conv2d(4, 4, 1)
            self.one = nn.Sequential(conv, nn.BatchNorm2d(4))
            self.two = ConvModule(4, 4, 1, norm_cfg=dict(type='BN'))
            self.two.conv = conv

        def forward(self, x):
            return self.one(x) + self.two(x)

    check(Branches(), 0, 2, 4, 5, 6)


def test_one_norm_behind_two_convolutions():
    norm = nn.BatchNorm2d(4)
    check(
        nn.Sequential(
            nn.Conv2d(4, 4, 1), norm, nn.Sequential(nn.Conv2d(4, 4, 3),
                                                    norm)), 2, 2, 4, 5, 6)


def test_a_sequential_with_a_forward_of_its_own_is_left_alone():

    class Backwards(nn.Sequential):

        def forward(self, x):
            for module in reversed(self):
                x = module(x)
            return x

    check(Backwards(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)), 0, 2, 4, 5, 6)


def test_norms_that_use_batch_statistics_are_left_alone():
    net = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    assert fold_norms(net.train()) == 0
    net = nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))
    assert fold_norms(net.eval()) == 0
    net = nn.Sequential(nn.Conv2d(4, 4, 1), nn.InstanceNorm2d(4))
    assert fold_norms(net.eval()) == 0


def test_float32_is_rounded_once():
    net = randomised(nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)))
    exact, net = copy.deepcopy(net.float()).double(), net.float()
    fold_norms(exact)
    fold_norms(net)
    assert net[0].weight.dtype == net[0].bias.dtype == torch.float32
    assert torch.equal(net[0].weight, exact[0].weight.float())
    assert torch.equal(net[0].bias, exact[0].bias.float())


def test_memory_layout_is_kept():
    net = randomised(nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)))
    net.to(memory_format=torch.channels_last)
    fold_norms(net)
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_a_norm_that_is_not_looked_for_is_named():

    class Block(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x):
            return self.bn(self.conv(x))

    found, reasons = find_folds(nn.Sequential(Block()).eval())
    assert not found
    assert reasons == ['0.bn: it is not looked for here, but right behind a '
                       'synapse in an nn.Sequential or ConvModule']
