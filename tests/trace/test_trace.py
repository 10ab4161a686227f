import json
import math
from dataclasses import asdict

import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.neurons import SFANeuron
from mmsnn.trace import OpRecord, OpTrace, Reads, RunStatistics
from mmsnn.trace.reads import runs


class Net(nn.Module):

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.neuron = SFANeuron(3)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        x = self.stem(x)
        return x + self.conv(self.neuron(x)) + self.conv(x)


@pytest.fixture
def net():
    return Net()


def record(net, *batches):
    with to_spike_train(net) as spiking:
        for x in batches:
            spiking(x)
    return spiking.trace


def same(a, b):
    assert a.images == b.images
    assert list(a) == list(b)


def test_save_and_load(net, tmp_path):
    trace = record(net, torch.randn(2, 3, 5, 6))
    path = tmp_path / 'folder' / 'trace.json'
    trace.save(path)
    loaded = OpTrace.load(path)
    same(loaded, trace)
    assert list(loaded)[0].input_shape == (2, 3, 5, 6)
    assert loaded.firing_rate() == trace.firing_rate()
    trace.save(str(path))  # over the old one, and from a string
    same(OpTrace.load(str(path)), trace)
    assert [p.name for p in path.parent.iterdir()] == ['trace.json']


def test_merged_is_what_one_run_over_all_gives(net, tmp_path):
    batches = [torch.randn(n, 3, 5, 6) for n in (2, 1, 3)]
    whole = record(net, *batches)
    parts = [record(net, x) for x in batches]
    merged = OpTrace.merged(parts)
    # Shapes are those of the last call in both.
    same(merged, whole)
    # A file's records meet those that were recorded here.
    parts[1].save(tmp_path / 'trace.json')
    parts[1] = OpTrace.load(tmp_path / 'trace.json')
    same(OpTrace.merged(parts), whole)
    same(OpTrace.merged([OpTrace.merged(parts[:2]), parts[2]]), whole)
    assert [p.images for p in parts] == [2, 1, 3]  # they stay as they are
    same(OpTrace.merged([]), OpTrace())


def test_merging_does_not_change_the_parts(net):
    part = record(net, torch.randn(1, 3, 5, 6))
    before = part.total('sops')
    OpTrace.merged([part, part])
    assert part.total('sops') == before


def test_amounts_that_are_not_summed():
    one = OpRecord('fc', 'linear', 'mm', spiking=True, sops=3, weight_bytes=8,
                   accumulator_max=5, max_spikes=4)
    two = OpRecord('fc', 'linear', 'mm', spiking=True, sops=4, weight_bytes=8,
                   accumulator_max=9, max_spikes=4, calls=1)
    record, = OpTrace.merged([OpTrace([one], 1), OpTrace([two], 1)])
    assert (record.sops, record.weight_bytes) == (7, 8)
    assert (record.accumulator_max, record.max_spikes) == (9, 4)


def test_per_image_of_nothing():
    with pytest.raises(ValueError, match='holds no image.*at least one'):
        OpTrace().per_image('sops')
    assert OpTrace().firing_rate() == []


def test_unknown_kind():
    with pytest.raises(ValueError, match="kind 'convo' of 'stem' is not one"):
        OpRecord('stem', 'convo', 'convolution')


def test_rate():
    r = OpRecord('fc', 'linear', 'mm', in_spikes=6, in_elements=4)
    assert r.rate == 1.5
    assert OpRecord('fc', 'linear', 'mm').rate == 0


def test_audit():
    records = [
        OpRecord('stem', 'conv', 'convolution', macs=5),
        OpRecord('free', 'real', 'view'),
        OpRecord('neuron', 'neuron', 'neuron', neurons=3),
        OpRecord('fc', 'linear', 'mm', spiking=True, sops=5, adds=2),
        OpRecord('pool', 'pool', 'max_pool2d', comparisons=1),
        OpRecord('res', 'add', 'add', adds=1),
        OpRecord('exp', 'real', 'exp', other=1)
    ]
    assert [r.module for r in OpTrace(records).audit()] == [
        'stem', 'pool', 'res', 'exp']


def valid():
    return json.loads(json.dumps(dict(
        format=3, images=1, image_shapes=[[[3, 5, 6], 1]],
        statistics=asdict(RunStatistics()), records=[
            dict(module='fc', kind='linear', op='mm', input_shape=[1],
                 output_shape=[1], sources=[['input', False]])])))


