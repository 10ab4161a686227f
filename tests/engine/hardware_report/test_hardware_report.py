"""The report on chips, from a config and a checkpoint."""

import csv
import json

import numpy as np
import pytest
from mmengine.config import Config

from mmsnn.engine.hardware_report import (
    format_report,
    make_report,
    measure,
    write_hardware_files,
)
from mmsnn.engine.hardware_report.points import read_points
from mmsnn.hardware.chips.spec import CHIP_DIR
from mmsnn.trace import OpTrace


class Noise:
    """Images of noise in place of a data set; the second is larger."""

    metainfo = dict(classes=tuple('0123456789'), palette=None)

    def __init__(self, config, scope, sizes):
        from mmengine.dataset import Compose
        from mmengine.registry import DefaultScope

        from mmsnn.engine.cli import tested_dataset
        with DefaultScope.overwrite_default_scope(scope):
            pack = [t for t in tested_dataset(config).pipeline
                    if t['type'].startswith('Pack')]
            self.pack = Compose(pack)
        self.sizes = sizes

    def __iter__(self):
        from mmengine.dataset import pseudo_collate
        for i, (height, width) in enumerate(self.sizes):
            image = np.random.default_rng(i).integers(
                0, 256, (height, width, 3), np.uint8)
            yield pseudo_collate([self.pack(dict(
                img=image, img_path=f'{i}.png', img_id=i, gt_label=i % 10,
                ori_shape=(height, width), img_shape=(height, width),
                scale_factor=(1., 1.)))])

    @property
    def dataset(self):
        return self


@pytest.fixture
def run(trained, monkeypatch):

    def go(scope, sizes, chips, spread=False, **options):
        config, checkpoint = trained(scope)
        config = Config.fromfile(config)
        monkeypatch.setattr(
            'mmengine.runner.Runner.build_dataloader',
            lambda *args, **kwargs: Noise(config, scope, sizes))
        measured = measure(config, checkpoint, **options)
        return make_report(config, checkpoint, measured, chips,
                           spread=spread)

    return go


