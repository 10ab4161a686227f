"""Time of E-SpikeFormer 10m: inference against its synapses alone, features
at 800x1280 against 400x640, counts form and spike trains against plain
evaluation; with the C library's own memory settings, then with freed memory
kept for reuse, as the backbone has it unless told otherwise."""

from collections.abc import Callable

import torch
from mmengine.registry import MODELS
from timing import parse_arguments, ratio, report
from torch import nn

from mmsnn.conversion import fold_norms, to_spike_train
from mmsnn.layers import keep_freed_memory
from mmsnn.models.backbones import ESpikeFormer
from mmsnn.models.published import classifier_config

FORMS = ('counts', 'spikes')


def calibrated_classifier() -> nn.Module:
    """10m whose norms have seen data, so that its neurons fire."""
    config = classifier_config(ESpikeFormer.arch_zoo['10m']['embed_dims'])
    config['backbone']['keep_freed_memory'] = False  # main() decides
    model = MODELS.build(config)
    see_data(model, lambda: model(torch.randn(8, 3, 224, 224)))
    return model


def see_data(model: nn.Module, run: Callable) -> None:
    """Let norms see the data of a run, so that neurons fire; then evaluation
    mode."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the mean over all batches
    model.train()
    with torch.no_grad():
        run()
    model.eval()


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


def inference(rounds: int, how: str) -> dict:
    model = calibrated_classifier()
    fold_norms(model)
    model.to(memory_format=torch.channels_last)  # the layout it runs in
    images = torch.randn(8, 3, 224, 224)
    calls = record_synapses(model, images)

    def synapses():
        for function, *arguments in calls:
            function(*arguments)

    with torch.no_grad():
        return ratio(
            f'10m at 224 px, batch 8{how}', 1.2, {
                'convolutions and linears': synapses,
                'whole network': lambda: model(images)
            }, rounds)


def resolution(rounds: int, how: str) -> dict:
    model = ESpikeFormer(
        '10m', out_indices=(1, 2, 3, 4), keep_freed_memory=False).eval()
    small, large = torch.randn(1, 3, 400, 640), torch.randn(1, 3, 800, 1280)
    with torch.no_grad():
        return ratio(f'10m features, batch 1{how}', 4.6, {
            '400x640': lambda: model(small),
            '800x1280': lambda: model(large)
        }, rounds)


def evaluation(rounds: int, how: str) -> list[dict]:
    model, rows = calibrated_classifier(), []
    counting, spiking = (to_spike_train(model, f) for f in FORMS)
    for batch, name, form, target in (
        (8, 'counts form', counting, 1.3),
        (1, 'counts form', counting, 1.3),
        (8, 'spike trains, D = 4', spiking, 4.)):
        images = torch.randn(batch, 3, 224, 224)
        with torch.no_grad(), form:
            rows.append(
                ratio(
                    f'10m at 224 px, batch {batch}{how}', target, {
                        'plain evaluation': lambda: model(images),
                        name: lambda: form(images)
                    }, rounds))
    return rows


def main() -> None:
    arguments = parse_arguments(__doc__, rounds=11)
    rows = []
    for how in ('', ', freed memory kept'):
        if how and not keep_freed_memory():
            break
        rows.append(inference(arguments.rounds, how))
        rows.append(resolution(arguments.rounds, how))
        rows += evaluation(arguments.rounds, how)
    report(rows, arguments.json)


if __name__ == '__main__':
    main()