def damage(raw, **changes):
    return json.dumps(dict(raw, **changes))


def test_the_least_file_loads(tmp_path):
    (tmp_path / 'trace.json').write_text(json.dumps(valid()))
    assert len(OpTrace.load(tmp_path / 'trace.json')) == 1


@pytest.mark.parametrize('text', [
    '', '{"format": 1, "ima', '[]', '7', 'null', b'\xff\xfe\x00',
    damage(valid(), format=2), damage(valid(), statistics=dict(x=1)),
    damage(valid(), records=[dict(valid()['records'][0], sources=[[7, 0]])]),
    damage(valid(), image_shapes=5), damage(valid(), format=99),
    damage(valid(), records=None),
    damage(valid(), records=[3]),
    damage(valid(), records=[dict(valid()['records'][0], tops=1)]),
    damage(valid(), records=[dict(valid()['records'][0], kind='x')]),
    damage(valid(), records=[dict(kind='linear')]),
    json.dumps({k: v for k, v in valid().items() if k != 'images'}),
])
def test_a_damaged_file_is_named(tmp_path, text):
    path = tmp_path / 'trace.json'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r'trace\.json is not an op trace'):
        OpTrace.load(path)


@pytest.mark.parametrize('text, said', [
    ('[]', r'the trace must be an object, but is \[\]'),
    (damage(valid(), records=None), 'records must be a list, but is None'),
    (damage(valid(), records=[3]), 'record 0 must be an object, but is 3'),
    (damage(valid(), statistics=5), 'statistics must be an object, but is 5'),
    (damage(valid(), image_shapes=5), 'image_shapes must be a list, but is 5'),
    (damage(valid(), format='\x00' * 999), r"format '\\x00.*\.\.\., expected"),
    (damage(valid(), records=[dict(valid()['records'][0],
                                   **{'\x00' * 999: 1})]), 'unknown field'),
    (damage(valid(), records=[dict(valid()['records'][0],
                                   kind='\x00' * 999)]),
     'kind must be one of conv, '),
    (damage(valid(), records=[dict(valid()['records'][0],
                                   module='\x00' * 999, sops=-1)]), 'sops'),
])
def test_what_is_said_is_short(tmp_path, text, said):
    (tmp_path / 'a.json').write_text(text)
    with pytest.raises(ValueError, match=said) as error:
        OpTrace.load(tmp_path / 'a.json')
    message = str(error.value).removeprefix(str(tmp_path))
    assert message.isprintable() and len(message) < 250


NEURON = dict(module='n', kind='neuron', op='neuron', input_shape=[2],
              output_shape=[2], neurons=4, max_spikes=2, spikes=[3, 1],
              sources=[['input', False]])


@pytest.mark.parametrize('changes, said', [
    (dict(sops=-5), 'sops must be an integer of 0 or more, but is -5'),
    (dict(macs=1.5), 'macs must be an integer of 0 or more, but is 1.5'),
    (dict(adds=math.nan), 'adds must be an integer .* is nan'),
    (dict(adds=True), 'adds must be an integer .* is True'),
    (dict(other='7'), "other must be an integer of 0 or more, but is '7'"),
    (dict(calls=10**40), 'calls must be'),
    (dict(spiking=1), 'spiking must be true or false, but is 1'),
    (dict(note=None), 'note must be a text, but is None'),
    (dict(spikes=[3, -1]), 'spikes must be .* is .3, -1'),
    (dict(spikes=[3, 6]), '9 spikes, but its neurons could fire 8 at most'),
    (dict(output_shape=[2, 'x']), 'output_shape must be'),
    (dict(axis_spikes=[[1]]), 'axis_spikes must be'),
    (dict(squares=dict(sops=math.inf)), 'squares must be'),
    (dict(squares=dict(sops=-1.)), 'squares must be'),
    (dict(geometry=dict(kernel=[3, -3])), 'geometry must be'),
    (dict(weight_pieces=[['w', 0, 1]]), 'weight_pieces must be'),
    (dict(sources=[[-1, False]]), 'sources .*of one of 1 records'),
    (dict(sources=[['conv', False]]), 'sources'),
    (dict(sources=[[0, 2]]), 'sources'),
    (dict(reads=[[0, dict(shape=[1], elements=-1)]]),
     'elements must be'),
    (dict(reads=[[0, dict(lines=[[[0, 0, 1]]])]]), 'lines must be'),
])
def test_values_that_no_trace_has(tmp_path, changes, said):
    path = tmp_path / 'trace.json'
    path.write_text(damage(valid(), records=[NEURON]))
    assert OpTrace.load(path).total('neurons') == 4
    path.write_text(damage(valid(), records=[NEURON | changes]))
    with pytest.raises(ValueError, match='trace.json is not an op trace '
                       f'written by mmsnn: .*record 0.*{said}'):
        OpTrace.load(path)


