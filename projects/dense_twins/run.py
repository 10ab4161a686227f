"""Train small spiking detectors and segmentors beside their ReLU twins.

Trains each task's config with SFA neurons and with ReLU, each in a process of
its own, tests the spiking ones in spike-train form and writes table.md,
results.json and pictures. Repeat the command to go on with what an interrupt
left.
"""

import argparse
import sys
from pathlib import Path

from mmengine.config import Config
from results import (
    MODELS,
    TASKS,
    collect_pictures,
    read_run,
    write_results,
)

import mmsnn  # noqa: F401  lets configs inherit from mmseg:: and mmsnn::
from mmsnn.engine import study
from mmsnn.engine.neuron_key import map_neurons

ROOT = Path(__file__).resolve().parents[2]
#: Iterations of the configs' warm-up.
WARM_UP = 100
#: Folders of the data that is not generated.
FOLDERS = dict(camvid='camvid/images/training', coco_200='coco_200/train2017')


def parse_args(words=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    study.add_study_arguments(
        parser, 'camvid and coco_200; digit scenes are generated there',
        'work_dirs/dense_twins')
    parser.add_argument(
        '--tasks', nargs='+', choices=list(TASKS), default=list(TASKS))
    parser.add_argument(
        '--models', nargs='+', choices=list(MODELS), default=list(MODELS))
    parser.add_argument(
        '--seeds', type=int, metavar='N',
        help='by default ' + ', '.join(
            f'{task.seeds} for {name}' for name, task in TASKS.items()))
    parser.add_argument(
        '--iterations', type=int, metavar='N',
        help='instead of what the configs say')
    args = parser.parse_args(words)
    if args.iterations is not None and args.iterations <= WARM_UP:
        parser.error(f'--iterations must be more than {WARM_UP}, which are '
                     'the warm-up')
    return args


def check_data(data: Path, tasks) -> None:
    """Exit unless the images are where they are looked for."""
    for task in tasks:
        folder = data / FOLDERS.get(task, '')
        if task in FOLDERS and not any(folder.glob('*.jpg')):
            sys.exit(f'no images in {folder}/*.jpg: unpack {task} there, name '
                     'the folder that holds it by --data or $MMSNN_DATA, or '
                     'leave it out of --tasks')


def relu_twin(cfg: Config) -> Config:
    """The same config with ReLU for each neuron, and without the hook that
    needs spikes; other hooks stay.

    Example:
        >>> relu_twin(Config(dict(model=dict(
        ...     backbone=dict(neuron=dict(type='mmsnn.SFANeuron')))))).model
        {'backbone': {'neuron': {'type': 'ReLU'}}}
    """

    content = cfg.to_dict()
    model = map_neurons(content['model'], lambda neuron: dict(type='ReLU'))
    hooks = [
        hook for hook in content.get('custom_hooks') or []
        if not hook['type'].endswith('SpikeInferenceHook')
    ]
    return Config(dict(content, model=model, custom_hooks=hooks))


class Run(study.Run):
    """One model of a task trained with one seed.

    Args:
        task (str): Key of :data:`results.TASKS`.
        model (str): Key of :data:`results.MODELS`.
        seed (int): The seed.
        args (Namespace): From :func:`parse_args`.
    """

    def __init__(self, task: str, model: str, seed: int,
                 args: argparse.Namespace) -> None:
        self.task, self.model = task, model
        folder = args.work_dir / task / model / f'seed{seed}'
        config = ROOT / 'configs' / TASKS[task].config
        if model == 'relu':
            twin = relu_twin(Config.fromfile(config))
            config = folder / f'{config.stem}_relu.py'
            folder.mkdir(parents=True, exist_ok=True)
            twin.dump(config)
        options = {} if args.iterations is None else {
            'train_cfg.max_iters': args.iterations}
        super().__init__(f'{task}, {model}', config, seed, folder,
                         ROOT / 'tools', options)

    def measure(self) -> dict:
        return read_run(self)

    def headline(self, found: dict) -> str:
        task = TASKS[self.task]
        return (f'{task.label} {found["metrics"][task.metric]:.3f} after '
                f'{found["minutes"]:.1f} min')

    def finish(self) -> dict:
        return dict(super().finish(), task=self.task, model=self.model)


def main(words=None) -> None:
    args = parse_args(words)
    check_data(args.data, args.tasks)
    study.prepare(args, ROOT)
    runs = [
        Run(task, model, seed, args) for task in args.tasks
        for seed in range(args.seeds or TASKS[task].seeds)
        for model in args.models
    ]
    found = study.finish_all(runs, args.jobs)
    collect_pictures(args.work_dir, {
        run.task: run.folder for run in reversed(runs) if run.model == 'sfa'})
    print(write_results(args.work_dir, found))


if __name__ == '__main__':
    main()
