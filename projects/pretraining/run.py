"""What masked pre-training gains with few labels, at small scale on CIFAR-10.

Pre-trains encoders without labels on all training images, fine-tunes them on
a tenth of the labels, trains the same networks from scratch for as long, with
several seeds, each in a process of its own, and writes table.md, results.json
and effective_rank.png. Repeat the command to go on with what an interrupt
left.
"""

import argparse
import random
import sys
from pathlib import Path

from results import VARIANTS, read_looks, write_results

from mmsnn.engine import study
from mmsnn.engine.study import read_json
from mmsnn.files import write_whole

PROJECT = Path(__file__).resolve().parent
ROOT = PROJECT.parents[1]
#: Which files have labels depends on this, not on the seed of a run.
LABEL_SEED = 0


def parse_args(words=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    study.add_study_arguments(
        parser, 'cifar10_12k/{train,test}/CLASS/*.jpg',
        'work_dirs/pretraining')
    parser.add_argument('--seeds', type=int, default=3, metavar='N')
    parser.add_argument(
        '--epochs', type=int,
        help='of pre-training, instead of what the configs say')
    parser.add_argument(
        '--finetune-epochs', type=int, metavar='EPOCHS',
        help='of fine-tuning and of training from scratch, likewise')
    parser.add_argument(
        '--labels', type=float, default=0.1, metavar='PART',
        help='part of the training images that has labels (default: 0.1)')
    parser.add_argument(
        '--variants', nargs='+', choices=list(VARIANTS),
        default=list(VARIANTS))
    args = parser.parse_args(words)
    for key in ('epochs', 'finetune_epochs'):
        value = getattr(args, key)
        if value is not None and value < 3:
            parser.error(f'--{key.replace("_", "-")} must be at least 3: the '
                         'first two are the warm-up')
    if not 0 < args.labels <= 1:
        parser.error('--labels must be above 0 and at most 1')
    return args


def list_labelled(train: Path, part: float) -> str:
    """Choose the files that have labels, equally many of each class.

    Args:
        train (Path): Folder of the classes.
        part (float): Of the files of a class; at least one is chosen.

    Returns:
        str: A line for each file, ``CLASS/NAME LABEL``, where the label is
        the place of the class in the alphabet.

    Raises:
        SystemExit: There are no images.
    """
    chooser, lines = random.Random(LABEL_SEED), []
    classes = sorted(path for path in train.glob('*') if path.is_dir())
    for label, folder in enumerate(classes):
        files = sorted(path.name for path in folder.glob('*.jpg'))
        number = min(len(files), max(1, round(part * len(files))))
        lines += [f'{folder.name}/{name} {label}\n'
                  for name in sorted(chooser.sample(files, number))]
    if not lines:
        sys.exit(f'no images in {train}/CLASS/*.jpg: unpack CIFAR-10 there, '
                 'or name the folder that holds cifar10_12k by --data or '
                 '$MMSNN_DATA')
    return ''.join(lines)


class Run(study.Run):
    """One config trained with one seed.

    Args:
        config (str): Stem of the config.
        seed (int): The seed.
        args (Namespace): From :func:`parse_args`.
        epochs (int, optional): Instead of the config's.
        **kwargs: ``folder`` under the work folder, ``options``.
    """

    def __init__(self, config: str, seed: int, args: argparse.Namespace,
                 epochs: int | None, folder: str | None = None,
                 options: dict | None = None) -> None:
        options = dict(options or {})
        if epochs is not None:
            options['train_cfg.max_epochs'] = epochs
        folder = folder or config
        super().__init__(
            folder, PROJECT / 'configs' / f'{config}.py', seed,
            args.work_dir / folder / f'seed{seed}', ROOT / 'tools', options)


class Pretraining(Run):
    """Pre-training of a variant: there is nothing to test."""

    def __init__(self, variant, seed, args):
        super().__init__(f'pretrain_{variant}', seed, args, args.epochs)

    def test(self) -> None:
        pass

    def measure(self) -> dict:
        return dict(looks=read_looks(self.folder))

    def headline(self, found: dict) -> str:
        return f'effective rank {found["looks"][-1]["rank"]:.2f}'


class Training(Run):
    """Training of a classifier on the labelled files."""

    def __init__(self, config, seed, args, folder=None, options=None):
        super().__init__(
            config, seed, args, args.finetune_epochs, folder, {
                'train_dataloader.dataset.ann_file': str(labelled_file(args)),
                **(options or {})
            })

    def measure(self) -> dict:
        metrics = read_json(self.folder / 'metrics.json')
        return dict(accuracy=metrics['accuracy/top1'])

    def headline(self, found: dict) -> str:
        return f'accuracy {found["accuracy"]:.2f}%'


class Scratch(Training):
    """Training from random weights."""

    def __init__(self, neuron, seed, args):
        super().__init__(f'scratch_{neuron}', seed, args)
        self.neuron = neuron

    def finish(self) -> dict:
        return dict(super().finish(), neuron=self.neuron)


class Trial:
    """Pre-training, then fine-tuning of what came out."""

    def __init__(self, variant: str, seed: int,
                 args: argparse.Namespace) -> None:
        self.variant = variant
        self.pretraining = Pretraining(variant, seed, args)
        key = 'model.backbone.init_cfg.checkpoint'
        self.finetuning = Training(
            f'finetune_{VARIANTS[variant][1]}', seed, args,
            f'finetune_{variant}', {key: str(self.pretraining.checkpoint)})

    def finish(self) -> dict:
        """Pre-train and fine-tune, as far as that is not done yet."""
        return dict(self.pretraining.finish(), **self.finetuning.finish(),
                    variant=self.variant)


def labelled_file(args: argparse.Namespace) -> Path:
    """The list of labelled files, with the whole path: else mmpretrain looks
    for it beside the images."""
    return (args.work_dir / 'labelled.txt').resolve()


def main(words=None) -> None:
    args = parse_args(words)
    labelled = list_labelled(args.data / 'cifar10_12k' / 'train', args.labels)
    study.prepare(args, ROOT)
    path = labelled_file(args)
    if path.exists() and path.read_text() != labelled:
        sys.exit(f'{path} was written for other --labels or --data: delete '
                 f'{args.work_dir}, or choose another --work-dir')
    write_whole(path, labelled)
    neurons = dict.fromkeys(VARIANTS[v][1] for v in args.variants)
    scratch = [Scratch(neuron, seed, args)
               for seed in range(args.seeds) for neuron in neurons]
    trials = [Trial(variant, seed, args)
              for seed in range(args.seeds) for variant in args.variants]
    found = study.finish_all(scratch + trials, args.jobs)
    print(write_results(args.work_dir, found[len(scratch):],
                        found[:len(scratch)]))


if __name__ == '__main__':
    main()
