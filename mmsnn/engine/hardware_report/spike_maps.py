"""Where the neurons of some layers fire, of one image."""

import numpy as np
import torch

from mmsnn.conversion import Firing, watch_neurons

#: Layers shown as spike maps.
MAPS = 4


def spike_maps(spiking, batch) -> dict[str, np.ndarray]:
    """Share of the channels that fire at each position, in each sub-step.

    Args:
        spiking (SpikeTrainModel): In a lossless form.
        batch: What the data loader gave; its first image is shown.

    Returns:
        dict[str, ndarray]: (sub-steps, H, W) by layer, of :data:`MAPS` layers
        that have positions, evenly chosen.
    """

    def measure(firing: Firing) -> tuple[str, np.ndarray | None]:
        neuron, spikes = firing.neuron, None
        if firing.output.dim() == 4:
            spikes = torch.stack([
                (step >= d).float().mean(0)
                for step in firing.counts[:neuron.timesteps]
                for d in range(1, neuron.max_spikes + 1)
            ]).cpu().numpy()
        return firing.path, spikes

    with watch_neurons(spiking.module, measure) as fired:
        spiking.test_step(batch)
    found: dict[str, np.ndarray] = {}
    for path, spikes in fired:
        if spikes is not None:
            found.setdefault(path, spikes)  # where it fires first
    names = [n for n, m in found.items() if min(m.shape[1:]) > 1]
    step = max(1, len(names) // MAPS)
    return {n: found[n] for n in names[::step][:MAPS]}
