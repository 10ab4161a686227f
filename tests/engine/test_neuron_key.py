"""One key for all neurons of a model."""

import argparse

import pytest

from mmsnn.engine.cli import add_common_arguments, load_config
from mmsnn.engine.neuron_key import map_neurons

CONFIG = """
default_scope = 'mmdet'
neuron = dict(type='mmsnn.SFANeuron', max_spikes=4, timesteps=2)
model = dict(
    backbone=dict(type='B', neuron=neuron),
    heads=[dict(neuron=dict(neuron, timesteps=1)), dict(size=1)],
    gate=dict(neuron=dict(type='Sigmoid')))
"""


@pytest.fixture
def load(tmp_path):

    def load(*options, text=CONFIG):
        path = tmp_path / 'some_config.py'
        path.write_text(text)
        parser = argparse.ArgumentParser()
        parser.add_argument('config')
        add_common_arguments(parser)
        return load_config(
            parser.parse_args([str(path), '--cfg-options', *options]))

    return load


def test_a_changed_neuron_reaches_every_part(load):
    cfg = load('neuron.max_spikes=8')
    kind = 'mmsnn.SFANeuron'
    assert cfg.model.backbone == dict(
        type='B', neuron=dict(type=kind, max_spikes=8, timesteps=2))
    # What a part has of its own stays.
    assert cfg.model.heads == [
        dict(neuron=dict(type=kind, max_spikes=8, timesteps=1)), dict(size=1)
    ]
    assert cfg.model.gate.neuron == dict(type='Sigmoid')


def test_another_type_takes_only_what_was_given(load):
    # Also what is given as it was before.
    cfg = load('neuron.type=mmsnn.LIFNeuron', 'neuron.timesteps=2')
    lif = dict(type='mmsnn.LIFNeuron', timesteps=2)
    assert cfg.neuron == cfg.model.backbone.neuron == lif
    assert cfg.model.heads[0].neuron == lif


def test_other_options_leave_it_alone(load):
    cfg = load('model.backbone.neuron.max_spikes=1')
    assert cfg.neuron.max_spikes == 4
    assert cfg.model.backbone.neuron.max_spikes == 1
    assert cfg.model.heads[0].neuron.max_spikes == 4


@pytest.mark.parametrize('text', [
    "default_scope = 'mmdet'\nmodel = dict(neuron=dict(type='ReLU'))",
    "default_scope = 'mmdet'\nneuron = dict(type='A')\nmodel = dict(a=1)"
])
def test_a_change_of_nothing_is_named(load, text):
    with pytest.raises(ValueError, match='some_config.py.*model.backbone'):
        load('neuron.max_spikes=8', text=text)


def test_time_is_not_for_heads_of_regions(load):
    text = CONFIG.replace('gate=', 'roi_head=')
    with pytest.raises(ValueError, match='model.neck.neuron.timesteps'):
        load('neuron.timesteps=4', text=text)


FRAMES = CONFIG + """
frames = dict(type='mmsnn.EventHistogram', bins=2)
other = dict(type='mmsnn.EventVoxelGrid', bins=3)
train_dataloader = dict(dataset=dict(
    type='RepeatDataset', dataset=dict(pipeline=[frames, dict(bins=2)])))
val_dataloader = dict(dataset=dict(pipeline=[other, frames]))
"""


def test_as_many_frames_as_time_steps(load):
    cfg = load('neuron.timesteps=4', text=FRAMES)
    assert cfg.model.backbone.neuron.timesteps == 4
    frames = dict(type='mmsnn.EventHistogram', bins=4)
    # Only frames of events that had the old number.
    assert cfg.train_dataloader.dataset.dataset.pipeline == [
        frames, dict(bins=2)]
    assert cfg.val_dataloader.dataset.pipeline == [
        dict(type='mmsnn.EventVoxelGrid', bins=3), frames]
    cfg = load('neuron.max_spikes=8', text=FRAMES)
    assert cfg.val_dataloader.dataset.pipeline[1].bins == 2


def test_the_original_is_not_changed():
    part = dict(a=(dict(neuron=dict(type='A')), 2))
    assert map_neurons(part, lambda n: dict(type='B')) == dict(
        a=(dict(neuron=dict(type='B')), 2))
    assert part == dict(a=(dict(neuron=dict(type='A')), 2))
