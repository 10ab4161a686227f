"""10m as a classifier: training, inference, spike-train form."""

from collections.abc import Callable

import torch
from backbone import see_data
from mmengine.registry import MODELS
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.engine.neuron_key import map_neurons
from mmsnn.models.backbones import ESpikeFormer
from mmsnn.models.published import classifier_config

#: Arch of a dry run: a block of each kind.
TINY = dict(embed_dims=[8, 8, 16, 16], depths=[0, 1, 0, 1, 0], num_heads=4)
RELU = dict(type='ReLU')
LAYOUTS = dict(contiguous=torch.contiguous_format,
               **{'channels-last': torch.channels_last})

#: GPU.md: the method's published code, 128 images.
REPORTED_TRAINING = dict(contiguous=(134, 10_600),
                         **{'channels-last': (93, 10_600)})
REPORTED_INFERENCE = 28.2


def classifier(bench, neuron: dict | None = None,
               layout: torch.memory_format = torch.contiguous_format
               ) -> nn.Module:
    """10m on the device, in training mode."""
    if bench.dry_run:
        config = classifier_config(**TINY, num_classes=10)
    else:
        config = classifier_config(
            ESpikeFormer.arch_zoo['10m']['embed_dims'])
    if neuron:
        config = map_neurons(config, lambda _: neuron)
    model = MODELS.build(config)
    return model.to(bench.device).to(memory_format=layout)


def images(bench, number: int, layout=torch.contiguous_format,
           dtype=torch.float32) -> torch.Tensor:
    """Normal numbers, 224 x 224."""
    side = bench.size(224, 32)
    return bench.normal((number, 3, side, side), dtype).contiguous(
        memory_format=layout)


def training_step(bench, number: int, neuron, layout,
                  compiled: bool = False) -> Callable[[], Callable]:
    """Builds a step: forward in bfloat16, backward, AdamW."""

    def build():
        torch.manual_seed(0)
        model = classifier(bench, neuron, layout).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        inputs = images(bench, number, layout)
        labels = torch.randint(10, (number, ), device=bench.device)
        forward = bench.compile(model) if compiled else model

        def run():
            optimizer.zero_grad()
            with torch.autocast(bench.device.type, torch.bfloat16):
                loss = nn.functional.cross_entropy(forward(inputs), labels)
            loss.backward()
            optimizer.step()

        return run

    return build


def batch_size(bench, per_image: int) -> int:
    """128 images, or fewer where memory is small; ``per_image`` bytes."""
    return bench.size(max(8, min(128, bench.free_bytes() // per_image)), 2)


def run_training(bench) -> None:
    """A training step in bfloat16."""
    # Four models are held at a time, but one step's activations.
    number = batch_size(bench, 200_000_000)
    builders = {}
    for layout, fmt in LAYOUTS.items():
        for name, neuron in (('ReLU', RELU), ('SFA', None)):
            builders[f'{name}, {layout}'] = training_step(
                bench, number, neuron, fmt)
    what = f'10m, training step, {number} images, bfloat16'
    goal = 'images/s >= 1900, MB <= 6360' if bench.is_reported_gpu() else None
    found = bench.compare(what, builders, number, 0.4,
                          {'SFA, channels-last': goal})
    for layout, (ms, mb) in REPORTED_TRAINING.items():
        bench.reported(what, f'published code, {layout}', ms=ms, mb=mb,
                       images=128e3 / ms)
    if not found:
        return
    last = LAYOUTS['channels-last']
    compiled = {
        f'{name}, compiled': training_step(bench, number, neuron, last, True)
        for name, neuron in bench.size(
            (('SFA', None), ('ReLU', RELU)), (('SFA', None), ))}
    base = 'ReLU, channels-last'
    bench.compare(f'{what}, torch.compile',
                  {base: builders[base], **compiled}, number)


def run_inference(bench) -> None:
    """Inference in float16."""
    number = batch_size(bench, 60_000_000)

    def forward(neuron, layout, around: Callable):

        def build():
            torch.manual_seed(0)
            model = classifier(bench, neuron, layout).eval().half()
            inputs = images(bench, number, layout, torch.float16)
            call = around(model, inputs)

            def run():
                with torch.no_grad():
                    call()

            return run

        return build

    def plain(model, inputs):
        return lambda: model(inputs)

    builders = {
        f'{name}, {layout}': forward(neuron, fmt, plain)
        for layout, fmt in LAYOUTS.items()
        for name, neuron in (('ReLU', RELU), ('SFA', None))}
    last = LAYOUTS['channels-last']
    if bench.cuda:
        builders['SFA, channels-last, CUDA graph'] = forward(
            None, last, captured)

    def compiled(model, inputs):
        call = bench.compile(model)
        return lambda: call(inputs)

    if not bench.dry_run:  # that of training compiles the same
        builders['SFA, channels-last, torch.compile'] = forward(
            None, last, compiled)
    what = f'10m, inference, {number} images, float16'
    bench.compare(what, builders, number)
    bench.reported(what, 'published code', ms=REPORTED_INFERENCE,
                   images=128e3 / REPORTED_INFERENCE)


def captured(model, inputs) -> Callable:
    """One call as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side), torch.no_grad():
        for _ in range(3):
            model(inputs)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        model(inputs)
    return graph.replay


def run_spikes(bench) -> None:
    """Counts form and spike trains against plain evaluation, in float32."""
    torch.backends.cudnn.allow_tf32 = False  # as in both forms
    number = bench.size(min(64, batch_size(bench, 300_000_000)), 2)
    torch.manual_seed(0)
    model = classifier(bench)
    see_data(model, lambda: model(images(bench, number)))
    inputs = images(bench, number)

    def plain():
        with torch.no_grad():
            model(inputs)

    for form, share in (('counts', 0.4), ('spikes', 1.)):
        converted = to_spike_train(model, form)
        for name, recorded in (('', False), (', trace', True)):
            if recorded:
                converted.start_recording()
            bench.compare(
                f'10m, {number} images, float32, {form} form{name}', {
                    'plain': lambda: plain,
                    form: lambda: lambda: converted(inputs),
                }, number, share / 2 if not recorded else share)
        converted.stop_recording()
        emitted = converted.trace.total('emitted')
        if not emitted:
            bench.fault(f'{form} form', 'no neuron of the trace has fired')
