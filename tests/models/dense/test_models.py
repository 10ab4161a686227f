"""Each supported neck, head and detector: trained, run, converted."""

import copy

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.layers import SpikeConv2d, SpikeConvTranspose2d, SpikeLinear
from mmsnn.neurons import is_spiking

TWO_STAGE = ['mask_rcnn', 'cascade_mask_rcnn']
ONE_STAGE = ['retinanet', 'fcos', 'tood', 'vfnet', 'rtmdet']
QUERIES = ['detr', 'deformable_detr', 'sparse_rcnn']
SEGMENTORS = ['fpn_head', 'uper_head', 'sep_aspp_head', 'sep_fcn_head']
NAMES = TWO_STAGE + ONE_STAGE + QUERIES + SEGMENTORS
STEM = 'backbone.stages.0.downsample.conv'
SPIKING = {
    SpikeConv2d: nn.Conv2d,
    SpikeConvTranspose2d: nn.ConvTranspose2d,
    SpikeLinear: nn.Linear
}
#: Without gradient for reasons of upstream: no object on that level, or (in
#: the first layer of DETR's decoder) all queries are zero.
IDLE = dict(
    fcos=['bbox_head.scales.2', 'bbox_head.scales.3'],
    tood=[f'bbox_head.scales.{i}' for i in (1, 2, 3)],
    vfnet=[f'bbox_head.scales{r}.{i}' for r in ('', '_refine')
           for i in (1, 2, 3)],
    rtmdet=['bbox_head.reg_convs.1', 'bbox_head.reg_convs.2',
            'bbox_head.rtm_reg.1', 'bbox_head.rtm_reg.2'],
    detr=['decoder.layers.0.self_attn.attn', 'decoder.layers.0.norms.0'],
    sparse_rcnn=[f'neck.fpn_convs.{i}' for i in (1, 2, 3)])
#: Products of real values, beside the stem: what was kept, or is no layer.
REAL_PRODUCTS = dict(
    tood=['bbox_head'],  # samples its own results at other positions
    vfnet=['bbox_head.vfnet_cls_dconv', 'bbox_head.vfnet_reg_refine_dconv'],
    detr=[
        'encoder.layers.0.self_attn.attn',
        *(f'decoder.layers.{i}.{kind}_attn.attn' for i in (0, 1)
          for kind in ('self', 'cross'))
    ],
    deformable_detr=[f'decoder.layers.{i}.self_attn.attn' for i in (0, 1)],
    sparse_rcnn=[
        'roi_head.bbox_head.0.attention.attn',
        'roi_head.bbox_head.0.instance_interactive_conv'
    ])


def loss_of(model, data):
    data = model.data_preprocessor(data, True)
    return model.parse_losses(model(**data, mode='loss'))[0]


def without_neurons(config):
    """The upstream config: every ``SpikingModule`` unwrapped."""
    if isinstance(config, list):
        return [without_neurons(x) for x in config]
    if not isinstance(config, dict):
        return config
    if config.get('type') == 'mmsnn.SpikingModule':
        return without_neurons(config['module'])
    return type(config)({k: without_neurons(v) for k, v in config.items()})


def outputs(samples):
    for sample in samples:
        if 'pred_instances' in sample:
            found = sample.pred_instances
            yield from (found.bboxes, found.scores, found.labels)
            if 'masks' in found:
                yield found.masks
        else:
            yield sample.seg_logits.data


def compare(model, data):
    """Both forms in float64."""
    training = copy.deepcopy(model).double().eval()
    check = EqualityCheck(training, to_spike_train(training))
    outs = check.compare_calls(
        lambda: training.test_step(copy.deepcopy(data)),
        lambda: check.spiking.test_step(copy.deepcopy(data)))
    return check.report, outs


@pytest.mark.parametrize('name', NAMES)
def test_it_is_the_upstream_model(dense_config, dense_model, name):
    model = dense_model(name)
    plain = MODELS.build(without_neurons(dense_config(name)))
    assert type(model) is type(plain)
    plain.load_state_dict(model.state_dict(), strict=True)
    kinds = {k: type(m) for k, m in plain.named_modules()}
    for path, module in model.named_modules():
        if path.startswith('backbone'):
            assert type(module) is kinds.get(path, type(module))
        elif type(module) in SPIKING:
            assert issubclass(kinds[path], SPIKING[type(module)])
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            assert path.endswith('attn.out_proj'), path
        else:
            assert not isinstance(module, nn.ReLU), path


@pytest.mark.parametrize('name', NAMES)
def test_initial_weights_are_those_of_upstream(dense_config, name):
    states = []
    for config in (dense_config(name), without_neurons(dense_config(name))):
        torch.manual_seed(0)
        model = MODELS.build(config)
        model.init_weights()
        states.append(model.state_dict())
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


@pytest.mark.parametrize('name', NAMES)
def test_one_training_step(dense_model, batch, name):
    model = dense_model(name).train()
    loss = loss_of(model, batch(name))
    assert loss.isfinite() and loss > 0
    loss.backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), key
        idle = key.startswith(tuple(IDLE.get(name, [])))
        assert parameter.grad.any() or idle, key


@pytest.mark.parametrize('name', NAMES)
def test_prediction_is_the_same_in_spike_trains(dense_model, batch, name):
    model = dense_model(name)
    report, (expected, actual) = compare(model, batch(name))
    assert report.equal and report.images == 2, report
    assert {row.module for row in report.rows} == {
        k for k, m in model.named_modules() if is_spiking(m)}
    assert all(row.training_spikes for row in report.rows)
    pairs = list(zip(outputs(expected), outputs(actual)))
    assert pairs and all(a.numel() for a, _ in pairs)
    for a, b in pairs:
        torch.testing.assert_close(b, a, rtol=0, atol=1e-9)


@pytest.mark.parametrize('name', NAMES)
def test_which_products_stay_real(dense_model, batch, name):
    with to_spike_train(dense_model(name), form='counts') as converted:
        converted.test_step(batch(name))
    products = ('conv', 'linear', 'matmul')
    real = {r.module for r in converted.trace.audit() if r.kind in products}
    assert real == {STEM, *REAL_PRODUCTS.get(name, [])}
    spiking = {r.module for r in converted.trace if r.kind in products
               and r.spiking and r.sops}
    synapses = {k for k, m in dense_model(name).named_modules()
                if type(m) in SPIKING}
    assert synapses <= spiking
