"""What upstream's code reads of a module that was changed is still there."""

import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.registry import MODELS
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.layers import SpikeConv1d, SpikeConv2d, SpikeMultiheadAttention
from mmsnn.models.dense import make_spiking, spiking_module

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)
RELU = dict(type='ReLU')
TOOD = dict(
    type='mmdet.TOODHead', num_classes=2, in_channels=8, feat_channels=8,
    stacked_convs=2, num_dcn=0, anchor_type='anchor_free',
    norm_cfg=dict(type='GN', num_groups=2),
    anchor_generator=dict(
        type='mmdet.AnchorGenerator', ratios=[1.0], octave_base_scale=8,
        scales_per_octave=1, strides=[4, 8]),
    initial_loss_cls=dict(type='mmdet.FocalLoss', use_sigmoid=True))


def fire(u):
    return sum((u >= d - 0.5).to(u.dtype) for d in range(1, 5)) / 4


def test_a_conv_module_keeps_its_attributes():
    conv = ConvModule(4, 6, 3, norm_cfg=dict(type='BN'))
    kept = set(vars(conv)) | set(conv._modules)
    net = make_spiking(nn.Sequential(conv), SFA4)
    assert net[0] is conv and kept <= set(vars(conv)) | set(conv._modules)
    x = torch.randn(1, 6, 2, 2)
    assert torch.equal(conv.activate(x), x)
    assert conv.conv.weight.shape == (6, 4, 3, 3)
    assert (conv.conv.in_channels, conv.conv.kernel_size) == (4, (3, 3))
    assert conv.norm is conv.bn and not conv.with_activation


@pytest.mark.parametrize('slope', [0.01, 0.3])
def test_weights_in_front_of_a_leaky_relu(slope):
    act_cfg = dict(type='LeakyReLU', negative_slope=slope)
    states = []
    for place in (lambda m: m, lambda m: make_spiking(m, SFA4)):
        module = place(ConvModule(4, 6, 3, act_cfg=act_cfg))
        torch.manual_seed(0)
        module.init_weights()
        states.append(module.state_dict())
        x = torch.randn(1, 4, 5, 5)
    assert torch.equal(states[0]['conv.weight'], states[1]['conv.weight'])
    assert torch.equal(module(x), module.conv(x))


def test_initial_weights_of_a_projection_by_its_class():
    """MaskFormer looks for mmcv's own class."""
    pytest.importorskip('mmdet.models')
    from mmcv.cnn import Conv2d
    assert isinstance(make_spiking(Conv2d(2, 2, 1), SFA4), Conv2d)


def awake(head):
    torch.manual_seed(0)
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.7)
            if module.bias is not None:
                nn.init.uniform_(module.bias, 0, 1)
        elif isinstance(module, nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.7, 1.5)
            nn.init.uniform_(module.bias, 0, 1.5)
    return head.eval()


def levels():
    torch.manual_seed(1)
    return [torch.rand(2, 8, s, s) * 4 for s in (6, 3)]


def test_tood_reads_a_convolution_past_its_neuron():
    """Its task decomposition multiplies weights by attention, and features
    by those; the neuron stands in front of the weighted features."""
    pytest.importorskip('mmdet.models')
    head = awake(spiking_module(TOOD))
    part = head.cls_decomp
    assert isinstance(part.reduction_conv.conv, SpikeConv2d)
    torch.manual_seed(0)
    feat = torch.rand(2, 16, 3, 3) * 6
    attention = part.layer_attention(feat.mean((2, 3), keepdim=True))
    weighted = torch.cat([feat[:, :8] * attention[:, :1],
                          feat[:, 8:] * attention[:, 1:]], 1)
    conv = part.reduction_conv.conv
    expected = torch.einsum('nchw,oc->nohw', fire(weighted),
                            conv.weight[..., 0, 0])
    expected = part.reduction_conv.norm(expected)
    torch.testing.assert_close(part(feat), expected)
    given = feat.mean((2, 3), keepdim=True)
    torch.testing.assert_close(part(feat, given), expected)


