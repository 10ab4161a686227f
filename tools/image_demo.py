"""Run one image in spike-train form, with a config of any framework.

Writes OUT_DIR/IMAGE_NAME.png: the drawn prediction beside its energy (spiking
form, float twin, quantised twin) and what is known of its latency.
"""

import argparse
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device

import mmsnn  # noqa: F401  lets configs inherit from mmseg:: and mmsnn::
from mmsnn.checkpoints import add_trust_argument
from mmsnn.engine.cfg_options import CfgOptions
from mmsnn.engine.image_inference import infer_image, write_picture
from mmsnn.engine.neuron_key import merge_options


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('image', type=Path, help='image file')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument(
        '--out-dir', type=Path, default=Path('work_dirs/image_demo'),
        help='folder for the picture (default: %(default)s)')
    parser.add_argument(
        '--form', choices=['spikes', 'counts'], default='spikes',
        help='run sub-step by sub-step, or spike counts, which is faster and '
        'counts the same (default: %(default)s)')
    parser.add_argument(
        '--chips', nargs='+', default=['cmos45'], metavar='CHIP',
        help='names or paths of chip specs (default: cmos45)')
    parser.add_argument(
        '--device', default=get_device(),
        help='device to run on (default: %(default)s)')
    parser.add_argument(
        '--score-thr', type=float, default=0.3,
        help='lowest score of detections to draw (default: %(default)s)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=CfgOptions, metavar='KEY=VALUE',
        help='override keys of the config')
    add_trust_argument(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    config = Config.fromfile(args.config)
    merge_options(config, args.cfg_options)
    result = infer_image(args.image, config, args.checkpoint, args.form,
                         args.chips, args.device, args.score_thr)
    for heading, rows in result.rows().items():
        print(f'\n{heading}:')
        for row in rows:
            print(f'  {row}')
    picture = args.out_dir / f'{args.image.stem}.png'
    write_picture(result, picture)
    print(f'\npicture: {picture}')


if __name__ == '__main__':
    main()
