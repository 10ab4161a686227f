import pytest
import yaml

from mmsnn.hardware import MissingFigureError, Range, list_chips, load_chip
from mmsnn.hardware.chips.schema import SCHEMA, SINGLE

FIGURE = {'value': 2.0, 'unit': 'pJ', 'source': 'a paper', 'status': 'read'}


def spec(**changes):
    """A smallest valid spec, as a dict."""
    raw = {
        'name': 'tiny',
        'title': 'Tiny chip',
        'description': 'For tests.',
        'includes': ['additions'],
        'excludes': ['memory'],
        'fp32': {'mac': dict(FIGURE)}}
    raw.update(changes)
    return raw


#: Of the section ``limits``.
LIMIT = dict(value=4, unit='cores', source='this test', status='read')
#: Part of another figure.
CONTAINED = dict(contained_in='events.synop', unit='pJ', source='this test',
                 status='read')


def limit(**changes):
    return {'cores': dict(LIMIT, **changes)}


def write(tmp_path, raw):
    path = tmp_path / 'tiny.yaml'
    path.write_text(yaml.safe_dump(raw))
    return path


def test_cmos45_has_the_published_figures():
    chip = load_chip('cmos45')
    expected = {
        'fp32.mac': 4.6,
        'fp32.ac': 0.9,
        'fp32.add': 0.9,
        'fp32.mul': 3.7,
        'fp16.mac': 1.5,
        'fp16.ac': 0.4,
        'int32.add': 0.1,
        'int32.mul': 3.1,
        'int8.mac': 0.23,
        'int8.ac': 0.03,
    }
    for name, value in expected.items():
        figure = chip.figure(name, 'this test')
        assert (figure.value, figure.unit) == (value, 'pJ'), name
        assert figure.source and figure.status == 'read', name
    assert chip.figure('process.node', 'this test').value == 45
    assert any('memory' in text for text in chip.excludes)
    assert any('static' in text for text in chip.excludes)


def test_derived_figures_follow_from_the_others():
    figures = load_chip('cmos45').figures
    assert figures['int32.mac'].status == 'derived'
    assert figures['int32.mac'].value == pytest.approx(
        figures['int32.mul'].value + figures['int32.add'].value)
    assert figures['fp32.mac'].value == pytest.approx(
        figures['fp32.mul'].value + figures['fp32.add'].value)


@pytest.mark.parametrize('name', list_chips())
def test_every_shipped_spec_loads_under_its_name(name):
    assert load_chip(name).name == name


def test_spec_from_a_path(tmp_path):
    chip = load_chip(write(tmp_path, spec()))
    assert chip.figure('fp32.mac', 'this test').value == 2.0
    assert chip.excludes == ('memory', )


@pytest.mark.parametrize('name', ['cmos28', 'nowhere.yaml', ''])
def test_unknown_chip_names_the_valid_ones(name):
    with pytest.raises(ValueError, match='unknown chip .*cmos45'):
        load_chip(name)


def test_null_raises_when_needed_and_names_figure_and_result():
    chip = load_chip('cmos45')
    with pytest.raises(
            MissingFigureError,
            match='the memory energy needs the figure memory.sram_8kb, which '
            r'is null in chip spec .*cmos45\.yaml \(10 pJ'):
        chip.figure('memory.sram_8kb', 'the memory energy')


def test_absent_figure_raises_and_names_figure_and_result(tmp_path):
    chip = load_chip(write(tmp_path, spec()))
    with pytest.raises(
            MissingFigureError,
            match='the energy needs the figure fp32.ac, which chip spec '
            r'.*tiny\.yaml does not list'):
        chip.figure('fp32.ac', 'the energy')


def figure(**changes):
    return {'mac': {**FIGURE, **changes}}


def lacking(key):
    return {'mac': {k: v for k, v in FIGURE.items() if k != key}}


