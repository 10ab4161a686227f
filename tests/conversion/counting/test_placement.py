"""Activations without a neuron and weights past one are seen in a run."""

import logging
import re

import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.logging import MMLogger
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import to_spike_train
from mmsnn.models.dense import make_spiking, spiking_module

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)


class Net(nn.Module):
    """Two layers with an activation between or behind."""

    inplace = False

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 2, 1)
        self.act = nn.ReLU(self.inplace)
        self.second = nn.Conv2d(2, 2, 1)
        self.other = nn.Conv2d(2, 2, 1)
        self.norm = nn.GroupNorm(1, 2)


class Plain(Net):

    def forward(self, x):
        return self.second(self.act(self.first(x)))


class Summed(Net):
    """A sum, a norm and an upsampling on the way to the neuron."""

    def forward(self, x):
        x = self.norm(self.act(self.first(x)) + self.other(x))
        return self.second(F.interpolate(x, scale_factor=2, mode='bilinear'))


class Gated(Net):
    """ReLU commutes with a factor that is not negative, and with numbers."""

    def forward(self, x):
        y = self.act(self.first(x))
        return self.second(2 * y * self.other(x).sigmoid())


class Rectified(Net):

    def forward(self, x):
        return F.relu(self.act(self.first(x)))


class RawToo(Net):
    """What went into the activation is read, and not what came out."""

    def forward(self, x):
        x = self.first(x)
        return self.second(self.act(x)) * x


class Filled(Net):
    """No value of the result is read."""

    def forward(self, x):
        y = self.act(self.first(x))
        return self.second(y) * torch.ones_like(y)


class Unread(Net):

    def forward(self, x):
        self.act(self.first(x))
        return self.second(x)


class Returned(Net):

    def forward(self, x):
        return dict(logits=[self.act(self.first(x))[:, :1]])


class AlsoReturned(Net):
    """One way leads to a neuron, the other does not."""

    def forward(self, x):
        y = self.act(self.first(x))
        return self.second(y) + y


class Multiplied(Net):

    def forward(self, x):
        return self.second(self.act(self.first(x)) * self.other(x))


class Divisor(Net):

    def forward(self, x):
        return self.second(
            self.other(x).sigmoid() / (1 + self.act(self.first(x))))


class Softmax(Net):

    def forward(self, x):
        return self.second(self.act(self.first(x)).softmax(1))


class InPlace(RawToo):
    """What went into it is what came out."""

    inplace = True


class Module(nn.Module):
    """mmcv's module, which does not call its activation."""

    def __init__(self):
        super().__init__()
        self.conv = ConvModule(2, 2, 1)

    def forward(self, x):
        return self.conv(x)


class WithoutActivation(Module):

    def forward(self, x):
        return self.conv(x, activate=False)


class BeforeTheLayer(Module):

    def __init__(self):
        super().__init__()
        self.conv = ConvModule(2, 2, 1, order=('act', 'conv', 'norm'))


def run(net, **keys):
    """What a recorded call of the spiking form of a network shows."""
    x = torch.randn(2, 2, 4, 4) * 3
    with to_spike_train(make_spiking(net, SFA4, **keys).eval()) as spiking:
        spiking(x)
        found = spiking.misplaced
        spiking(x)  # hooks of the first call are gone
    assert spiking.misplaced == found
    assert not any(m._forward_hooks for m in spiking.modules())
    return found


@pytest.mark.parametrize('kind', [
    Plain, Summed, Gated, Rectified, RawToo, Filled, Unread,
    WithoutActivation, BeforeTheLayer])
def test_a_neuron_does_its_work(kind):
    assert run(kind()) == []


@pytest.mark.parametrize('kind,path,reader', [
    (Returned, 'act', 'the model returns it'),
    (AlsoReturned, 'act', 'the model returns it'),
    (Multiplied, 'act', r'\(model\) reads it \(mul\)'),
    (Divisor, 'act', r'\(model\) reads it \(div\)'),
    (Softmax, 'act', r'\(model\) reads it \(_softmax\)'),
    (InPlace, 'act', r'\(model\) reads it \(mul\)'),
    (Module, 'conv.activate', 'the model returns it')])