@pytest.mark.parametrize('changes', [
    dict(images=-1), dict(images=None), dict(images=1.),
    dict(image_shapes=[[[3, -5], 1]]), dict(image_shapes=[[[3], -1]]),
    dict(statistics=dict(runs=-1)), dict(statistics=dict(sums=[1])),
    dict(statistics=dict(squares=[[math.nan] * 8] * 8)),
])
def test_totals_that_no_trace_has(tmp_path, changes):
    (tmp_path / 'trace.json').write_text(damage(valid(), **changes))
    with pytest.raises(ValueError, match=r'trace.json is not an op trace.*'
                       'must be'):
        OpTrace.load(tmp_path / 'trace.json')


def test_each_place_where_a_file_may_be_cut_off(net, tmp_path):
    path = tmp_path / 'trace.json'
    record(net, torch.rand(1, 3, 5, 6)).save(path)
    content = path.read_text()
    for size in range(0, len(content) - 1, 97):
        path.write_text(content[:size])
        with pytest.raises(ValueError, match='is not an op trace'):
            OpTrace.load(path)


def test_what_is_read_of_a_layer_is_kept(tmp_path):
    """Through a file, an old file without it, and traces of two processes,
    which have sampled other spikes."""
    def trace(spikes, step=1):
        made = OpTrace([OpRecord('n', 'neuron', 'neuron'),
                        OpRecord('fc', 'linear', 'mm', spiking=True)], 1)
        n, fc = made._records
        made.connect(n, ['input'])
        made.connect(fc, [n], reads={n: Reads(
            [1, 1, 4], 2, 2, spikes, [3, 2], sum(spikes), anchor=1,
            lines=[[[1, 1, 0]], [[1, 2, step]]])})
        return made

    one = trace([2, 1])
    one.save(tmp_path / 'trace.json')
    loaded = OpTrace.load(tmp_path / 'trace.json')
    assert loaded.reads() == one.reads() == [{}, {0: one.reads()[1][0]}]
    both = OpTrace.merged([loaded, trace([1, 1])]).reads()[1][0]
    assert (both.spikes, both.fired, both.arrived) == ([3, 2], [6, 4], 5)
    assert both.lines == [[[1, 1, 0]], [[1, 2, 1]]]
    # Other elements: which ones is not known any more.
    other = OpTrace.merged([loaded, trace([1, 1], step=2)]).reads()[1][0]
    assert other.spikes == [3, 2] and not other.lines
    raw = json.loads((tmp_path / 'trace.json').read_text())
    for record in raw['records']:
        del record['reads'], record['weight_pieces']
    (tmp_path / 'old.json').write_text(json.dumps(dict(raw, format=3)))
    old = OpTrace.load(tmp_path / 'old.json')
    assert old.reads() == [{}, {}] and old.sources() == one.sources()


@pytest.mark.parametrize('numbers, expected', [
    ([], []), ([7], [[7, 1, 0]]), ([0, 1, 2], [[0, 3, 1]]),
    ([5, 5, 5, 4], [[5, 3, 0], [4, 1, 0]]), ([-1, -1], [[-1, 2, 0]]),
    ([3, 2, 1, 0, -1], [[3, 4, -1], [-1, 1, 0]]),
    ([-1, 0, 4, 8, 9], [[-1, 1, 0], [0, 3, 4], [9, 1, 0]]),
])
def test_numbers_as_runs(numbers, expected):
    assert runs(numbers) == expected
    reads = Reads([1], 1, 1, [], [], 0, lines=[expected])
    assert reads.indices(0) == numbers


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='absent.json'):
        OpTrace.load(tmp_path / 'absent.json')


def test_nothing_half_written_is_taken_for_whole(net, tmp_path, monkeypatch):
    path = tmp_path / 'trace.json'
    trace = record(net, torch.randn(1, 3, 5, 6))
    trace.save(path)
    before = path.read_text()

    def full(*args):
        raise OSError('disk full')

    monkeypatch.setattr('os.replace', full)
    with pytest.raises(OSError, match='disk full'):
        OpTrace([], 9).save(path)
    assert path.read_text() == before
