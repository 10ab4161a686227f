"""The distillation head and the classifier with a teacher."""

import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from mmpretrain.models.heads import LinearClsHead
from mmpretrain.structures import DataSample
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import to_spike_train
from mmsnn.models import DistillationClsHead, DistilledImageClassifier
from mmsnn.neurons import is_spiking

SFA = dict(type='mmsnn.SFANeuron', max_spikes=4)
BACKBONE = dict(
    type='mmsnn.ESpikeFormer',
    arch=dict(family='large', embed_dims=[8, 16, 24], depths=[1] * 4),
    neuron=SFA)
HEAD = dict(type='mmsnn.DistillationClsHead', num_classes=3, in_channels=24,
            neuron=SFA)
NECK = dict(type='mmpretrain.GlobalAveragePooling')


class Fixed(nn.Module):
    """A teacher's network that says what it is told."""

    num_classes = 3

    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))

    def forward(self, x):
        self.seen = x
        return self.layer(x).mean((2, 3)) * 0 + torch.tensor([0., 5., 1.])


def teacher(**kwargs):
    """A small classifier of mmpretrain's own."""
    return dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='mmpretrain.MobileNetV3', arch='small_075'),
        neck=NECK,
        head=dict(type='mmpretrain.LinearClsHead', in_channels=432,
                  **{'num_classes': 3, **kwargs}))


def build(**kwargs):
    torch.manual_seed(0)
    return DistilledImageClassifier(
        **{**dict(backbone=BACKBONE, neck=NECK, head=HEAD, teacher=teacher()),
           **kwargs})


def samples(*labels):
    return [DataSample().set_gt_label(x) for x in labels]


def fire(u):
    return sum((u >= d - 0.5).double() for d in range(1, 5))


def head(**kwargs):
    torch.manual_seed(0)
    made = DistillationClsHead(3, 6, SFA, **kwargs).double()
    made.fc.weight.data.normal_()
    made.fc_kd.weight.data.normal_()
    return made


def both_scores(made, x):
    return (F.linear(x, made.fc.weight, made.fc.bias),
            F.linear(fire(x), made.fc_kd.weight, made.fc_kd.bias))


def test_head_is_the_mean_of_both():
    made = head()
    x = torch.rand(4, 6, dtype=torch.float64) * 4
    score, score_kd = both_scores(made, x)
    for mode in (True, False):
        torch.testing.assert_close(
            made.train(mode)((x, )), (score + score_kd) / 2)
    labels = made.predict((x, ))
    assert [s.pred_label.item() for s in labels] == (
        (score + score_kd).argmax(1).tolist())


@pytest.mark.parametrize('weight', [0.5, 0.2])
def test_hard_distillation(weight):
    made = head(kd_weight=weight)
    x = torch.rand(4, 6, dtype=torch.float64) * 4
    score, score_kd = both_scores(made, x)
    told = torch.eye(3, dtype=torch.float64)[[2, 0, 0, 1]] * 7
    losses = made.loss((x, ), samples(0, 1, 2, 1), teacher_score=told)
    torch.testing.assert_close(
        losses['loss'],
        (1 - weight) * F.cross_entropy(score, torch.tensor([0, 1, 2, 1])))
    torch.testing.assert_close(
        losses['loss_kd'],
        weight * F.cross_entropy(score_kd, torch.tensor([2, 0, 0, 1])))
    assert set(losses) == {'loss', 'loss_kd'}


def test_mixed_labels():
    made = head()
    x = torch.rand(2, 6, dtype=torch.float64) * 4
    mixed = torch.tensor([[.3, .7, 0.], [0., .5, .5]], dtype=torch.float64)
    data = [DataSample().set_gt_score(s) for s in mixed]
    loss = made.loss((x, ), data, teacher_score=mixed)['loss']
    torch.testing.assert_close(
        loss, F.cross_entropy(both_scores(made, x)[0], mixed) / 2)


def test_scores_are_averaged_over_time():
    made = DistillationClsHead(3, 6, dict(SFA, timesteps=2)).double()
    x = torch.rand(4, 6, dtype=torch.float64) * 4  # two samples
    first, second = x[0::2], x[1::2]
    counts = fire(first)
    spikes = (counts + fire(second + first - counts)) / 2
    expected = F.linear((first + second) / 2, made.fc.weight, made.fc.bias)
    expected = expected + F.linear(spikes, made.fc_kd.weight, made.fc_kd.bias)
    torch.testing.assert_close(made((x, )), expected / 2)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_scores_are_averaged_over_time_as_spike_trains(form):
    neuron = dict(SFA, timesteps=2)
    model = build(
        backbone=dict(BACKBONE, neuron=neuron),
        head=dict(HEAD, neuron=neuron)).double().eval()
    x = torch.rand(3, 3, 32, 32, dtype=torch.float64)
    spiking = to_spike_train(model, form)
    torch.testing.assert_close(spiking(x), model(x))


def test_relu_twin_of_the_head():
    made = DistillationClsHead(3, 6, dict(type='ReLU'))
    assert not any(is_spiking(m) for m in made.modules())
    x = torch.randn(2, 6)
    expected = (made.fc(x) + F.linear(x.relu(), made.fc_kd.weight,
                                      made.fc_kd.bias)) / 2
    torch.testing.assert_close(made((x, )), expected)


