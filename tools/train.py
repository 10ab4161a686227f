"""Train a model of mmpretrain, mmdet or mmseg from a config."""

import argparse
import os

import mmsnn  # noqa: F401  lets configs inherit from mmseg:: and mmsnn::
from mmsnn.engine.cli import (
    add_common_arguments,
    build_runner,
    enable_amp,
    load_config,
)
from mmsnn.engine.config_values import naming_keys_of
from mmsnn.engine.failures import FailsOnce, resume_after_restart
from mmsnn.files import naming_full_disk


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from a checkpoint, by default from the latest one in '
        'the work_dir')
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--no-validate', action='store_true',
        help='do not evaluate during training')
    parser.add_argument(
        '--auto-scale-lr', action='store_true',
        help='scale the learning rate with the whole batch size')
    add_common_arguments(parser)
    return parser.parse_args()


def merge_options(cfg, args):
    """Merge the options of training into a config, in place."""
    if args.no_validate:
        cfg.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise KeyError('--auto-scale-lr needs '
                           'auto_scale_lr.base_batch_size in the config')
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume


def main():
    args = parse_args()
    with FailsOnce(args.launcher):
        cfg = load_config(args)
        merge_options(cfg, args)
        resume_after_restart(cfg, os.environ)
        with (naming_full_disk(cfg.work_dir),
              naming_keys_of(cfg, args.cfg_options)):
            build_runner(cfg).train()


if __name__ == '__main__':
    main()
