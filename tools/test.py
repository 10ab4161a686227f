"""Test a model of mmpretrain, mmdet or mmseg from a config."""

import argparse

from mmengine.runner import Runner

import mmsnn  # noqa: F401  lets configs inherit from mmseg:: and mmsnn::
from mmsnn.engine.cli import (
    add_common_arguments,
    build_runner,
    enable_output,
    enable_painting,
    enable_tta,
    framework,
    load_config,
)
from mmsnn.engine.config_values import naming_keys_of
from mmsnn.engine.failures import FailsOnce
from mmsnn.files import naming_full_disk


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument(
        '--out',
        help='write predictions (.pkl), metrics (.json) or, for '
        'segmentation, predicted masks (a folder)')
    parser.add_argument(
        '--show-dir', help='folder for images with painted predictions')
    parser.add_argument(
        '--tta', action='store_true', help='augment at test time')
    add_common_arguments(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    with FailsOnce(args.launcher):
        cfg = load_config(args)
        cfg.load_from = args.checkpoint
        test = enable_output(cfg, args.out) if args.out else Runner.test
        if args.tta and args.show_dir and framework(cfg) == 'mmpretrain':
            raise ValueError('mmpretrain paints no augmented images: give '
                             '--show-dir or --tta, not both')
        if args.show_dir:
            enable_painting(cfg, args.show_dir)
        if args.tta:
            enable_tta(cfg)
        with (naming_full_disk(cfg.work_dir),
              naming_keys_of(cfg, args.cfg_options)):
            test(build_runner(cfg))


if __name__ == '__main__':
    main()
