import pytest

from mmsnn.suggest import did_you_mean

KEYS = ['decay', 'decay_input', 'max_spikes', 'timesteps']


@pytest.mark.parametrize('name, nearest', [
    ('max_spike', 'max_spikes'), ('MAXSPIKES', 'max_spikes'),
    ('decays', 'decay'), ('decay_inputs', 'decay_input'),
    ('time_steps', 'timesteps')
])
def test_the_nearest_name(name, nearest):
    assert did_you_mean(name, KEYS) == f" (did you mean '{nearest}'?)"


def test_the_name_is_written_as_it_is_valid():
    assert did_you_mean('loihi', ['Loihi'], scope='chips.') == (
        " (did you mean 'chips.Loihi'?)")


@pytest.mark.parametrize('names', [KEYS, []])
def test_nothing_is_near(names):
    assert did_you_mean('inplace', names) == ''
