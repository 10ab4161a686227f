"""Mean spike counts that the paper's reported powers imply, as a table.

Each config's model is built with random weights and run on one image of noise:
only the sizes of layers enter. Prints Markdown.
"""

import argparse
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmsnn  # noqa: F401  lets configs inherit from mmpretrain::
from mmsnn.conversion import to_spike_train
from mmsnn.engine.cli import framework
from mmsnn.hardware.operations.paper import (
    hidden_multiplications,
    implied_count,
    reported_energy,
)
from mmsnn.trace import OpTrace

HEAD = ('| config | mJ, as reported | spikes per neuron and image that it '
        'implies | of at most | first layer, mJ | other multiplications '
        'without spikes, mJ |\n|---|---|---|---|---|---|')


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', type=Path,
                        help='configs of classifiers that the paper reports')
    parser.add_argument('--size', type=int, default=224,
                        help='height and width of images (default: '
                        '%(default)s)')
    return parser.parse_args()


def trace_of(path: Path, size: int) -> OpTrace:
    """Run one image of noise through a config's model with random weights.

    Args:
        path (Path): The config, of a classifier.
        size (int): Height and width of the image.

    Returns:
        OpTrace: What every op did.
    """
    config = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope(framework(config)):
        model = MODELS.build(config.model).eval()
    with torch.no_grad(), to_spike_train(model, 'counts') as spiking:
        spiking(torch.randn(1, 3, size, size), mode='tensor')
    return spiking.trace


def row(name: str, trace: OpTrace, power_mj: float) -> str:
    """A line of the table.

    Args:
        name (str): Name of the config.
        trace (OpTrace): Ops of its model, for one image.
        power_mj (float): The reported power, in mJ per image.

    Returns:
        str: Cells between bars, as Markdown has them.
    """
    found = implied_count(trace, power_mj)
    costs = {h.kind: h.energy_mj for h in hidden_multiplications(trace)}
    first = costs.pop('first layer', 0.0)
    rest = ', '.join(f'{k} {v:.3g}' for k, v in costs.items()) or 'none'
    return (f'| {name} | {power_mj:g} | {found.implied:.2f} | {found.most} | '
            f'{first:.2f} | {rest} |')


def main():
    args = parse_args()
    powers = {path: reported_energy(path.stem) for path in args.configs}
    unknown = [str(path) for path, mj in powers.items() if mj is None]
    if unknown:
        raise SystemExit(f'the paper reports no power for {unknown[0]}: give '
                         'configs of its ImageNet models')
    print(HEAD)
    for path, power_mj in powers.items():
        print(row(path.stem, trace_of(path, args.size), power_mj), flush=True)


if __name__ == '__main__':
    main()