def test_initial_weights_of_both():
    made = DistillationClsHead(200, 300)
    made.init_weights()
    for layer in (made.fc, made.fc_kd):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
        assert (layer.bias == 0).all()


def test_the_teacher_is_asked_about_the_same_images():
    model = build(
        teacher=dict(type=TeacherOfLayers, layers=Fixed())).double()
    x = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    losses = model.loss(x, samples(0, 2))
    assert torch.equal(model.teacher.model.seen, x)
    _, score_kd = model.head.scores(model.extract_feat(x))
    torch.testing.assert_close(
        losses['loss_kd'],
        F.cross_entropy(score_kd, torch.tensor([1, 1])) / 2)


class TeacherOfLayers(nn.Module):
    """A classifier that wraps a network, as mmpretrain's for timm."""

    def __init__(self, layers):
        super().__init__()
        self.model = layers

    def forward(self, x):
        return self.model(x)


def test_the_teacher_is_no_part_of_the_model():
    model = build()
    assert not any('teacher' in k for k in model.state_dict())
    own = {id(p) for p in model.teacher.parameters()}
    assert own and not own & {id(p) for p in model.parameters()}
    assert not any(m is model.teacher for m in model.modules())
    plain = MODELS.build(
        dict(type='mmpretrain.ImageClassifier', backbone=BACKBONE, neck=NECK,
             head=HEAD))
    plain.load_state_dict(model.state_dict(), strict=True)


def test_the_teacher_stays_as_it_is_in_training():
    model = build().train()
    assert not any(m.training for m in model.teacher.modules())
    assert not any(p.requires_grad for p in model.teacher.parameters())
    before = copy.deepcopy(model.teacher.state_dict())
    wrapper = build_optim_wrapper(
        model, dict(optimizer=dict(type='SGD', lr=0.1)))
    data = dict(inputs=torch.randint(0, 256, (4, 3, 32, 32)).float(),
                data_samples=samples(0, 1, 2, 0))
    logs = model.train_step(data, wrapper)
    assert logs['loss'] > 0 and logs['loss_kd'] > 0
    for key, value in model.teacher.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_the_teacher_moves_with_the_model():
    model = build().to(torch.float64)
    assert {p.dtype for p in model.teacher.parameters()} == {torch.float64}
    model.to('meta')
    assert {p.device.type for p in model.teacher.parameters()} == {'meta'}


def test_a_copy_has_a_teacher_of_its_own():
    model = build()
    assert model.teacher
    other = copy.deepcopy(model).double()
    assert not other._teacher  # an average of weights needs none
    assert {p.dtype for p in model.teacher.parameters()} == {torch.float32}
    assert {p.dtype for p in other.teacher.parameters()} == {torch.float64}


def test_the_teachers_checkpoint_is_loaded(tmp_path):
    torch.manual_seed(1)
    expected = MODELS.build(teacher()).state_dict()
    torch.save(dict(state_dict=expected), tmp_path / 'teacher.pth')
    model = build(
        teacher=dict(teacher(), pretrained=str(tmp_path / 'teacher.pth')))
    model.init_weights()
    for key, value in model.teacher.state_dict().items():
        assert torch.equal(value, expected[key]), key


def test_what_the_teacher_has_loaded_by_itself_stays():
    model = build()
    before = copy.deepcopy(model.teacher.state_dict())
    model.init_weights()
    for key, value in model.teacher.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_a_teacher_with_another_label_set():
    with pytest.raises(ValueError, match='teacher knows 4 classes, but '
                       'head.num_classes is 3'):
        build(teacher=teacher(num_classes=4)).init_weights()
    layers = Fixed()
    layers.num_classes = 10
    with pytest.raises(ValueError, match='teacher knows 10 classes'):
        build(teacher=dict(type=TeacherOfLayers, layers=layers)).init_weights()


def test_inference_needs_no_teacher():
    model = build(teacher=dict(type='NotInstalledHere')).eval()
    assert model(torch.rand(1, 3, 32, 32)).shape == (1, 3)
    with pytest.raises(KeyError, match='NotInstalledHere'):
        model.init_weights()


def test_a_teacher_that_does_not_say_its_label_set():
    layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 7))
    model = build(teacher=dict(type=TeacherOfLayers, layers=layers))
    with pytest.raises(ValueError, match='teacher knows 7 classes'):
        model.loss(torch.rand(1, 3, 32, 32), samples(0))


def test_another_head():
    with pytest.raises(ValueError, match='head must be a mmsnn.Distillation'
                       'ClsHead, but is a LinearClsHead'):
        build(head=dict(type=LinearClsHead, num_classes=3, in_channels=24))


def test_no_teacher():
    with pytest.raises(TypeError, match='teacher'):
        DistilledImageClassifier(BACKBONE, neck=NECK, head=HEAD)
    x = torch.rand(1, 6, dtype=torch.float64)
    with pytest.raises(ValueError, match="'mmsnn.DistilledImageClassifier'"):
        head().loss((x, ), samples(0))


def test_weight_of_the_teacher_out_of_range():
    with pytest.raises(ValueError, match='kd_weight must be in 0..1'):
        head(kd_weight=1.5)
