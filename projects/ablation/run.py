"""Repeat the ablation of the paper (Table V) at small scale on CIFAR-10.

Trains five models with several seeds, each in a process of its own, tests them
in spike-train form and writes table.md, results.json and accuracy_energy.png.
Repeat the command to go on with what an interrupt left.
"""

import argparse
import sys
from pathlib import Path

from results import MODELS, read_run, write_results

from mmsnn.engine import study

PROJECT = Path(__file__).resolve().parent
ROOT = PROJECT.parents[1]
#: What a process takes that has done nothing yet.
IDLE = 'import mmpretrain.models, mmsnn.models, mmsnn.engine'


def parse_args(words=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    study.add_study_arguments(
        parser, 'cifar10_12k/{train,test}/CLASS/*.jpg', 'work_dirs/ablation')
    parser.add_argument('--seeds', type=int, default=3, metavar='N')
    parser.add_argument(
        '--epochs', type=int, help='instead of what the configs say')
    parser.add_argument(
        '--models', nargs='+', choices=list(MODELS), default=list(MODELS))
    args = parser.parse_args(words)
    if args.epochs is not None and args.epochs < 2:
        parser.error('--epochs must be at least 2: the first is the warm-up')
    return args


def check_data(data: Path) -> None:
    """Exit unless the images are where they are looked for."""
    for split in ('train', 'test'):
        folder = data / 'cifar10_12k' / split
        if not any(folder.glob('*/*.jpg')):
            sys.exit(f'no images in {folder}/CLASS/*.jpg: unpack CIFAR-10 '
                     'there, or name the folder that holds cifar10_12k by '
                     '--data or $MMSNN_DATA')


class Run(study.Run):
    """One model trained with one seed.

    Args:
        model (str): Stem of its config.
        seed (int): The seed.
        args (Namespace): From :func:`parse_args`.
    """

    def __init__(self, model: str, seed: int,
                 args: argparse.Namespace) -> None:
        epochs = {} if args.epochs is None else {
            'train_cfg.max_epochs': args.epochs}
        super().__init__(
            model, PROJECT / 'configs' / f'{model}.py', seed,
            args.work_dir / model / f'seed{seed}', ROOT / 'tools', epochs)

    def measure(self) -> dict:
        return read_run(self)

    def headline(self, found: dict) -> str:
        return f'accuracy {found["accuracy"]:.2f}%'

    def finish(self) -> dict:
        return dict(super().finish(), model=self.name)


def main(words=None) -> None:
    args = parse_args(words)
    check_data(args.data)
    study.prepare(args, ROOT)
    found = study.finish_all([
        Run(model, seed, args)
        for seed in range(args.seeds) for model in args.models], args.jobs)
    idle = study.call(['-c', IDLE], args.work_dir / 'output.log')
    print(write_results(args.work_dir, found, idle))


if __name__ == '__main__':
    main()
