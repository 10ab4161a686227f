from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

import mmsnn
from mmsnn.hardware.operations.estimate import estimate_operations
from mmsnn.hardware.operations.paper import (
    hidden_multiplications,
    implied_count,
    reported_energies,
    reported_energy,
)
from mmsnn.layers import SpikeConv2d

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=4)
#: mJ per image, from tables I to III of the paper, by config: of all that it
#: reports one for.
REPORTED = {
    'espikeformer-5m_sfa4_8xb256-200e_in1k': 1.7,
    'espikeformer-10m_sfa4_8xb256-200e_in1k': 3.0,
    'espikeformer-19m_sfa4_8xb256-200e_in1k': 5.9,
    'espikeformer-83m_sfa4_8xb128-150e_in1k': 19.1,
    'espikeformer-83m_spark-200e-pre_sfa4_8xb128-150e_in1k': 19.1,
    'espikeformer-83m_sfa8_8xb128-150e_in1k': 30.9,
    'espikeformer-173m_sfa4_8xb128-150e_in1k': 35.6,
    'espikeformer-173m_spark-200e-pre_sfa4_8xb128-150e_in1k': 35.6,
    'espikeformer-173m_sfa8_8xb128-150e_in1k': 54.7,
    'metaspikeformer-15m_lif-t4_8xb64-accum4-200e_in1k': 16.7,
    'metaspikeformer-31m_lif-t4_8xb64-accum4-200e_in1k': 32.8,
    'metaspikeformer-55m_lif-t4_8xb64-accum4-200e_in1k': 52.4,
    'mask-rcnn_espikeformer-19m_fpn_sfa4_1x_coco': 94.5,
    'mask-rcnn_espikeformer-19m_fpn_sfa8_1x_coco': 119.5,
    'espikeformer-10m_semantic-fpn_sfa4_8xb2-160k_ade20k-512x512': 27.2,
    'espikeformer-10m_semantic-fpn_sfa8_8xb2-160k_ade20k-512x512': 33.6,
    'metaspikeformer-15m_semantic-fpn_lif-t4_8xb2-160k_ade20k-512x512': 88.1,
    'metaspikeformer-55m_semantic-fpn_lif-t4_8xb2-160k_ade20k-512x512': 183.6,
}


def test_reported_power_of_every_config():
    paths = [path for path in (mmsnn.ZOO / 'configs').glob('*/*.py')
             if path.parent.name != '_base_']
    assert len(paths) > 90 and REPORTED.keys() <= {p.stem for p in paths}
    for path in paths:
        assert reported_energy(path) == REPORTED.get(path.stem), path
        assert reported_energy(path.stem) == REPORTED.get(path.stem), path


@pytest.mark.parametrize('config', [
    'model', 'espikeformer-10m_sfa4', 'espikeformer-10m_sfa4_mine_in1k.py',
    Path('configs/_base_/models/espikeformer.py')
])
def test_a_config_that_no_metafile_names(config):
    assert reported_energy(config) is None


def zoo_with(folder, **powers):
    """A zoo of two metafiles, ``a=1.5, b=2.`` in them for one config."""
    names = [f'{name}.yml' for name in powers]
    (folder / 'model-index.yml').write_text(yaml.safe_dump(
        dict(Import=names)))
    for name, power in powers.items():
        metrics = {'Reported Energy (mJ)': power, 'Reported mIoU': 3.}
        model = dict(Name=f'model-{name}', Config='configs/x/one_sfa4.py',
                     Results=[dict(Metrics={}), dict(Metrics=metrics)])
        (folder / f'{name}.yml').write_text(yaml.safe_dump(
            dict(Models=[model])))
    return folder


def test_two_entries_of_one_config(tmp_path):
    assert reported_energies(zoo_with(tmp_path, a=1.5, b=1.5)) == {
        'one_sfa4': 1.5}


def test_two_entries_that_contradict_each_other(tmp_path):
    with pytest.raises(ValueError) as error:
        reported_energies(zoo_with(tmp_path, a=1.5, b=2.))
    assert str(error.value) == (
        'two values of Reported Energy (mJ) for the config one_sfa4: '
        '1.5 of model-a in a.yml, 2 of model-b in b.yml')


def test_implied_count_of_what_was_measured_is_the_measured_one(record):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3), SpikeConv2d(3, 4, 3, padding=1, neuron=NEURON),
        SpikeConv2d(4, 2, 1, neuron=NEURON))
    trace = record(net, 4 * torch.rand(2, 1, 8, 8))
    energy = estimate_operations(trace)['formula_fp32'].energy_mj
    found = implied_count(trace, energy)
    assert found.implied == pytest.approx(found.measured) and found.most == 4
    less = implied_count(trace, energy * 1e-6)
    assert less.implied < 0 and 'they imply no spike count' in str(less)
    with pytest.raises(ValueError, match='must be positive'):
        implied_count(trace, 0.)
    assert found.formula_mj == pytest.approx(energy)
    assert found.exact < found.measured  # of padding
    assert 'as reported, imply' in str(found)


class Hidden(nn.Module):

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.fire = SpikeConv2d(4, 4, 3, groups=4, neuron=NEURON)
        self.pointwise = nn.Conv2d(4, 5, 1)  # no neuron in front
        self.norm = nn.GroupNorm(1, 5)
        self.last = SpikeConv2d(5, 6, 1, neuron=NEURON)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.norm(self.pointwise(self.fire(self.stem(x))))
        x = nn.functional.interpolate(
            self.last(x), scale_factor=2, mode='bilinear')
        return self.head(0.5 * x.mean((2, 3)))


def test_hidden_multiplications_by_kind(record):
    trace = record(Hidden(), torch.rand(1, 1, 6, 6))
    found = {c.kind: c for c in hidden_multiplications(trace)}
    assert {k: (c.modules, c.macs) for k, c in found.items()} == {
        'first layer': (('stem', ), 4 * 16 * 9),
        'chain': (('pointwise', ), 5 * 4 * 4),
        'head on membranes': (('head', ), 18),
        'norm': (('norm', ), 3 * 5 * 4),
        'interpolation': (('(model)', ), 4 * 6 * 16),
        'scaling': (('(model)', ), 6),
    }
    assert found['chain'].energy_mj == pytest.approx(80 * 4.6e-9)
    assert sum(c.macs for c in found.values()) == trace.total('macs')


def test_a_range_is_refused_in_words(record, chip_with):
    trace = record(Hidden(), torch.rand(1, 1, 6, 6))
    chip = chip_with({'fp32.mac': dict(low=4., high=5.)})
    for ask in (lambda c: implied_count(trace, 1., c),
                lambda c: hidden_multiplications(trace, c)):
        with pytest.raises(ValueError, match=r'fp32.mac of chip spec .* is a '
                           r"range \(4 to 5\): give chip.at\('low'\)"):
            ask(chip)
        assert ask(chip.at('low'))
