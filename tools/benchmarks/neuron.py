"""Time of neurons on 51 MB of membranes: SFA against torch.relu, neurons over
time against SpikingJelly's multi-step neurons (where it is installed)."""

from importlib.metadata import PackageNotFoundError, version

import torch
from timing import parse_arguments, ratio, report

from mmsnn.neurons import LIFNeuron, SFANeuron

TIMESTEPS = 4


def forward_backward(function, membrane, gradient):

    def run():
        membrane.grad = None
        function(membrane).backward(gradient)

    return run


def spikingjelly_pairs(timesteps: int) -> dict[str, tuple]:
    """The same neurons, ours (samples before time) and SpikingJelly's (time
    before samples).

    Raises:
        ImportError: SpikingJelly is not installed.
    """
    from spikingjelly.activation_based import neuron, surrogate
    return {
        'LIF, hard reset, sigmoid': (
            LIFNeuron(timesteps=timesteps),
            neuron.LIFNode(
                tau=2.,
                surrogate_function=surrogate.Sigmoid(alpha=4.),
                detach_reset=True,
                step_mode='m')),
        'I-LIF, D = 4': (
            SFANeuron(
                4,
                scale=1.,
                timesteps=timesteps,
                decay=0.25,
                detach_reset=False),
            neuron.ILIFNode(
                tau=4 / 3,
                surrogate_function=surrogate.MultiLevelSpikeCount(4),
                step_mode='m')),
    }


def from_zero(theirs):
    """A neuron of SpikingJelly's whose state is zero in each run."""
    from spikingjelly.activation_based import functional

    def run(x):
        functional.reset_net(theirs)
        return theirs(x)

    return run


def over_time(rounds: int) -> list[dict]:
    """The same neuron with the same gradients, ours and SpikingJelly's, from
    a state of zero."""
    try:
        name = f'SpikingJelly {version("spikingjelly")}'
    except PackageNotFoundError:
        print('Neurons over time: left out, as SpikingJelly is not installed '
              '(pip install spikingjelly)')
        return []
    shape = 8, TIMESTEPS, 51_000_000 // 4 // 8 // TIMESTEPS
    membrane, gradient = torch.randn(2, *shape) * 2
    folded = membrane.flatten(0, 1).clone().requires_grad_()
    stepped = membrane.transpose(0, 1).contiguous().requires_grad_()
    rows = []
    for what, (ours, theirs) in spikingjelly_pairs(TIMESTEPS).items():
        candidates = {
            name: forward_backward(from_zero(theirs), stepped,
                                   gradient.transpose(0, 1).contiguous()),
            'mmsnn': forward_backward(ours, folded, gradient.flatten(0, 1))
        }
        rows.append(
            ratio(
                f'T = {TIMESTEPS}, {what}, forward + backward, float32', 0.5,
                candidates, rounds))
    return rows


def main() -> None:
    arguments = parse_arguments(__doc__, rounds=31)
    rows = []
    for name, dtype in (('float32', torch.float32), ('bfloat16',
                                                     torch.bfloat16)):
        elements = 51_000_000 // dtype.itemsize
        membrane = torch.randn(elements).to(dtype)
        neuron = SFANeuron(max_spikes=4)
        with torch.no_grad():
            rows.append(
                ratio(
                    f'forward, no grad, {name}',
                    1.4 if dtype == torch.float32 else None, {
                        'relu': lambda: torch.relu(membrane),
                        'SFA': lambda: neuron(membrane)
                    }, arguments.rounds))
        leaf = membrane.clone().requires_grad_()
        gradient = torch.randn(elements).to(dtype)
        rows.append(
            ratio(
                f'forward + backward, {name}',
                2.0 if dtype == torch.float32 else None, {
                    'relu': forward_backward(torch.relu, leaf, gradient),
                    'SFA': forward_backward(neuron, leaf, gradient)
                }, arguments.rounds))
    rows += over_time(arguments.rounds)
    report(rows, arguments.json)


if __name__ == '__main__':
    main()
