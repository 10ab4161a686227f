"""Where the neurons of some layers fire, of one image."""


import numpy as np
import torch

from mmsnn.conversion import SpikeTensor

#: Layers shown as spike maps.
MAPS = 4


def spike_maps(spiking, batch) -> dict[str, np.ndarray]:
    """Share of the channels that fire at each position, in each sub-step.

    Args:
        spiking (SpikeTrainModel): In form ``'counts'``.
        batch: What the data loader gave; its first image is shown.

    Returns:
        dict[str, ndarray]: (sub-steps, H, W) by layer, of :data:`MAPS` layers
        that have positions, evenly chosen.
    """
    found: dict[str, np.ndarray] = {}

    def keep(name):

        def hook(module, args, output):
            if isinstance(output, SpikeTensor) and output.dim() == 4 and (
                    name not in found):
                counts = output.counts()[:output.timesteps]
                found[name] = torch.stack([
                    (step >= d).float().mean(0) for step in counts
                    for d in range(1, output.max_spikes + 1)
                ]).cpu().numpy()

        return hook

    handles = [
        module.register_forward_hook(keep(name))
        for name, module in spiking.module.named_modules()
        if type(module).__name__ == 'CountNeuron'
    ]
    try:
        spiking.test_step(batch)
    finally:
        for handle in handles:
            handle.remove()
    names = [n for n, m in found.items() if min(m.shape[1:]) > 1]
    step = max(1, len(names) // MAPS)
    return {n: found[n] for n in names[::step][:MAPS]}
