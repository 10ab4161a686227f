"""One image in spike-train form before training: what is going to fail."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.structures import BaseDataElement
from torch.utils.data import DataLoader, Dataset

from mmsnn.conversion import UnclassifiedOpError
from mmsnn.engine.dry_run import why_not_evaluated
from mmsnn.layers import SpikeConv2d
from mmsnn.models.dense import make_spiking

LIBRARY = torch.library.Library('mmsnn_tests', 'DEF')
LIBRARY.define('fresh(Tensor x) -> Tensor')
LIBRARY.impl('fresh', lambda x: x + 1, 'CompositeExplicitAutograd')


def fresh(x):
    """An op that no rule can know."""
    return torch.ops.mmsnn_tests.fresh(x)


class Images(Dataset):
    """Random images; says how often it was asked."""

    metainfo = {}

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 3

    def __getitem__(self, index):
        self.asked.append(index)
        return torch.rand(1, 4, 4) + torch.rand(())


class Model(BaseModel):
    """A convolution, a norm, a spiking convolution, and what comes then."""

    def __init__(self, end=lambda x: x, test_cfg=None):
        super().__init__(BaseDataPreprocessor())
        self.conv = torch.nn.Conv2d(1, 2, 3)
        self.norm = torch.nn.BatchNorm2d(2)
        self.head = SpikeConv2d(2, 2, 1, neuron=dict(type='mmsnn.SFANeuron'))
        self.end = [end]  # no attribute of a module
        self.test_cfg = test_cfg

    def forward(self, inputs, data_samples=None, mode='tensor'):
        scores = self.head(self.norm(self.conv(inputs)))
        score_thr = (self.test_cfg or {}).get('score_thr', -1e9)
        if self.test_cfg is None or scores.abs().max() > score_thr:
            scores = self.end[0](scores)
        return [BaseDataElement(scores=x) for x in scores]


def loader(dataset=None):
    return DataLoader(
        Images() if dataset is None else dataset, batch_size=2,
        collate_fn=lambda batch: dict(inputs=torch.stack(batch)))


def test_nothing_to_say_and_nothing_changed():
    model = Model().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    random = torch.get_rng_state()
    data = loader()
    assert why_not_evaluated(model, data, proof_dtypes=['float64']) is None
    assert torch.equal(torch.get_rng_state(), random)
    assert data.dataset.asked == [0]
    assert all(m.training for m in model.modules())
    assert all(torch.equal(v, before[k])
               for k, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())


def test_an_activation_without_a_neuron(monkeypatch):
    """The head's last module is a ReLU, whose result is returned."""
    said = []
    monkeypatch.setattr(
        'mmsnn.conversion.counting.trace_recording.print_log',
        lambda message, **kwargs: said.append(message))
    model = Model()
    model.head = make_spiking(
        torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), torch.nn.ReLU()),
        dict(type='mmsnn.SFANeuron'))
    assert why_not_evaluated(model, loader()) is None
    warning, = said
    assert warning.startswith('Model: ') and (
        'head.1 (ReLU, the model returns it)' in warning)


def test_an_op_without_rule():
    error = why_not_evaluated(Model(fresh), loader())
    assert isinstance(error, UnclassifiedOpError)
    assert 'fresh' in str(error)


def test_boxes_that_an_untrained_model_does_not_find():
    config = ConfigDict(score_thr=1e9, max_per_img=100)
    model = Model(fresh, config)
    assert isinstance(why_not_evaluated(model, loader()), UnclassifiedOpError)
    assert model.test_cfg == dict(score_thr=1e9, max_per_img=100)


def test_too_few_boxes_are_no_reason():
    seen = []

    class Many(Model):

        def forward(self, inputs, data_samples=None, mode='tensor'):
            seen.append(self.test_cfg.max_per_img)
            assert self.test_cfg.max_per_img >= 100
            return super().forward(inputs, data_samples, mode)

    model = Many(test_cfg=ConfigDict(score_thr=1e9, max_per_img=100))
    assert why_not_evaluated(model, loader()) is None
    assert seen == [2, 100]


@pytest.mark.parametrize('model, dataset, named', [
    (torch.nn.Conv2d(1, 1, 1), Images(), 'has no spiking neuron'),
    (Model(), [], 'list index out of range'),
])
def test_other_reasons(model, dataset, named):
    error = why_not_evaluated(model, loader(dataset))
    assert named in str(error)