def test_a_segmentor_on_several_chips(run, tmp_path):
    report = run('mmseg', [(64, 64)] * 3,
                 ['cmos45', 'cmos45_memory', 'loihi', 'speck', 'spinnaker2'],
                 free_running=True, spread=True)
    assert report.images == 3 and not report.estimate.failed
    assert [(e.chip, e.timing) for e in report.estimate.on_chip] == [
        ('loihi', 'synchronous'), ('speck', 'asynchronous'),
        ('spinnaker2', 'synchronous'), ('spinnaker2', 'asynchronous')]
    path = write_hardware_files(tmp_path / 'out', report)
    html = path.read_text()
    for word in ('Loihi', 'first layer', 'standard deviation', 'Touched',
                 'fire differently', 'accumulator bits', 'lossless</th>',
                 'spinnaker2_asynchronous_layers.png', 'states written',
                 'nothing is reused or cached',
                 f'{report.estimate.operations[1].results[0].energy_mj:.4g}'):
        assert word in html, word
    assert 'the paper reports no power for this config' in html
    raw = json.loads((tmp_path / 'out' / 'hardware.json').read_text())
    chips = {c['chip']: c for c in raw['chips']}
    # Speck's energy per addition is unknown: said so, not zero.
    assert chips['speck']['total_mj'] is None and chips['speck']['missing']
    assert chips['loihi']['energy_mj']['synapses']['low'] > 0
    for chip in chips.values():  # complete, or says what is missing
        lacks = any(k.startswith('energy') for k in chip['missing'])
        assert (chip['total_mj'] is None) == lacks
    over_images = {(s['chip'], s['timing']): s for s in raw['chip_spreads']}
    assert len(over_images) == 4
    # The network is on several chips, and the links between them are unknown.
    assert over_images['loihi', 'synchronous']['energy_mj'] is None
    latency = over_images['loihi', 'synchronous']['latency_ms']
    assert latency['low']['mean'] < latency['high']['mean']
    assert latency['low']['std'] > 0
    assert 'loihi, synchronous, over images: latency, ms: ' in '\n'.join(
        format_report(report))
    spread = raw['spreads']['cmos45']['spiking_fp32']
    assert spread['std'] > 0 and spread['low'] < spread['mean']
    trace = OpTrace.load(tmp_path / 'out' / 'trace.json')
    assert trace.images == trace.statistics.runs == 3
    with open(tmp_path / 'out' / 'chips.csv') as file:
        rows = list(csv.DictReader(file))
    total = sum(float(r['high_mj'] or 0) for r in rows
                if r['chip'] == 'loihi')
    # What Speck's additions cost is unknown: its rows say so, and are there.
    speck = [r for r in rows if r['chip'] == 'speck']
    assert speck and {r['high_mj'] for r in speck} == {''}
    assert {r['cause'] for r in speck} >= {'synapses', 'messages'}
    ops = (tmp_path / 'out' / 'ops_cmos45.csv').read_text()
    assert 'spiking_fp32_mj' in ops.splitlines()[0]
    assert total == pytest.approx(sum(
        energy['high'] for cause, energy in
        chips['loihi']['energy_mj'].items() if cause != 'static power'))
    pictures = {p.name for p in (tmp_path / 'out').glob('*.png')}
    assert {'spike_maps.png', 'loihi_layers.png', 'chips_energy.png',
            'firing_rate.png', 'energy_totals.png',
            'rate_by_layer.png', 'cmos45_memory_energy_totals.png',
            'spinnaker2_synchronous_layers.png',
            'spinnaker2_asynchronous_layers.png'} <= pictures
    assert {(r['chip'], r['timing']) for r in rows} >= {
        ('spinnaker2', 'synchronous'), ('spinnaker2', 'asynchronous')}
    text = '\n'.join(format_report(report))
    assert 'speck' in text.lower() and 'not measured' in text
    for e in (*report.estimate.on_chip, *report.estimate.operations):
        assert e.constants
        for c in e.constants:  # each with unit, status and source
            assert ' '.join(str(c).split()) in ' '.join(text.split())
    costliest = max(report.estimate.on_chip[0].rows, key=lambda row: sum(
        energy.high for energy in row.energy_mj.values()))
    assert any(line.startswith(f'{costliest.name} ')
               for line in format_report(report, top=1))
    second = report.estimate.operations[1].results[0]
    assert f'{second.energy_mj:.4g} mJ' in text
    assert 'nothing is reused or cached' in text


@pytest.fixture
def linked_speck(tmp_path):
    """Speck with a made-up time for the way between chips, which nobody
    knows."""
    text = (CHIP_DIR / 'speck.yaml').read_text()
    path = tmp_path / 'speck.yaml'
    path.write_text(text.replace('  transport:\n', """\
  link: {value: 1, unit: ns, source: made up, status: derived}
  transport:
"""))
    return path


def test_what_free_running_costs(run, tmp_path, linked_speck):
    report = run('mmseg', [(64, 64)] * 2,
                 ['cmos45', 'cmos45_memory', linked_speck], free_running=True)
    rows = {r.what: r for r in report.beside_lossless}
    spikes = rows['spikes per neuron']
    change = spikes.free_running / spikes.lossless - 1
    assert change and f'{change:+.1%} spikes' in report.free_running
    sops = rows['additions that spikes cause']
    energy = rows['spiking form, FP32 weights, cmos45, mJ']
    # Nothing else differs, but for the additions.
    assert energy.free_running - energy.lossless == pytest.approx(
        (sops.free_running - sops.lossless) * 0.9e-9)
    assert rows['spiking form, INT8 weights, cmos45_memory, mJ'
                ].free_running.high > 0
    latency = rows['latency, speck, asynchronous, ms']
    assert latency.free_running.high < latency.lossless.high
    assert rows['energy of one image alone, speck, asynchronous, mJ'
                ].lossless is None  # its energy per addition is unknown
    raw = json.loads((write_hardware_files(tmp_path / 'out', report).parent /
                      'hardware.json').read_text())
    assert raw['beside_lossless'][0]['free_running'] == spikes.free_running
    assert f'  {energy}' in format_report(report)