def test_no_neuron_does_its_work(kind, path, reader):
    fault, = run(kind())
    assert re.fullmatch(
        'these activations were taken out, but no neuron of a layer behind '
        rf'them does their work: {path} \(ReLU, {reader}\); to leave them, '
        rf"write keep_real=\['{path}'\] where the model is made spiking",
        fault)
    net = kind()
    assert run(net, keep_real=[path]) == []
    assert isinstance(net.get_submodule(path), nn.ReLU)


def test_a_layer_that_stays_real_reads_it():
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1))
    fault, = run(net, keep_real=['2'])
    assert '1 (ReLU, 2 reads it (convolution))' in fault
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1))
    assert run(net, keep_real=['1', '2']) == []


class Whole(nn.Module):

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict(
            dict(head=spiking_module(dict(type=Returned))))

    def forward(self, x):
        return self.parts['head'](x)


def test_paths_are_those_of_the_config_that_has_the_key():
    whole, other, said = Whole(), Whole(), []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        for model in (whole, whole, other):  # converted at each evaluation
            with to_spike_train(model.eval()) as spiking:
                spiking(torch.randn(1, 2, 4, 4))
    finally:
        logger.removeHandler(handler)
    fault, = spiking.misplaced
    assert 'parts.head.act (ReLU' in fault
    assert "keep_real=['act'] where parts.head is made spiking" in fault
    assert said == 2 * [f'Whole: {fault}']  # once for each model


def weights_of(layer):
    return layer.weight


class Past(Net):
    """Code reads weights in a way that its source does not show."""

    def forward(self, x):
        return F.conv2d(x, weights_of(self.first)) + self.second(x)


class Facts(Net):

    def forward(self, x):
        weight = weights_of(self.first)
        x = x.to(weight.dtype) + weight.new_zeros(weight.shape[0], 1, 1)
        return self.first(x)


class Tied(nn.Module):
    """A table and the layer that reads it belong to each other."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(3, 2)
        self.scores = nn.Linear(2, 3, bias=False)
        self.scores.weight = self.table.weight

    def forward(self, x):
        ids = torch.zeros(len(x), dtype=torch.long)
        return self.scores(self.table(ids) + x[:, :, 0, 0])


def test_weights_that_code_reads():
    fault, = run(Past())
    assert fault == (
        'code reads the weights of layers past their neurons: first ((model) '
        "reads them (convolution)); to leave them, write keep_real=['first'] "
        'where the model is made spiking')
    assert run(Past(), keep_real=['first']) == []


def test_weights_that_are_read_on_purpose(monkeypatch):
    monkeypatch.setattr('mmsnn.models.dense.placing.READS_ON_PURPOSE',
                        {f'{__name__}.Past'})
    assert run(Past()) == []


@pytest.mark.parametrize('kind', [Facts, Tied])
def test_weights_that_no_other_code_reads(kind):
    assert run(kind()) == []


def test_what_is_known_by_name_is_seen_too(monkeypatch):
    """FSAF's distances are rectified by the last module of the head."""
    pytest.importorskip('mmdet.models')
    from mmsnn.models.dense import upstream
    config = dict(
        type='mmdet.FSAFHead', num_classes=2, in_channels=4, feat_channels=4,
        stacked_convs=1, reg_decoded_bbox=True, anchor_generator=dict(
            type='mmdet.AnchorGenerator', octave_base_scale=1,
            scales_per_octave=1, ratios=[1.0], strides=[4]),
        bbox_coder=dict(type='mmdet.TBLRBBoxCoder', normalizer=4.0))

    def shown():
        head = spiking_module(config).eval()
        with to_spike_train(head, batch='x') as spiking:
            spiking(x=[torch.randn(2, 4, 6, 6)])
        return spiking.misplaced

    assert shown() == []
    monkeypatch.setattr(upstream, '_READ_BY_NO_LAYER', {})
    fault, = shown()
    assert 'relu (ReLU, the model returns it)' in fault
