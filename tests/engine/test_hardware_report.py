"""The report on chips, from a config and a checkpoint."""

import csv
import json

import numpy as np
import pytest
from mmengine.config import Config

from mmsnn.conversion import OpTrace
from mmsnn.engine.hardware_report import (
    format_report,
    make_report,
    measure,
    write_all,
)


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

    def go(scope, sizes, chips, **options):
        config, checkpoint = trained(scope)
        config = Config.fromfile(config)
        monkeypatch.setattr(
            'mmengine.runner.Runner.build_dataloader',
            lambda *args, **kwargs: Noise(config, scope, sizes))
        measured = measure(config, checkpoint, **options)
        return make_report(config, checkpoint, measured, chips)

    return go


def test_a_segmentor_on_several_chips(run, tmp_path):
    report = run('mmseg', [(64, 64)] * 3, ['cmos45', 'loihi', 'speck'],
                 free_running=True)
    assert report.images == 3 and not report.failed
    assert [e.chip for e in report.chips] == ['loihi', 'speck']
    path = write_all(tmp_path / 'out', report)
    html = path.read_text()
    for word in ('Loihi', 'first layer', 'standard deviation', 'Touched',
                 'fire differently', 'accumulator bits'):
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
    spread = raw['spreads']['cmos45']['spiking_fp32']
    assert spread['std'] > 0 and spread['low'] < spread['mean']
    trace = OpTrace.load(tmp_path / 'out' / 'trace.json')
    assert trace.images == trace.statistics.runs == 3
    with open(tmp_path / 'out' / 'chips.csv') as file:
        rows = list(csv.DictReader(file))
    total = sum(float(r['high_mj']) for r in rows if r['chip'] == 'loihi')
    assert total == pytest.approx(sum(
        energy['high'] for cause, energy in
        chips['loihi']['energy_mj'].items() if cause != 'static power'))
    pictures = {p.name for p in (tmp_path / 'out').glob('*.png')}
    assert {'spike_maps.png', 'loihi_layers.png', 'chips_energy.png',
            'firing_rate.png', 'energy_totals.png',
            'rate_by_layer.png'} <= pictures
    text = '\n'.join(format_report(report))
    assert 'speck' in text.lower() and 'not measured' in text


def test_a_classifier_beside_a_reported_power(run, trained):
    config, checkpoint = trained('mmpretrain')
    report = run('mmpretrain', [(32, 32)] * 2, ['cmos45'])
    assert report.implied is None and not report.chips
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
    assert not report.failed and report.chips[0].images == 2


def test_points_of_other_runs(run, tmp_path):
    path = tmp_path / 'hardware.json'
    path.write_text('{}')
    report = run('mmpretrain', [(32, 32)], ['cmos45'])
    report.points = [dict(label=f'D={d}', energy_mj=d, metric='top1',
                          value=70. + d) for d in (2, 4)]
    written = write_all(tmp_path / 'out', report)
    assert (written.parent / 'energy_accuracy.png').exists()
    assert len(json.loads(
        (written.parent / 'hardware.json').read_text())['points']) == 2


def test_bad_input(trained):
    config, checkpoint = trained('mmpretrain')
    with pytest.raises(ValueError, match='images must be 0'):
        measure(Config.fromfile(config), checkpoint, -1)