def test_relu_twin_of_tood_is_the_plain_head():
    """Attention is positive, so that ReLU may stand on either side of it.
    The plain head has none in front of the attention's first layer, whose
    input is a mean of what a ReLU has made."""
    pytest.importorskip('mmdet.models')
    plain = awake(MODELS.build(TOOD))
    twin = spiking_module(TOOD, RELU).eval()
    twin.load_state_dict(plain.state_dict())
    with torch.no_grad():
        part = twin.cls_decomp
        feat = torch.rand(2, 16, 3, 3)
        expected = plain.cls_decomp(feat)
        torch.testing.assert_close(part(feat).relu(), expected)


def test_tood_converts():
    pytest.importorskip('mmdet.models')
    head = awake(spiking_module(TOOD)).double()
    x = [level.double() for level in levels()]
    check = EqualityCheck(head, to_spike_train(head))
    with torch.no_grad():
        check.compare_calls(lambda: head(x), lambda: check.spiking(x))
    assert check.report.equal
    spiking = {r.module: r.training_spikes for r in check.report.rows}
    assert spiking['cls_decomp.reduction_conv.conv.neuron'] > 0


def test_k_net_starts_from_the_weights_of_its_classifier():
    """They are read on purpose, as kernels, which are activations then."""
    pytest.importorskip('mmseg.models')
    head = spiking_module(
        dict(
            type='mmseg.IterativeDecodeHead', num_stages=1,
            kernel_generate_head=dict(
                type='mmseg.FCNHead', in_channels=4, channels=4, num_convs=1,
                num_classes=3, concat_input=False, in_index=0),
            kernel_update_head=[
                dict(
                    type='mmseg.KernelUpdateHead', num_classes=3, num_heads=2,
                    num_ffn_fcs=2, num_mask_fcs=1, feedforward_channels=8,
                    in_channels=4, out_channels=4, conv_kernel_size=1,
                    ffn_act_cfg=dict(type='ReLU'), with_ffn=True,
                    feat_transform_cfg=dict(
                        conv_cfg=dict(type='Conv2d'), act_cfg=None),
                    kernel_updator_cfg=dict(
                        type='mmseg.KernelUpdator', in_channels=4,
                        feat_channels=4, out_channels=4,
                        act_cfg=dict(type='ReLU'),
                        norm_cfg=dict(type='LN')))
            ]))
    out = head.train()([torch.rand(2, 4, 6, 6)])
    assert [tuple(o.shape) for o in out] == [(2, 3, 6, 6)] * 2
    sum(o.sum() for o in out).backward()
    assert isinstance(head.kernel_generate_head.conv_seg, SpikeConv2d)


def test_parameters_of_upstream_outside_of_layers(caplog):
    pytest.importorskip('mmseg.models')
    head = spiking_module(
        dict(
            type='mmseg.EncHead', in_channels=[4], in_index=[0], channels=4,
            num_codes=3, use_se_loss=True, add_lateral=False, num_classes=2,
            norm_cfg=dict(type='BN')))
    codes = [k for k in head.state_dict() if k.endswith('codewords')]
    assert len(codes) == 1
    assert head([torch.rand(2, 4, 5, 5)])[0].shape == (2, 2, 5, 5)


def test_point_heads_convolve_in_one_dimension():
    pytest.importorskip('mmdet.models')
    head = spiking_module(
        dict(type='mmdet.MaskPointHead', num_classes=2, num_fcs=1,
             in_channels=4, fc_channels=4))
    assert type(head.fc_logits) is SpikeConv1d
    assert type(head.fcs[0].conv) is SpikeConv1d
    x = torch.rand(2, 4, 5) * 4
    coarse = torch.rand(2, 2, 5) * 4
    first, last = head.fcs[0].conv, head.fc_logits
    both = torch.cat([x, coarse], 1)
    hidden = torch.einsum('ncp,oc->nop', fire(both), first.weight[..., 0])
    hidden = torch.cat([hidden + first.bias[:, None], coarse], 1)
    expected = torch.einsum('ncp,oc->nop', fire(hidden), last.weight[..., 0])
    torch.testing.assert_close(head(x, coarse),
                               expected + last.bias[:, None])