@pytest.mark.parametrize('changes, message', [
    ({'memroy': {}}, 'unknown key memroy; valid: name, .*memory'),
    ({'fp32': {'mcc': FIGURE}}, 'unknown key fp32.mcc; valid: mac'),
    ({'fp32': figure(unti='pJ')}, 'unknown key fp32.mac.unti'),
    ({'fp32': lacking('status')}, 'fp32.mac lacks status'),
    ({'fp32': lacking('source')}, 'fp32.mac lacks source'),
    ({'fp32': lacking('value')}, 'fp32.mac lacks value'),
    ({'fp32': figure(unit='nJ')}, "fp32.mac.unit must be 'pJ', got 'nJ'"),
    ({'fp32': figure(status='seen')}, 'fp32.mac.status must be one of read'),
    ({'fp32': figure(source=' ')}, 'fp32.mac.source must say'),
    ({'fp32': figure(value=0)}, 'fp32.mac.value must be a positive number'),
    ({'fp32': figure(value=-1.0)}, 'fp32.mac.value must be a positive'),
    ({'fp32': figure(value='4.6 pJ')}, 'fp32.mac.value must be a positive'),
    ({'fp32': figure(value=True)}, 'fp32.mac.value must be a positive'),
    ({'fp32': figure(value=float('nan'))}, 'fp32.mac.value must be a posit'),
    ({'fp32': figure(value=None)}, 'null exactly when the status is unkn'),
    ({'fp32': figure(status='unknown')}, 'null exactly when the status'),
    ({'fp32': {'mac': 4.6}}, 'fp32.mac must be a mapping of value'),
    ({'fp32': [4.6]}, 'fp32 must map figure names to figures'),
    ({'fp32': {}}, 'has no figure: give at least one of the sections'),
    ({'title': None}, 'title must be a text, got None'),
    ({'excludes': 'memory'}, 'excludes must be a list of texts'),
    ({'limits': limit(value=0.5)}, 'limits.cores.value must be a whole numb'),
    ({'limits': limit(value={'low': 1, 'high': 2})}, 'must be a whole number'),
    ({'limits': dict(limit(value=3), neurons=dict(
        LIMIT, value=[4, 4], unit='neurons'))},
     r'limits.neurons.value must list .* of limits.cores \(3.0\), got 2'),
    ({'limits': {'cores': dict(CONTAINED, unit='cores')}},
     'limits.cores.contained_in: only figures of events, power, latency'),
    ({'fp32': {'mac': CONTAINED}}, 'fp32.mac.contained_in: only figures of'),
    ({'events': {'fire': dict(CONTAINED, contained_in='latency.fire')}},
     'events.fire.contained_in must name a figure of events or power'),
])
def test_schema_errors_name_file_and_key(tmp_path, changes, message):
    path = write(tmp_path, spec(**changes))
    with pytest.raises(ValueError, match=message) as error:
        load_chip(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('name', SCHEMA['limits'])
def test_limits_end_where_positions_fit_into_64_bits(tmp_path, name):
    """2^70 cores or tiles in a row would overflow when they are placed."""
    entry = dict(LIMIT, unit=SCHEMA['limits'][name])
    ranges = '' if f'limits.{name}' in SINGLE else ', a range {low, high},'
    for value in (2**40 + 1, 2**70, 1e30):
        path = write(tmp_path, spec(limits={name: dict(entry, value=value)}))
        with pytest.raises(ValueError) as error:
            load_chip(path)
        assert str(error.value) == (
            f'chip spec {path}: limits.{name}.value must be a whole number '
            f'from 1 to 1099511627776{ranges} or null if it is unknown, got '
            f'{value!r}')
    path = write(tmp_path, spec(limits={name: dict(entry, value=2**40)}))
    assert load_chip(path).figures[f'limits.{name}'].value == 2**40


@pytest.mark.parametrize('content, message', [
    (b'a: [1', 'not valid YAML'), (b'- 1', 'must be a mapping'),
    (b'name: a\nname: b', "the key 'name' stands twice"),
    (b'title: \xff', 'not valid YAML.*utf-8')])
def test_broken_file_is_named(tmp_path, content, message):
    path = tmp_path / 'broken.yaml'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        load_chip(path)
    assert str(path) in str(error.value)


def events(**entry):
    figure = dict(unit='pJ', source='a paper', status='read')
    return {'synop': dict(figure, value=1), 'fire': {**figure, **entry}}


@pytest.mark.parametrize('entry, message', [
    (dict(value={'low': 2, 'high': 1}), '0 <= low <= high'),
    (dict(value={'low': -1, 'high': 1}), '0 <= low <= high'),
    (dict(value=[1, 2]), 'must be a positive number, a range'),
    (dict(value={1: 2}), 'must be a positive number, a range'),
    (dict(contained_in='events.mac'), 'must name a figure'),
    (dict(contained_in='events.synop', value=1), 'value; valid: contained_in'),
])
def test_wrong_ranges_and_containers_are_named(tmp_path, entry, message):
    path = write(tmp_path, spec(events=events(**entry)))
    with pytest.raises(ValueError, match=f'events.fire.*{message}'):
        load_chip(path)


def test_ranges_tables_and_lists_are_read(tmp_path):
    def figure(value, unit):
        return dict(value=value, unit=unit, source='x', status='read')
    chip = load_chip(write(tmp_path, spec(
        events=events(value={'low': 0, 'high': 2}),
        latency={'barrier': figure({4: 20, 1: 10}, 'ns')},
        limits={'cores': figure(2, 'cores'),
                'neurons': figure([8, 16], 'neurons')},
        support={'synchronous': figure(False, 'yes/no')})))
    figures = {name: f.value for name, f in chip.figures.items()}
    assert figures['events.fire'] == Range(0, 2)
    assert list(figures['latency.barrier'].items()) == [(1, 10), (4, 20)]
    assert figures['limits.neurons'] == (8, 16)
    assert figures['support.synchronous'] is False
    assert chip.at('high').figures['events.fire'].value == 2
    with pytest.raises(ValueError, match="'low' or 'high', got 'mean'"):
        chip.at('mean')


COUNTS = [name for name in SCHEMA['limits'] if name not in (
    'chips', 'cores', 'cores_per_tile', 'mesh_width', 'mesh_height')]
WRONG_COUNTS = [0, -1, 2.5, True, '4', 10**400, float('inf'), [],
                {'low': 0, 'high': 4}, {'low': 1.5, 'high': 4},
                {'low': 4, 'high': 2}, {'low': True, 'high': 4},
                {'low': 1}, {'low': 1, 'high': 2, 'mean': 1}]


def refused(tmp_path, section, name, values, message):
    for value in values:
        entry = dict(value=value, unit=SCHEMA[section][name], source='x',
                     status='read')
        path = write(tmp_path, spec(**{section: {name: entry}}))
        with pytest.raises(ValueError, match=message):
            load_chip(path)


@pytest.mark.parametrize('name', SCHEMA['limits'])
def test_limits_are_whole_numbers(tmp_path, name):
    refused(tmp_path, 'limits', name, WRONG_COUNTS,
            f'limits.{name}.value must')


@pytest.mark.parametrize('name', COUNTS)
def test_limits_may_be_ranges(tmp_path, name):
    entry = dict(value={'low': 2, 'high': 4.0}, unit=SCHEMA['limits'][name],
                 source='x', status='read')
    chip = load_chip(write(tmp_path, spec(limits={name: entry})))
    assert chip.figures[f'limits.{name}'].value == Range(2, 4)


WRONG_COSTS = [0, -1, True, '4', 10**400, float('inf'), [1],
               {'low': -1, 'high': 4}, {'low': 4, 'high': 2},
               {'low': False, 'high': 4}, {'low': 0, 'high': 0},
               {'low': 1, 'high': 2, 'mean': 1}, {True: 2}]


@pytest.mark.parametrize('key', [
    f'{section}.{name}' for section, names in SCHEMA.items()
    for name in names if section not in ('limits', 'support')
])
def test_costs_are_positive_numbers(tmp_path, key):
    refused(tmp_path, *key.split('.'), WRONG_COSTS, f'{key}.value must')


@pytest.mark.parametrize('name', SCHEMA['support'])
def test_abilities_are_true_or_false(tmp_path, name):
    refused(tmp_path, 'support', name,
            [1, 0, 'yes', 1.0, [True], {'low': True, 'high': True}],
            f'support.{name}.value must be true')


def abilities(**values):
    return {name: dict(value=value, unit='yes/no', source='x',
                       status='unknown' if value is None else 'read')
            for name, value in values.items()}


@pytest.mark.parametrize('ways', [
    ('synchronous', 'asynchronous'), ('shared_weights', 'unrolled_weights')])
def test_a_chip_can_run_somehow(tmp_path, ways):
    first, second = ways
    both = abilities(**{first: False, second: False})
    with pytest.raises(ValueError, match=f'support.{first} and support.'
                       f'{second} are both false.*must be true, or null'):
        load_chip(write(tmp_path, spec(support=both)))
    for other in (True, None):
        load_chip(write(tmp_path, spec(support=abilities(
            **{first: False, second: other}))))
    load_chip(write(tmp_path, spec(support=abilities(**{first: False}))))


@pytest.mark.parametrize('changes, near', [
    ({'memroy': {}}, "did you mean 'memory'"),
    ({'limits': {'neuron': FIGURE}}, "did you mean 'limits.neurons'"),
    ({'events': {'synops': FIGURE}}, "did you mean 'events.synop'"),
    ({'fp32': {'mac': {**FIGURE, 'vaule': 1}}},
     "did you mean 'fp32.mac.value'"),
])
def test_a_wrong_key_names_the_nearest(tmp_path, changes, near):
    with pytest.raises(ValueError, match=near):
        load_chip(write(tmp_path, spec(**changes)))


def test_a_container_is_a_name(tmp_path):
    path = write(tmp_path, spec(events=events(contained_in=['events.synop'])))
    with pytest.raises(ValueError, match='contained_in must name a figure'):
        load_chip(path)


def test_a_truth_must_be_one(tmp_path):
    wrong = dict(value=1, unit='yes/no', source='x', status='read')
    path = write(tmp_path, spec(support={'synchronous': wrong}))
    with pytest.raises(ValueError, match='support.synchronous.*true or false'):
        load_chip(path)


def test_a_contained_figure_needs_its_container(tmp_path):
    raw = spec(events=events(contained_in='events.synop'))
    raw['events']['synop'].update(value=None, status='unknown')
    chip = load_chip(write(tmp_path, raw))
    with pytest.raises(MissingFigureError, match='synop, which is null'):
        chip.figure('events.fire', 'this test')


def test_memory_at_45_nm_prices_arithmetic_as_cmos45_does(example):
    from mmsnn.hardware.operations.estimate import estimate_operations
    chip = load_chip('cmos45_memory')
    alone = estimate_operations(example, 'cmos45')['spiking_fp32'].causes
    causes = estimate_operations(example, chip)['spiking_fp32'].causes
    assert {k: causes[k] for k in alone} == alone
    for bits, end in ((64, 'low'), (32, 'high')):
        figure = chip.at(end).figures['memory.sram_8kb']
        assert figure.value == pytest.approx(10 / (bits / 8))
