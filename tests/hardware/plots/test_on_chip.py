from mmsnn.hardware import Network, Population, Projection, estimate
from mmsnn.hardware.plots.on_chip import (
    chip_names,
    plot_chip_causes,
    plot_chip_layers,
    plot_utilisation,
)

NETWORK = Network(
    (Population('a', (100, ), spikes=(10., )),
     Population('b', (10, ), spikes=(1., ))),
    (Projection('fc', 'a', 'b', 'linear', weights=1000, synapses=1000,
                sops=(100., )), ))


def hatches(axes):
    return {patch.get_hatch() or '' for patch in axes.patches}


def test_a_chip_with_unknown_causes_is_hatched():
    known = estimate(NETWORK, 'loihi').on_chip[0]
    partly = estimate(NETWORK, 'speck', missing='report').on_chip[0]
    assert partly.energy_mj and partly.total_mj is None
    whole, lacking = plot_chip_causes([known, partly]).axes
    assert hatches(whole) == {''} and hatches(lacking) == {'///'}
    assert whole.get_title('left') == (
        f'loihi, synchronous: {known.total_mj} mJ')
    assert lacking.get_title('left') == (
        'speck, asynchronous: not all causes known (hatched)')
    for e, mark in ((known, ''), (partly, 'not all causes known')):
        axes, = plot_chip_layers(e).axes
        assert ('not all' in axes.get_title()) == bool(mark)
        assert hatches(axes) <= ({'///'} if mark else {''})


def test_both_timings_of_a_chip_are_told_apart():
    both = estimate(NETWORK, 'spinnaker2', missing='report').on_chip
    titles = [a.get_title('left') for a in plot_chip_causes(both).axes]
    assert [t.split(':')[0] for t in titles] == [
        'spinnaker2, synchronous', 'spinnaker2, asynchronous']
    assert len({plot_chip_layers(e).axes[0].get_title() for e in both}) == 2
    loihi = estimate(NETWORK, 'loihi').on_chip[0]
    assert chip_names([loihi, *both, *both[:1]]) == [
        'loihi', 'spinnaker2_synchronous', 'spinnaker2_asynchronous',
        'spinnaker2_synchronous_no2']
    assert 'synchronous' in plot_utilisation(loihi).axes[0].get_title()