def test_a_classifier_beside_a_reported_energy(run, trained):
    config, checkpoint = trained('mmpretrain')
    report = run('mmpretrain', [(32, 32)] * 2, ['cmos45'])
    assert report.implied is None and not report.estimate.on_chip
    measured = measure(Config.fromfile(config), checkpoint, 1)
    report = make_report(Config.fromfile(config), checkpoint, measured,
                         ['cmos45'], power_mj=1.0)
    assert report.implied.power_mj == 1.0
    assert '1 mJ, as reported, imply' in '\n'.join(format_report(report))
    assert report.rates['network'].std is None  # of one image


def test_images_of_several_sizes(run):
    # A network is mapped for the commonest size.
    report = run('mmdet', [(64, 64), (64, 96), (64, 64)], ['loihi'])
    assert report.images == 3 and len(report.trace.image_shapes) == 2
    assert not report.estimate.failed
    assert report.estimate.on_chip[0].images == 2


def test_specs_that_clash_or_give_nothing(run, tmp_path):
    path = tmp_path / 'mine.yaml'
    text = (CHIP_DIR / 'cmos45.yaml').read_text()
    path.write_text(text)
    with pytest.raises(ValueError, match="the name 'cmos45', .*mine.yaml"):
        run('mmpretrain', [(32, 32)], ['cmos45', path])
    path.write_text("""\
name: half
title: half precision only
description: a spec that no estimate uses
includes: [additions]
excludes: [all else]
fp16:
  ac: {value: 0.4, unit: pJ, source: made up, status: derived}
""")
    report = run('mmpretrain', [(32, 32)], ['cmos45', path])
    assert len(report.estimate.operations) == 1
    assert 'neither costs of operations' in report.estimate.failed['half']


def point(**changes):
    return dict(dict(label='D=2', chip='cmos45', energy_mj=1., metric='top1',
                     value=70.), **changes)


def test_points_of_other_runs(run, trained, tmp_path):
    config, checkpoint = trained('mmpretrain')
    config = Config.fromfile(config)
    other = tmp_path / 'hardware.json'
    other.write_text(json.dumps(dict(points=[point()])))
    run('mmpretrain', [(32, 32)], ['cmos45'])  # in place of the data set
    measured = measure(config, checkpoint, 1)
    measured.metrics = dict(top1=60., top5=90.)
    report = make_report(config, checkpoint, measured,
                         ['cmos45_memory', 'cmos45'], points=[other])
    # A range is no point: the first chip with one number is taken.
    own = point(label='D=4', value=60.,
                energy_mj=report.estimate.operations[1].results[0].energy_mj)
    assert list(report.points) == [own, point()]
    written = write_hardware_files(tmp_path / 'out', report)
    assert (written.parent / 'energy_accuracy.png').exists()
    # What is written can be read again.
    assert read_points(written.parent / 'hardware.json') == [own, point()]


@pytest.mark.parametrize('text, fault', [
    ('', 'JSONDecodeError'), ('{}', "KeyError: 'points'"),
    ('{"points": 3}', 'TypeError'), ('[]', 'TypeError'),
    (json.dumps(dict(points=[dict(label='D=2')])), "KeyError: 'chip'"),
    (json.dumps(dict(points=[point(energy_mj=None)])),
     'energy_mj of a point is None'),
    (json.dumps(dict(points=[])), 'holds no point .* with --metrics')])
def test_bad_points(tmp_path, text, fault):
    path = tmp_path / 'hardware.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=f'hardware.json .*{fault}'):
        read_points(path)
    with pytest.raises(ValueError, match='none.json .*FileNotFound'):
        read_points(tmp_path / 'none.json')


def test_bad_input(trained):
    config, checkpoint = trained('mmpretrain')
    with pytest.raises(ValueError, match='images must be 0'):
        measure(Config.fromfile(config), checkpoint, -1)
