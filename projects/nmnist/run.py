"""Train a small E-SpikeFormer on N-MNIST with four choices of T x D.

Trains each choice with several seeds, each in a process of its own, tests them
in spike-train form and writes table.md, results.json and accuracy_energy.png.
Repeat the command to go on with what an interrupt left.
"""

import argparse
import sys
from pathlib import Path

from results import CHOICES, read_run, write_results

from mmsnn.engine import study

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/events/' \
    'espikeformer-tiny_sfa1-t8_1xb25-40e_nmnist-1100.py'


def parse_args(words=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    study.add_study_arguments(
        parser, 'nmnist_1100/{train,test}/DIGIT/*.bin', 'work_dirs/nmnist')
    parser.add_argument('--seeds', type=int, default=3, metavar='N')
    parser.add_argument(
        '--epochs', type=int, help='instead of what the config says')
    parser.add_argument(
        '--choices', nargs='+', choices=list(CHOICES), default=list(CHOICES),
        help='time steps x spikes')
    args = parser.parse_args(words)
    if args.epochs is not None and args.epochs < 2:
        parser.error('--epochs must be at least 2: the first is the warm-up')
    return args


def check_data(data: Path) -> None:
    """Exit unless the recordings are where they are looked for."""
    for split in ('train', 'test'):
        folder = data / 'nmnist_1100' / split
        if not any(folder.glob('*/*.bin')):
            sys.exit(f'no recordings in {folder}/DIGIT/*.bin: unpack N-MNIST '
                     'there, or name the folder that holds nmnist_1100 by '
                     '--data or $MMSNN_DATA')


class Run(study.Run):
    """One choice of T x D trained with one seed.

    Args:
        choice (str): Key of :data:`results.CHOICES`.
        seed (int): The seed.
        args (Namespace): From :func:`parse_args`.
    """

    def __init__(self, choice: str, seed: int,
                 args: argparse.Namespace) -> None:
        timesteps, spikes = CHOICES[choice]
        options = {'neuron.timesteps': timesteps, 'neuron.max_spikes': spikes}
        if args.epochs is not None:
            options['train_cfg.max_epochs'] = args.epochs
        super().__init__(choice, CONFIG, seed,
                         args.work_dir / choice / f'seed{seed}',
                         ROOT / 'tools', options)

    def measure(self) -> dict:
        return read_run(self)

    def headline(self, found: dict) -> str:
        return (f'accuracy {found["accuracy"]:.1f}% after '
                f'{found["minutes"]:.1f} min')

    def finish(self) -> dict:
        return dict(super().finish(), choice=self.name)


def main(words=None) -> None:
    args = parse_args(words)
    check_data(args.data)
    study.prepare(args, ROOT)
    # The longest runs first, so that none is left over at the end.
    runs = [Run(choice, seed, args) for choice in args.choices
            for seed in range(args.seeds)]
    print(write_results(args.work_dir, study.finish_all(runs, args.jobs)))


if __name__ == '__main__':
    main()
