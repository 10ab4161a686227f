"""Time of E-SpikeFormer 10m: inference against its synapses alone, features
at 800x1280 against 400x640, counting mode against plain evaluation."""

import torch
from mmengine.registry import MODELS
from timing import parse_arguments, ratio, report
from torch import nn

from mmsnn.conversion import fold_norms, to_spike_train
from mmsnn.models.backbones import ESpikeFormer
from mmsnn.models.published import classifier_config


def calibrated_classifier() -> nn.Module:
    """10m whose norms have seen data, so that its neurons fire."""
    model = MODELS.build(
        classifier_config(ESpikeFormer.arch_zoo['10m']['embed_dims']))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    model.train()
    with torch.no_grad():
        model(torch.randn(8, 3, 224, 224))
    return model.eval()


def record_synapses(model: nn.Module, images: torch.Tensor) -> list:
    """Every convolution and linear, with the spikes that entered it."""
    calls, wrapped = [], []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            name, forward = '_conv_forward', module._conv_forward

            def watch(x, weight, bias, module=module, forward=forward):
                calls.append(
                    (nn.Conv2d._conv_forward, module, x.clone(), weight, bias))
                return forward(x, weight, bias)

            setattr(module, name, watch)
            wrapped.append((module, name))
    fc = model.head.fc
    handle = fc.neuron.register_forward_hook(lambda m, a, out: calls.append(
        (lambda m, *args: nn.functional.linear(*args), fc, out.clone(), fc.
         weight, fc.bias)))
    with torch.no_grad():
        model(images)
    handle.remove()
    for module, name in wrapped:
        delattr(module, name)
    return calls


def inference(rounds: int) -> list[dict]:
    rows = []
    for name, layout in (('NCHW', torch.contiguous_format),
                         ('NHWC', torch.channels_last)):
        model = calibrated_classifier()
        fold_norms(model)
        model.to(memory_format=layout)
        images = torch.randn(8, 3, 224, 224).to(memory_format=layout)
        calls = record_synapses(model, images)

        def synapses(calls=calls):
            for function, *arguments in calls:
                function(*arguments)

        with torch.no_grad():
            rows.append(
                ratio(
                    f'10m at 224 px, batch 8, {name}', 1.2, {
                        'convolutions and linears':
                        synapses,
                        'whole network':
                        lambda model=model, images=images: model(images)
                    }, rounds))
    return rows


def resolution(rounds: int) -> dict:
    model = ESpikeFormer('10m', out_indices=(1, 2, 3, 4)).eval()
    small, large = torch.randn(1, 3, 400, 640), torch.randn(1, 3, 800, 1280)
    with torch.no_grad():
        return ratio('10m features, batch 1', 4.6, {
            '400x640': lambda: model(small),
            '800x1280': lambda: model(large)
        }, rounds)


def counting(rounds: int) -> list[dict]:
    model, rows = calibrated_classifier(), []
    spiking = to_spike_train(model, form='counts')
    for batch, size in ((8, 224), (1, 224)):
        images = torch.randn(batch, 3, size, size)
        with torch.no_grad(), spiking:
            rows.append(
                ratio(
                    f'10m at {size} px, batch {batch}', 1.3, {
                        'plain evaluation': lambda: model(images),
                        'counting mode': lambda: spiking(images)
                    }, rounds))
    return rows


def main() -> None:
    arguments = parse_arguments(__doc__, rounds=11)
    rows = inference(arguments.rounds)
    rows.append(resolution(arguments.rounds))
    rows += counting(arguments.rounds)
    report(rows, arguments.json)


if __name__ == '__main__':
    main()
