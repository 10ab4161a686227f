"""Energy and time of a trained model on chips, without training.

Writes OUT/report.html with its plots, hardware.json, layers.csv, chips.csv
and trace.json, and prints a table.
"""

import argparse
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device

import mmsnn  # noqa: F401  lets configs inherit from mmseg:: and mmsnn::
from mmsnn.checkpoints import add_trust_argument
from mmsnn.engine.cfg_options import CfgOptions
from mmsnn.engine.hardware_report import (
    format_report,
    make_report,
    measure,
    read_points,
    write_hardware_files,
)
from mmsnn.engine.neuron_key import merge_options
from mmsnn.hardware import load_chips


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument(
        '--chips', nargs='+', default=['cmos45', 'loihi'], metavar='CHIP',
        help='names or paths of chip specs (default: cmos45 loihi)')
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/hardware_report'),
        help='folder of the report (default: %(default)s)')
    parser.add_argument(
        '--images', type=int, default=16,
        help='test images to run, 0 for all (default: %(default)s)')
    parser.add_argument(
        '--weights', choices=['shared', 'unrolled'], default='shared',
        help='how a core stores weights (default: %(default)s)')
    parser.add_argument(
        '--metrics', action='store_true',
        help="also evaluate the config's metrics on these images")
    parser.add_argument(
        '--spread', action='store_true',
        help='also estimate each image for itself on chips with cores')
    parser.add_argument(
        '--free-running', action='store_true',
        help='also measure the error of firing while input still arrives')
    parser.add_argument(
        '--paper-mj', type=float, metavar='MJ',
        help='reported power of the model; defaults to that of the paper')
    parser.add_argument(
        '--points', type=Path, nargs='+', default=[], metavar='JSON',
        help='hardware.json of runs with another D, for energy over accuracy')
    parser.add_argument(
        '--device', default=get_device(),
        help='device to run on (default: %(default)s)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=CfgOptions, metavar='KEY=VALUE',
        help='override keys of the config')
    add_trust_argument(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    chips = load_chips(args.chips)  # before anything runs
    for path in args.points:
        read_points(path)
    config = Config.fromfile(args.config)
    merge_options(config, args.cfg_options)
    measured = measure(config, args.checkpoint, args.images, args.device,
                       args.metrics, args.free_running)
    report = make_report(config, args.checkpoint, measured,
                         chips, args.paper_mj, args.points, args.spread,
                         weights=args.weights)
    print('\n'.join(format_report(report)))
    print(f'report: {write_hardware_files(args.out, report)}')


if __name__ == '__main__':
    main()
