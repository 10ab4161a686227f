"""A step of masked pre-training in bfloat16."""

import torch
from pretraining import WAYS

from mmsnn.models import SpikeSparK

from .classifier import TINY, images

#: Images of a step, and bytes that one takes.
BATCH = {'10m': (128, 200_000_000), '83m': (64, 800_000_000)}


def run_pretraining(bench) -> None:
    """Ways to treat masked tokens."""
    for name, (most, each) in BATCH.items():
        number = bench.size(
            max(2, min(most, bench.free_bytes() // each)), 2)
        if bench.dry_run and name == '83m':
            arch = dict(family='large', embed_dims=TINY['embed_dims'][:3],
                        depths=[1] * 4)
        else:
            arch = bench.size(name, TINY)
        bench.compare(
            f'{name}, pre-training step, {number} images, bfloat16',
            {way: step(bench, arch, way, number) for way in WAYS}, number,
            0.5 if name == '10m' else 1.)


def step(bench, arch, way: str, number: int):
    """Builds a step: forward, backward, AdamW."""

    def build():
        torch.manual_seed(0)
        model = SpikeSparK(
            dict(type='mmsnn.MaskedESpikeFormer', arch=arch, **WAYS[way]),
            mask_ratio=0.6).to(bench.device).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
        inputs = images(bench, number)

        def run():
            optimizer.zero_grad()
            with torch.autocast(bench.device.type, torch.bfloat16):
                loss = model.loss(inputs, None)['loss']
            loss.backward()
            optimizer.step()

        return run

    return build
