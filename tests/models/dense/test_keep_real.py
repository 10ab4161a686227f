"""Names in ``keep_real``: what they find, and what is a mistake."""

import pytest
from torch import nn

from mmsnn.layers import SpikeConv2d, SpikeLinear
from mmsnn.models.dense import make_spiking, spiking_module
from mmsnn.models.dense.keep_real import named_parts

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)


def encoder():
    return nn.ModuleDict(
        dict(
            attention=nn.MultiheadAttention(4, 2),
            mlp=nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))))


@pytest.mark.parametrize('names,found', [
    (['attention'], ['attention']),
    (['Linear'], ['mlp.0', 'mlp.2']),
    (['mlp.*'], ['mlp.0', 'mlp.1', 'mlp.2']),
    (['*GELU', 'mlp.[02]'], ['mlp.0', 'mlp.1', 'mlp.2']),
    (['Conv1d', 'LSTM', 'neck.*'], []),  # of other parts of a model
    (['Multi*'], ['attention']),
])
def test_modules(names, found):
    net = encoder()
    parts = named_parts(net, names)
    modules = [k for k, m in net.named_modules() if m in parts]
    assert modules == found


def test_parameters():
    net = encoder()
    assert named_parts(net, ['attention.bias_k', 'mlp.*.bias'][1:]) == {
        net['mlp'][0].bias, net['mlp'][2].bias}
    assert named_parts(net, ['attention.in_proj_weight']) == {
        net['attention'].in_proj_weight}


def test_what_is_not_there():
    with pytest.raises(ValueError, match="^keep_real names 'attn', 'mpl.0', "
                       r"but ModuleDict has no .* \(did you mean "
                       r"'attention'\?\)$"):
        make_spiking(encoder(), SFA4,
                     keep_real=['mpl.0', 'attention', 'attn'])
    with pytest.raises(ValueError, match=r"write \['attention'\]"):
        make_spiking(encoder(), SFA4, keep_real='attention')


def test_a_misspelt_class_name():
    with pytest.raises(ValueError, match="names 'MultiHeadAttention', .*did "
                       "you mean 'MultiheadAttention'"):
        make_spiking(encoder(), SFA4, keep_real=['MultiHeadAttention'])


def test_one_list_serves_all_parts():
    """Of a whole model, neck and head wrapped one by one."""
    pytest.importorskip('mmdet.models')
    names = ['DeformConv2d', 'MultiheadAttention', '*conv_adaption']
    neck = spiking_module(
        dict(type='mmdet.FPN', in_channels=[4], out_channels=4, num_outs=1),
        keep_real=names)
    assert type(neck.fpn_convs[0].conv) is SpikeConv2d
    head = spiking_module(
        dict(type='mmdet.FoveaHead', num_classes=2, in_channels=4,
             feat_channels=4, with_deform=True),
        keep_real=names)
    assert type(head.feature_adaption.conv_adaption).__name__ == (
        'DeformConv2d')
    assert type(head.conv_cls) is SpikeConv2d


class Bare(nn.Module):

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(nn.init.ones_(nn.Linear(2, 3).weight.data))
        self.fc = nn.Linear(2, 3)

    def forward(self, x):
        return self.fc(x) + x @ self.table.t()


def test_the_message_names_the_part_not_the_whole():
    with pytest.raises(TypeError, match='^module: no spiking form of Bare is '
                       "known, .* real, name 'table' in keep_real$"):
        make_spiking(Bare(), SFA4)
    net = make_spiking(Bare(), SFA4, keep_real=['table'])
    assert type(net.fc) is SpikeLinear
    with pytest.raises(TypeError, match="^0: .* name 'Bare' or '0', or "
                       "'0.table' alone in keep_real$"):
        make_spiking(nn.Sequential(Bare()), SFA4)
