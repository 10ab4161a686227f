import base64
import re
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from mmsnn.hardware.operations.estimate import estimate_operations
from mmsnn.trace import OpRecord, OpTrace
from mmsnn.visualization import EvaluationReport, write_evaluation_report

SECTIONS = ('answers', 'metrics', 'pictures', 'equality', 'energy', 'rates',
            'audit', 'attention', 'constants', 'provenance')


class Page(HTMLParser):
    """Text and references of a page; fails on tags that do not match."""

    VOID = ('meta', 'img', 'br')

    def __init__(self, path):
        super().__init__()
        self.raw = path.read_text()
        self.open, self.words, self.references, self.ids = [], [], [], []
        self.texts = {}
        self.feed(self.raw)
        self.close()
        assert not self.open
        self.text = ' '.join(' '.join(self.words).split())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        self.references += [
            attrs[x] for x in ('src', 'href') if attrs.get(x)]
        if 'id' in attrs:
            self.ids.append(attrs['id'])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if 'style' not in self.open:
            self.words.append(data)
            section = self.ids[-1] if self.ids else 'head'
            self.texts[section] = ' '.join(
                (self.texts.get(section, '') + ' ' + data).split())


def page(tmp_path, **fields):
    return Page(
        write_evaluation_report(tmp_path / 'report.html',
                     EvaluationReport(title='A run', **fields))[0])


@pytest.fixture
def picture():
    figure = Figure(figsize=(1, 1))
    figure.subplots()
    return ('predictions.png', figure, 'What it predicts.')


def test_whole_report(tmp_path, trace, energy, equality, picture):
    written = write_evaluation_report(
        tmp_path / 'new' / 'report.html',
        EvaluationReport(
            title='A <b>run</b>',
            training_metrics={'mIoU': 0.75, 'mAcc': 0.8},
            spike_train_metrics={'mIoU': 0.74, 'aAcc': 0.9},
            equality=[equality(), equality('float32', 3)],
            estimate=energy,
            trace=trace,
            pictures=[picture],
            provenance={
                'seed': 0,
                'versions': {'mmsnn': '0.1', 'torch': '2.8'},
                'note': 'more'
            }))
    names = ['report.html', 'energy_totals.png', 'energy_by_layer.png',
             'firing_rate.png', 'rate_by_layer.png', 'predictions.png']
    assert [path.name for path in written] == names
    folder = written[0].parent
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)
    html = Page(written[0])
    assert tuple(html.ids) == SECTIONS
    assert 'A <b>run</b>' in html.text  # escaped

    # self-contained: pictures embedded, the same as beside it
    for reference in html.references:
        assert reference.startswith(('data:image/png;base64,', '#'))
    assert not re.search(r'https?://|@import|url\(', html.raw)
    embedded = [
        base64.b64decode(x.split(',')[1]) for x in html.references
        if x.startswith('data:')
    ]
    assert sorted(embedded) == sorted(
        path.read_bytes() for path in written[1:])
    assert all(data.startswith(b'\x89PNG') for data in embedded)

    assert 'mIoU 0.75 0.74 -0.01' in html.texts['metrics']
    assert 'mAcc 0.8 not measured not measured' in html.texts['metrics']
    assert 'aAcc not measured 0.9 not measured' in html.texts['metrics']
    assert 'net.neuron 1,000 3 0 1 400 403' in html.texts['equality']
    provenance = html.texts['provenance']
    assert 'versions mmsnn 0.1, torch 2.8' in provenance
    assert 'seed 0' in provenance and 'note more' in provenance
    assert 'date not recorded' in provenance


def test_ranges_are_shown_as_such(tmp_path, trace):
    energy = estimate_operations(trace, 'cmos45_memory')
    html = write_evaluation_report(
        tmp_path / 'report.html',
        EvaluationReport('Ranges', estimate=energy,
                         trace=trace))[0].read_text()
    total = energy['spiking_fp32'].energy_mj
    assert f'{total:.4g} mJ per image' in html
    assert f'{energy.comparisons[0].ratio:.3g} x the float twin' in html
    assert 'nothing is reused or cached' in html
    assert 'states written x ' in html


def test_answers_stand_on_the_first_page(tmp_path, trace, energy, equality):
    html = page(
        tmp_path,
        trace=trace,
        estimate=energy,
        equality=[equality(), equality('float32', 1)])
    answers = html.texts['answers']
    for sentence in energy.verdicts:
        assert sentence in answers
    assert 'In float64, none of 1,000 spike counts differs' in answers
    assert 'In float32, 1 of 1,000 spike counts differs' in answers
    # 600 sops, 500 + 64 MACs over two images
    assert ('300 synapse ACs x 0.9 pJ + 250 synapse MACs x 4.6 pJ + 32 other '
            'real MACs x 4.6 pJ = 1.567e-06 mJ per image') in answers
    assert 'The rate of an op is that of its own input' in answers
    assert 'The highest rate here is 1.3, at net.1.fc (D = 4).' in answers
    # (500 + 64) * 4.6 of 3134.4 pJ
    assert 'Ops: 2, each named in the audit below.' in answers
    assert '82.8% of the energy' in answers
    # 1000 needs 10 bits and a sign
    assert 'The largest sum that can occur is 1,000: accumulators need 11 ' \
        'bits with sign.' in answers
    assert 'Norms left unfolded here: 0.' in answers
    assert 'Products driven by spikes: 1.' in answers
    assert 'Static power and leakage.' in answers
    assert 'not measured' not in answers


