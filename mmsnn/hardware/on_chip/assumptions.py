"""Sentences that say what an estimate on a chip assumes."""

from mmsnn.hardware.chips.spec import Chip
from mmsnn.hardware.mapping.core_loads import Loads
from mmsnn.hardware.timing.schedule import Schedule

_MAPPING = (
    'A core holds neurons of one layer only, with all synapses that end in '
    'them; layers do not share cores.',
    'Of a layer, the blocks that need the fewest cores are taken, then those '
    'with the fewest messages. Cores are filled layer by layer, tiles in rows '
    'that run to and fro, chips in the same way on a square; no better '
    'placement is searched for.',
    'A synaptic weight takes its bits and nothing else: no index, no list of '
    'targets. So memory limits are checked for the least that is needed.',
    'Memory for membranes is counted twice, for the image that fires and the '
    'next one that is integrated; the limit of neurons of a core is not '
    'halved for it.',
)

_EVENTS = (
    'A spike is one message to each core that holds one of its targets, also '
    'to its own core.',
    'Messages that enter from outside the chip travel no hops and are not '
    'charged for sending.',
    'Spikes and additions are means over the images of the trace; a core that '
    'is busier for a single image is not seen.',
)

_SYNCHRONOUS = (
    'In a sub-step a core goes through its neurons and takes its input at '
    'the same time; the slower of both, of the slowest core, and the barrier '
    'make the sub-step. Waiting in the network is not modelled (SANA-FE finds '
    'up to 2.2 times more with its pessimistic model).',
    'Every neuron is looked at in every sub-step. It is updated in the window '
    'in which it integrates and in that in which it fires; in a pipeline '
    'always.',
    'In a pipeline an image enters every T x D sub-steps, so that each layer '
    'integrates one image while it fires for the one before.',
)

_ASYNCHRONOUS = (
    'A core takes messages one after the other and sends its own evenly over '
    'the time in which it fires. Queues are fluid; senders never stall.',
    'In a time step every neuron is looked at once, and once more after each '
    'of its spikes.',
    'Input from outside is there at once at time 0; its own queue is not '
    'counted as a burst.',
    'With T > 1 a core starts a time step after it has fired for the one '
    'before.',
)

_MODES = {
    'lossless':
    'A layer fires when all of its input has arrived, as the network was '
    'trained for. How a core gets to know that is not charged.',
    'free_running':
    'A core fires while input arrives. The spikes are those of the lossless '
    'run: in truth they change (and outputs with them), which only a run of '
    'the network can tell.',
}


def assumptions(loads: Loads, schedule: Schedule, timing: str,
                mode: str) -> list[str]:
    """All that an estimate assumes, in the order of the computation.

    Args:
        loads (Loads): What the cores send and receive.
        schedule (Schedule): Which population fires when.
        timing (str): ``synchronous`` or ``asynchronous``.
        mode (str): ``lossless`` or ``free_running``.

    Returns:
        list[str]: One or several sentences for each assumption.
    """
    mapping, chip = loads.mapping, loads.mapping.chip
    texts = list(mapping.network.notes)
    texts += _MAPPING
    stored = {
        'shared': 'Weights are shared: a core stores each weight once that '
        'its channels need.',
        'unrolled': 'Weights are unrolled: a core stores one for each '
        'connection.'
    }[mapping.weights]
    texts.append(f'{stored} A weight has {mapping.weight_bits} bits, whatever '
                 'the network was run with.')
    texts += _EVENTS
    even = sum(not s.population.profile and bool(s.population.spikes)
               for s in mapping.slices.values())
    if even:
        texts.append(f'In {even} layers all neurons are taken to fire '
                     'equally often, for want of a profile.')
    uneven = sum(bool(s.population.profile)
                 for s in mapping.slices.values())
    if uneven:
        texts.append(f'In {uneven} layers spikes fall by a profile: a share '
                     'for each index of each axis, which are multiplied. What '
                     'fires together across axes (a spot that only some '
                     'channels see) is spread over more cores.')
    vague = [
        link.projection.name for link in mapping.links
        if not link.connectivity.exact and not link.projection.scattered
    ]
    if vague:
        texts.append(
            'Shapes do not fit the geometry, so all cores of the source are '
            f'taken to send to all of the target: {", ".join(vague)}.')
    scattered = [link.projection.name for link in mapping.links
                 if link.projection.scattered]
    if scattered:
        texts.append(
            'The spikes that these projections read are exact, but their '
            'neurons lie in no rows, columns or channels of the source: all '
            'of its cores are taken to send their share of them to all cores '
            f'of the target: {", ".join(scattered)}.')
    texts += _SYNCHRONOUS if timing == 'synchronous' else _ASYNCHRONOUS
    if timing == 'synchronous' and 'latency.tick' in chip.figures:
        texts.append('A sub-step lasts one time step of the chip; whether its '
                     'work fits into it is not checked.')
    texts.append(_MODES[mode])
    texts += _replays(schedule, mode)
    texts += _support(loads, chip, timing)
    if schedule.runs > 1:
        texts.append(
            f'The {schedule.runs} runs for an image follow each other as '
            'images do in a pipeline. Each has the mean counts of all.')
    texts.append(
        f'The longest chain takes {schedule.depth} windows of '
        f'{schedule.max_spikes} sub-steps. Real-valued ops and the host take '
        'no time and no energy here.')
    texts.append(f'{chip.title}: {chip.description}')
    texts.append(f'The spec leaves out: {"; ".join(chip.excludes)}.')
    return texts


def _replays(schedule: Schedule, mode: str) -> list[str]:
    """What is assumed of products whose source can not wait."""
    if not schedule.replays or mode != 'lossless':
        return []
    names = ', '.join(dict.fromkeys(name for name, *_ in schedule.replays))
    return [
        f'In {names} the other operand depends on the spikes that select from '
        'it. They are kept where they were fired (as counts, which memory '
        'limits do not include) and sent once more when it is complete: in a '
        'window of their own, as messages, without any neuron that fires.'
    ]


def _support(loads: Loads, chip: Chip, timing: str) -> list[str]:
    """What the estimate assumes although the chip can not do it."""
    texts = []
    support = chip.figures.get(f'support.{timing}')
    if support is not None and support.value is False:
        texts.append(f'{chip.name} does not work in {timing} execution '
                     f'({support.source}): times are hypothetical.')
    broken = [la.name for la in loads.mapping.layers if la.reasons]
    if broken:
        texts.append(
            f'{len(broken)} layers do not fit ({broken[0]}, ...). Energy and '
            'time are those of a chip that had what they lack: larger '
            'limits, messages with membranes, products.')
    if any(r.link.carries == 'membranes' for r in loads.received):
        texts.append(
            'A membrane that is handed on costs one message for each core '
            'that it goes to, in each time step, and one synaptic addition.')
    if any(not r.link.projection.static for r in loads.received):
        texts.append(
            'Products of two populations are charged like synapses, though '
            'they have no stored weight: the other operand is read instead.')
    if loads.mesh.chips > 1:
        texts.append(
            f'{loads.mesh.chips} chips share one mesh; a message between two '
            'chips pays hops and, for each chip on its way, one step.' +
            (' The barrier is that of the largest number of tiles in the spec.'
             if timing == 'synchronous' else ''))
    return texts
