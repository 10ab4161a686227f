"""The large family and Meta-SpikeFormer as spike trains: no count differs,
and the audit names what no spike drives."""

import pytest
import torch

from mmsnn.conversion import EqualityCheck, convert, to_spike_train
from mmsnn.neurons import is_spiking

SFA = dict(type='mmsnn.SFANeuron', max_spikes=3)
FAMILIES = {
    'large': ('espikeformer_large',
              dict(linear_pair=True, distillation_head=False)),
    'kd': ('espikeformer_large',
           dict(linear_pair=False, distillation_head=True)),
    'meta': ('metaspikeformer', dict(neuron=SFA))
}


@pytest.fixture(scope='module')
def models(tiny_models):
    """``models(name)``: a tiny classifier in float64, and images."""
    made = {}

    def get(name):
        if name not in made:
            family, options = FAMILIES[name]
            _, model, images = tiny_models(family, **options)
            made[name] = model.double(), images.double()
        return made[name]

    return get


def audit(spiking, images):
    """Multiply-accumulates of each module that the audit names."""
    with spiking, torch.no_grad():
        spiking(images)
    macs = {}
    for r in spiking.trace.audit():
        macs[r.module] = macs.get(r.module, 0) + r.macs
    return {module: number for module, number in macs.items() if number}


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('name', list(FAMILIES))
def test_no_count_differs(models, name, form):
    model, images = models(name)
    check = EqualityCheck(model, to_spike_train(model, form))
    expected, actual = check.compare(images)
    assert check.report.equal, check.report
    assert [row.module for row in check.report.rows] == [
        k for k, m in model.named_modules() if is_spiking(m)]
    assert all(row.training_spikes for row in check.report.rows)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


STEM = 'backbone.stages.0.downsample.conv'
#: Positions of the stages for images of 40 x 24.
POSITIONS = (20 * 12, 10 * 6, 5 * 3, 3 * 2, 3 * 2)


def test_audit_of_the_large_family(models):
    model, images = models('large')
    assert audit(to_spike_train(model), images) == {
        STEM: 2 * POSITIONS[0] * 8 * 147,
        # The head reads the mean membrane.
        'head.fc': 2 * 40 * 5}


def test_audit_of_the_distillation_head(models):
    model, images = models('kd')
    spiking = to_spike_train(model)
    assert set(audit(spiking, images)) == {STEM, 'head.fc'}
    other, = [r for r in spiking.trace if r.module == 'head.fc_kd']
    assert other.spiking and other.sops == other.in_spikes * 5


def test_audit_of_meta_spikeformer(models):
    model, images = models('meta')
    expected = {STEM: 2 * POSITIONS[0] * 8 * 147}
    # The 1x1 behind the depthwise convolution without neuron: 2 C -> C.
    widths = (8, 16, 24)
    for stage, block in ((0, 0), (1, 0), (2, 0), (2, 1)):
        path = f'backbone.stages.{stage}.blocks.{block}.sep_conv.reduce.conv'
        expected[path] = 2 * POSITIONS[stage] * 2 * widths[stage]**2
    assert audit(to_spike_train(model), images) == expected


@pytest.mark.parametrize('name,inner,chains', [
    # blocks x (q, k, v, projection and, in the large family, the pair)
    ('large', ('conv2', ), 2 * 5), ('meta', ('depthwise', 'conv2'), 3 * 4)])
def test_without_folding_the_inner_convolutions_are_named(
        models, name, inner, chains, monkeypatch):
    model, images = models(name)
    folded = audit(to_spike_train(model), images)
    monkeypatch.setattr(convert, 'deploy', lambda model: None)
    named = audit(to_spike_train(model), images)
    assert set(folded) < set(named)
    for part in inner:
        assert sum(k.endswith(f'.branch.{part}') for k in named) == chains


def test_the_model_itself_is_not_folded(models):
    model, images = models('large')
    keys = list(model.state_dict())
    to_spike_train(model)
    assert list(model.state_dict()) == keys
