"""Draw a recording, or the batches of a config as the model sees them.

browse_events.py recording.raw out.png    one sheet; out.mp4, out.gif: a video
browse_events.py config.py out_dir        a sheet for each sample, with label
"""

import argparse
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

import mmsnn  # noqa: F401  lets configs inherit from mmseg:: and mmsnn::
from mmsnn.datasets.events import Recording, histogram, split
from mmsnn.datasets.events.frames import sensor_of
from mmsnn.engine.cfg_options import CfgOptions
from mmsnn.visualization.event_frames import (
    VIDEOS,
    colour_frames,
    draw_boxes,
    write_picture,
)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path, help='recording, or config (.py)')
    parser.add_argument('out', type=Path, help='file; folder for a config')
    parser.add_argument('--start', type=int, help='first time to draw, us')
    parser.add_argument('--stop', type=int, help='time to stop at, us')
    parser.add_argument('--size', type=int, nargs=2, metavar=('W', 'H'),
                        help='sensor, where the recording does not say')
    parser.add_argument('--frame', type=int, metavar='US',
                        help='us of a frame (default: a 16th of the window)')
    parser.add_argument('--on-error', choices=['raise', 'skip'],
                        default='raise', help='faults of the recording')
    parser.add_argument('--fps', type=float, default=10.,
                        help='frames a second of a video (default: 10)')
    parser.add_argument('--split', choices=['train', 'val', 'test'],
                        default='train', help='data loader of the config')
    parser.add_argument('--number', type=int, default=8,
                        help='samples of the config to draw (default: 8)')
    parser.add_argument('--video', choices=VIDEOS,
                        help='videos of the samples instead of sheets')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions,
                        metavar='KEY=VALUE', help='override the config')
    return parser.parse_args()


def draw_recording(args):
    """Draw the recording that the user named, in frames of equal time."""
    recording = Recording(args.source, args.size, args.on_error)
    events = recording.read(args.start, args.stop)
    size = recording.size or sensor_of(events)
    bins = split(events, None if args.frame else 16, 'time', args.frame)
    labels = [f'{(t - bins.edges[0]) / 1000:.1f} ms' for t in bins.edges[:-1]]
    title = f'{args.source.name}, {len(events):,} events, {size[0]}x{size[1]}'
    images = colour_frames(histogram(events, bins, size))
    write_picture(args.out, images, title, labels, args.fps)
    print(args.out)


def batches(config, name):
    """Yield the batches of a data loader as they leave the preprocessor of the
    model, each with the metainfo of its data set."""
    scope = config.get('default_scope', 'mmpretrain')
    init_default_scope(scope)
    loader = config[f'{name}_dataloader']
    loader.update(num_workers=0, persistent_workers=False)
    collate = 'default' if scope == 'mmpretrain' else 'pseudo'
    loader.setdefault('collate_fn', dict(type=f'{collate}_collate'))
    loader = Runner.build_dataloader(loader, seed=0)
    options = config.get('model', {}).get('data_preprocessor') or config.get(
        'data_preprocessor')
    prepare = options and MODELS.build({
        'type': 'mmpretrain.ClsDataPreprocessor', **options})
    for batch in loader:
        yield prepare(batch) if prepare else batch, loader.dataset.metainfo


def draw_config(args):
    """Draw the first samples of a data loader of the config."""
    config = Config.fromfile(args.source)
    config.merge_from_dict(args.cfg_options or {})
    drawn = 0
    for batch, metainfo in batches(config, args.split):
        for frames, sample in zip(batch['inputs'], batch['data_samples']):
            if drawn == args.number:
                return
            classes = metainfo.get('classes') or ()
            objects = sample.get('gt_instances')
            labels = objects.labels if objects is not None else (
                sample.gt_label)
            names = [str(classes[i]) if i < len(classes) else str(i)
                     for i in np.unique(labels).tolist()]
            images = colour_frames(frames.numpy())
            if objects is not None:
                boxes = objects.bboxes
                draw_boxes(images, getattr(boxes, 'tensor', boxes))
            name = Path(str(sample.get('events_path') or sample.get(
                'img_path', ''))).stem
            path = args.out / f'{drawn:04d}{args.video or ".png"}'
            write_picture(path, images, f'{name}: {", ".join(names)}', None,
                          args.fps)
            print(path)
            drawn += 1


if __name__ == '__main__':
    arguments = parse_args()
    if arguments.source.suffix == '.py':
        draw_config(arguments)
    else:
        draw_recording(arguments)