def test_audit_and_constants_are_complete(tmp_path, trace, energy):
    html = page(tmp_path, trace=trace, estimate=energy)
    audit = html.texts['audit']
    assert 'net.stem conv convolution 500 0 0 0 the input is the image' \
        in audit
    assert 'head.up interpolate bilinear 64 0 0 0' in audit
    assert 'net.0.conv' not in audit
    for constant in energy.constants:
        assert (f'{constant.name} {constant.value} {constant.unit} '
                f'{", ".join(constant.charged_for)} {constant.source} '
                f'{constant.status}') in html.texts['constants']
    for text in (*energy.assumptions, *energy.not_charged):
        assert text in html.texts['constants']
    for layer in energy.layers:
        assert layer.module in html.texts['energy']


def test_nothing_measured_is_said_everywhere(tmp_path):
    html = page(tmp_path)
    for section in SECTIONS[:-1]:
        assert 'not measured' in html.texts[section], section
    assert html.texts['answers'].count('not measured') == 9
    assert html.texts['provenance'].count('not recorded') == 6
    assert [path.name for path in tmp_path.iterdir()] == ['report.html']


def test_what_was_not_tested_is_said(tmp_path, equality):
    report = equality()
    report.never_ran, report.silent = ['a.neuron'], list('bcde')
    html = page(tmp_path, equality=[report])
    assert ('Not tested, since reached by no image: 1 neuron layers '
            '(a.neuron).') in html.texts['answers']
    assert ('Not tested, since silent in both forms: 4 neuron layers '
            '(b, c, d, ...).') in html.texts['answers']


def test_wrong_conversion_is_said(tmp_path, equality):
    html = page(tmp_path, equality=[equality(differences=2)])
    assert 'In float64, 2 of 1,000 spike counts differ ' in html.text
    assert 'the conversion of this model is wrong' in html.texts['answers']
    assert 'class="card bad"' in html.raw


def test_ties_are_said(tmp_path, equality):
    html = page(tmp_path, equality=[equality(differences=2, ties=2)])
    assert '2 of them are ties' in html.texts['answers']
    assert 'The first differences, at net.neuron, are ties' in html.text
    html = page(tmp_path, equality=[equality(differences=2, ties=1)])
    assert 'the conversion of this model is wrong' in html.texts['answers']
    assert 'class="card bad"' in html.raw


def test_what_was_not_compared_is_said(tmp_path, equality):
    report = equality()
    report.not_compared = ['results[0] (generator)']
    html = page(tmp_path, equality=[report])
    assert 'Not compared: results[0] (generator).' in html.texts['answers']
    assert 'could not be compared' in html.texts['answers']
    assert 'would show as differences' not in html.text


def test_a_fault_behind_the_last_neuron_is_said(tmp_path, equality):
    html = page(tmp_path, equality=[equality(output_error=0.25)]).texts[
        'answers']
    assert 'relative difference 2.5e-01' in html
    assert 'a layer behind the last neuron is converted wrongly' in html


def test_proof_needs_float64(tmp_path, equality):
    html = page(tmp_path, equality=[equality('float32')])
    assert 'not measured: no comparison in float64' in html.texts['answers']
    html = page(tmp_path, equality=[equality(neurons=0)])
    assert 'no neuron was compared' in html.texts['answers']
    assert 'would show as differences' not in html.text


def test_a_loss_is_said(tmp_path):
    record = OpRecord(
        'fc', 'linear', 'linear', spiking=True, dense_ops=10, sops=80,
        in_spikes=8, in_elements=1, max_spikes=8)
    trace = OpTrace([record], images=1)
    html = page(tmp_path, trace=trace, estimate=estimate_operations(trace))
    assert '1.57 x the float twin: loses' in html.texts['head']
    assert 'it loses' in html.texts['answers']
    assert 'Nothing: spikes drive every op.' in html.texts['audit']
    assert 'no product of two activations' in html.texts['attention']
    assert 'holds no neuron' not in html.texts['rates']


def test_real_products_of_attention_are_said(tmp_path, trace):
    records = [
        *trace,
        OpRecord('net.2', 'matmul', 'bmm', macs=10, dense_ops=10),
        OpRecord('net.2', 'norm', 'layer_norm', macs=30)
    ]
    html = page(tmp_path, trace=OpTrace(records, images=1))
    assert 'charged as multiply-accumulates: 1.' in html.texts['answers']
    assert 'Norms left unfolded here: 1.' in html.texts['answers']


def test_a_report_is_replaced_as_a_whole(tmp_path, equality):
    page(tmp_path, equality=[equality()])
    html = page(tmp_path)
    assert 'no equality report' in html.text
    assert [path.name for path in tmp_path.iterdir()] == ['report.html']


def test_bad_names(tmp_path, energy, picture):
    _, figure, caption = picture

    def write(*pictures, file='report.html'):
        write_evaluation_report(
            tmp_path / file,
            EvaluationReport('A run', estimate=energy, pictures=pictures))

    with pytest.raises(ValueError, match='a report is an .html file'):
        write(file='report.pdf')
    with pytest.raises(ValueError, match='two pictures are called'):
        write(picture, picture)
    with pytest.raises(ValueError, match='two pictures are called energy_to'):
        write(('energy_totals.png', figure, caption))
    for bad in ('../x.png', 'x.jpg', ''):
        with pytest.raises(ValueError, match='plain .png name'):
            write((bad, figure, caption))
    assert not list(tmp_path.iterdir())


def test_ties_and_what_was_not_compared_are_shown(tmp_path, equality):
    report = equality(differences=5, ties=4)
    report.not_compared = [f'[{i}]: iterator' for i in range(5)]
    html = page(tmp_path, equality=[report])
    assert 'of 1,000; 4 are ties; 5 results not compared' in html.texts['head']
    assert 'net.neuron 1,000 5 4 1 400 405' in html.texts['equality']
    assert ('All that was not compared: [0]: iterator, [1]: iterator, '
            '[2]: iterator, [3]: iterator, [4]: iterator.'
            ) in html.texts['equality']