def test_attention_of_mmcv_is_spiking():
    from mmcv.cnn.bricks.transformer import MultiheadAttention
    wrapper = make_spiking(
        MultiheadAttention(8, 2, batch_first=True), SFA4).eval()
    assert type(wrapper.attn) is SpikeMultiheadAttention
    query, pos = torch.rand(2, 3, 8) * 4, torch.rand(2, 3, 8)
    inner = wrapper.attn(*(x.transpose(0, 1) for x in (
        query + pos, query + pos, query)))[0].transpose(0, 1)
    torch.testing.assert_close(wrapper(query, query_pos=pos, key_pos=pos),
                               query + inner)


def test_an_activation_that_no_layer_reads_stays():
    pytest.importorskip('mmdet.models')
    head = awake(
        spiking_module(
            dict(
                type='mmdet.FSAFHead', num_classes=2, in_channels=4,
                feat_channels=4, stacked_convs=1, anchor_generator=dict(
                    type='mmdet.AnchorGenerator', octave_base_scale=1,
                    scales_per_octave=1, ratios=[1.0], strides=[4]),
                bbox_coder=dict(type='mmdet.TBLRBBoxCoder', normalizer=4.0),
                reg_decoded_bbox=True)))
    nn.init.constant_(head.retina_reg.bias, -0.2)
    _, distances = head([torch.rand(2, 4, 6, 6) * 4])
    raw = head.retina_reg(head.reg_convs[0](torch.rand(2, 4, 6, 6) * 4))
    assert (raw < 0).any()  # what the last layer gives
    assert (distances[0] >= 0).all()  # what the head gives


def test_a_gate_reads_an_activation():
    net = make_spiking(
        nn.Sequential(
            nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Conv2d(2, 1, 1), nn.ReLU(),
            nn.Hardsigmoid()), SFA4)
    assert isinstance(net[1], nn.Identity)
    x = torch.tensor([[[[-1.]]]])
    assert net[3](x).item() == 0 and net[4](net[3](x)).item() == 0.5


def test_relu_twin_of_a_dynamic_convolution():
    """Its activation stands between two products of activations."""
    layers = pytest.importorskip('mmdet.models.layers')
    torch.manual_seed(0)
    plain = layers.DynamicConv(
        in_channels=4, feat_channels=3, out_channels=4, input_feat_shape=2)
    twin = make_spiking(
        layers.DynamicConv(
            in_channels=4, feat_channels=3, out_channels=4,
            input_feat_shape=2), RELU)
    twin.load_state_dict(plain.state_dict())
    params, features = torch.rand(5, 4), torch.rand(5, 4, 2, 2)
    torch.testing.assert_close(twin(params, features),
                               plain(params, features))


@pytest.mark.parametrize('convs', [1, 2])
def test_relu_twin_of_self_attention(convs):
    """Queries, keys and values of OCRNet and ANN are rectified."""
    block = pytest.importorskip('mmseg.models.utils').SelfAttentionBlock
    keys = dict(
        key_in_channels=4, query_in_channels=4, channels=4, out_channels=4,
        share_key_query=False, query_downsample=None, key_downsample=None,
        key_query_num_convs=convs, value_out_num_convs=1,
        key_query_norm=True, value_out_norm=True, matmul_norm=True,
        with_out=False, conv_cfg=None, norm_cfg=dict(type='BN'),
        act_cfg=dict(type='ReLU'))
    torch.manual_seed(0)
    plain = block(**keys).eval()
    twin = make_spiking(block(**keys), RELU).eval()
    twin.load_state_dict(plain.state_dict())
    x = torch.rand(2, 4, 3, 3)
    torch.testing.assert_close(twin(x, x), plain(x, x))


def test_relu_twin_of_global_context():
    """The context is a product of what the first layer gives."""
    pytest.importorskip('mmseg.models')
    config = dict(
        type='mmseg.GCHead', in_channels=4, channels=4, num_classes=3,
        dropout_ratio=0, ratio=.5, concat_input=False,
        norm_cfg=dict(type='BN'))
    plain = MODELS.build(config).eval()
    twin = spiking_module(config, RELU).eval()
    twin.load_state_dict(plain.state_dict())
    seen = []
    for head in (plain, twin):
        head.gc_block.register_forward_hook(
            lambda module, args, out: seen.append(args[0]))
        head([torch.rand(1, 4, 5, 5, generator=torch.manual_seed(0))])
    assert (seen[0] == 0).any()  # what a ReLU has cut off
    torch.testing.assert_close(seen[1], seen[0])
