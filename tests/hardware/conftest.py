import pytest
import yaml

from mmsnn.hardware import load_chip
from mmsnn.hardware.chips.schema import SCHEMA
from mmsnn.hardware.chips.spec import CHIP_DIR
from mmsnn.trace import OpRecord, OpTrace


@pytest.fixture
def example():
    """The worked example of docs/energy.md: two images of 1 x 4 x 4 pixels.

    Stem, 3 x 3 convolution with padding 1 from 1 to 2 channels, no bias: 32
    outputs x 9 inputs = 288 operations per image, on real input.

    Convolution, 3 x 3 with padding 1 from 2 channels to 1, with bias: 16
    outputs x 18 inputs = 288. Spikes in the first image: 2 at a corner (4
    targets each), 1 in the middle (9 targets); in the second: 3 in the
    middle, 1 at an edge (6 targets). 7 spikes, 2 * 4 + 9 + 3 * 9 + 6 = 50
    additions.

    Classifier, linear from 16 to 10, with bias: 160 operations. 5 spikes in
    the two images, each with 10 targets.
    """
    return OpTrace([
        OpRecord(
            'stem', 'conv', 'convolution', dense_ops=2 * 288, macs=2 * 288,
            note='the input is the image'),
        OpRecord(
            'neuron1', 'neuron', 'neuron', neurons=2 * 32, max_spikes=4,
            spikes=[4, 2, 1, 0]),
        OpRecord(
            'conv', 'conv', 'convolution', spiking=True, dense_ops=2 * 288,
            sops=50, adds=2 * 16, in_spikes=7, in_elements=2 * 32,
            max_spikes=4),
        OpRecord(
            'neuron2', 'neuron', 'neuron', neurons=2 * 16, max_spikes=4,
            spikes=[3, 1, 1, 0]),
        OpRecord(
            'fc', 'linear', 'linear', spiking=True, dense_ops=2 * 160,
            sops=50, adds=2 * 10, in_spikes=5, in_elements=2 * 16,
            max_spikes=4),
    ], images=2)


@pytest.fixture
def chip_with(tmp_path):
    """cmos45 with other figures: ``chip_with({'fp32.mac': None})`` makes
    the figure null, ``'absent'`` removes a figure or a section."""

    def build(changes):
        raw = yaml.safe_load((CHIP_DIR / 'cmos45.yaml').read_text())
        for name, value in changes.items():
            section, _, key = name.partition('.')
            if value == 'absent':
                del (raw[section] if key else raw)[key or section]
            else:
                raw[section][key] = {
                    'value': value,
                    'unit': 'pJ',
                    'source': 'this test',
                    'status': 'unknown' if value is None else 'read'}
        path = tmp_path / 'changed.yaml'
        path.write_text(yaml.safe_dump(raw))
        return load_chip(path)

    return build


@pytest.fixture
def spec(tmp_path):
    """A shipped spec with other figures: ``spec('loihi', {'limits.neurons':
    8, 'latency.barrier': 'absent'})``; a dict replaces the whole entry."""

    def build(name, changes):
        raw = yaml.safe_load((CHIP_DIR / f'{name}.yaml').read_text())
        for key, value in changes.items():
            section, figure = key.split('.')
            if value == 'absent':
                del raw[section][figure]
                continue
            entry = dict(raw[section].get(figure, {}))
            entry.pop('contained_in', None)
            if isinstance(value, dict) and 'unit' in value:
                entry = value
            else:
                entry.update(
                    value=value,
                    source='this test',
                    unit=SCHEMA[section][figure],
                    status='unknown' if value is None else 'read')
            raw[section][figure] = entry
        path = tmp_path / f'changed_{name}.yaml'
        path.write_text(yaml.safe_dump(raw))
        return load_chip(path)

    return build


@pytest.fixture
def tiny_chip(tmp_path):
    """Four cores of four neurons on a 2 x 2 mesh with round figures;
    ``tiny_chip({'limits.queue': 2})`` changes some."""
    events = dict(synop=1, access=2, update=3, fire=5, message=7,
                  message_in=11, hop_ew=13, hop_ns=17, link=19)
    limits = dict(cores=4, cores_per_tile=1, mesh_width=2, mesh_height=2,
                  neurons=4, synapse_memory=64, axons_in=16, axons_out=16)
    values = dict(
        events=events, power=dict(static=1), limits=limits,
        latency={**events, 'link': 100, 'barrier': 23},
        support=dict.fromkeys(SCHEMA['support'], True))

    def build(changes=None):
        raw = dict(name='tiny', title='Tiny chip', description='For tests.',
                   includes=['all'], excludes=['nothing'])
        for section, figures in values.items():
            raw[section] = {
                name: dict(value=value, unit=SCHEMA[section][name],
                           source='this test', status='read')
                for name, value in figures.items()}
        for key, value in (changes or {}).items():
            section, name = key.split('.')
            raw[section][name] = dict(
                value=value, unit=SCHEMA[section][name], source='this test',
                status='unknown' if value is None else 'read')
            if value == 'absent':
                del raw[section][name]
        path = tmp_path / 'tiny.yaml'
        path.write_text(yaml.safe_dump(raw))
        return load_chip(path)

    return build
