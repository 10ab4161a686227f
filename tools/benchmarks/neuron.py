"""Time of the SFA neuron against torch.relu on a 51 MB tensor."""

import torch
from timing import parse_arguments, ratio, report

from mmsnn.neurons import SFANeuron


def forward_backward(function, membrane, gradient):

    def run():
        membrane.grad = None
        function(membrane).backward(gradient)

    return run


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
    report(rows, arguments.json)


if __name__ == '__main__':
    main()
