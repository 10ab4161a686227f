"""What the command-line tools share."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmsnn.checkpoints import add_trust_argument
from mmsnn.engine.cfg_options import CfgOptions
from mmsnn.engine.config_values import (
    check_options,
    check_values,
    check_work_dir,
)
from mmsnn.engine.gloo import needs_gloo
from mmsnn.engine.neuron_key import merge_options
from mmsnn.engine.optimizers.known import check_optimizer
from mmsnn.files import dump_json
from mmsnn.visualization.metrics import json_metrics

# The test-time augmentation model of each framework.
_TTA_MODELS = dict(
    mmpretrain=dict(type='mmpretrain.AverageClsScoreTTA'),
    # Without scope: mmdet registers it with mmengine.
    mmdet=dict(
        type='DetTTAModel',
        tta_cfg=dict(
            nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)),
    mmseg=dict(type='mmseg.SegTTAModel'))


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing have in common.

    Args:
        parser (argparse.ArgumentParser): The parser of a tool.
    """
    parser.add_argument(
        '--work-dir',
        help='folder of logs, checkpoints and metrics; defaults to the '
        "config's work_dir, then to ./work_dirs/CONFIG_NAME")
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        metavar='KEY=VALUE',
        help='override keys of the config, e.g. '
        'train_dataloader.batch_size=8 "model.backbone.out_indices=(3,4)"')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what starts the processes of a distributed run')
    add_trust_argument(parser)
    # Both spellings: torch.distributed passes either, depending on version.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def load_config(args: argparse.Namespace) -> Config:
    """Read a config and merge the common options into it.

    ``--cfg-options`` are merged first, so every later default sees them; a
    ``neuron`` among them is handed on to the model.

    Args:
        args (argparse.Namespace): ``config`` and the options of
            :func:`add_common_arguments`.

    Returns:
        Config: The config, with ``launcher`` and ``work_dir`` set.

    Raises:
        ValueError: A value of the config or of the options can not be; the
            message names its key.
        OSError: Files can not be written into the ``work_dir``.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = Config.fromfile(args.config)
    check_options(cfg, args.cfg_options)
    merge_options(cfg, args.cfg_options)
    check_values(cfg)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', Path(args.config).stem)
    check_work_dir(cfg.work_dir)
    scope = framework(cfg)
    check_optimizer(cfg)
    if scope == 'mmpretrain':
        set_loader_defaults(cfg)
    return cfg


def framework(cfg: Config) -> str:
    """Return the framework that a config is for.

    Args:
        cfg (Config): The config.

    Returns:
        str: 'mmpretrain', 'mmdet' or 'mmseg'.

    Raises:
        ValueError: ``default_scope`` is something else.

    Example:
        >>> framework(Config(dict(default_scope='mmseg')))
        'mmseg'
    """
    scope = cfg.get('default_scope')
    if scope not in _TTA_MODELS:
        raise ValueError('default_scope of the config must be one of '
                         f'{", ".join(_TTA_MODELS)}, got {scope!r}')
    return scope


def tested_dataset(cfg: Config) -> dict:
    """The config of the dataset that is tested on, out of its wrappers.

    Args:
        cfg (Config): The config.

    Returns:
        dict: The config of the innermost dataset, not a copy.

    Raises:
        KeyError: The config has no ``test_dataloader``.

    Example:
        >>> inner = dict(type='CocoDataset', pipeline=[])
        >>> cfg = Config(dict(test_dataloader=dict(
        ...     dataset=dict(type='RepeatDataset', dataset=inner))))
        >>> tested_dataset(cfg).type
        'CocoDataset'
    """
    if 'test_dataloader' not in cfg:
        raise KeyError('the config has no test_dataloader: its dataset says '
                       'how an image is prepared')
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


def set_loader_defaults(cfg: Config) -> None:
    """Give data loaders the defaults that mmpretrain's own tools give them.

    Args:
        cfg (Config): The config, changed in place.
    """
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(key)
        if loader is None:
            continue
        loader.setdefault('collate_fn', dict(type='default_collate'))
        loader.setdefault('pin_memory', get_device() != 'cpu')
        # torch refuses persistent workers where there are none.
        loader.setdefault('persistent_workers',
                          loader.get('num_workers', 0) > 0)


def build_runner(cfg: Config) -> Runner:
    """Build the Runner that a config needs on this machine.

    Args:
        cfg (Config): The config. Its ``runner_type`` is kept; without one, it
            is :class:`mmsnn.engine.runner.ResumableRunner`, or
            :class:`mmsnn.engine.runner.GlooRunner` for a distributed run
            without an accelerator. ``'FlexibleRunner'`` is
            :class:`mmsnn.engine.flexible_runner.FlexibleRunner`.

    Returns:
        Runner: The runner.
    """
    if cfg.get('runner_type') == 'FlexibleRunner':
        cfg.runner_type = 'mmsnn.FlexibleRunner'
    gloo = needs_gloo(cfg.launcher)
    cfg.setdefault('runner_type',
                   f'mmsnn.{"GlooRunner" if gloo else "ResumableRunner"}')
    return RUNNERS.build(cfg)


def enable_amp(cfg: Config) -> None:
    """Switch training to automatic mixed precision.

    Args:
        cfg (Config): The config, changed in place.

    Raises:
        RuntimeError: There is no accelerator.
        ValueError: The config's ``optim_wrapper.type`` has no counterpart
            with mixed precision.
    """
    if get_device() == 'cpu':
        raise RuntimeError('--amp needs an accelerator and this machine has '
                           'none: leave it out to train in float32')
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError('--amp needs optim_wrapper.type to be OptimWrapper '
                         f'or AmpOptimWrapper, got {kind!r}')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def enable_tta(cfg: Config) -> None:
    """Switch testing to test-time augmentation.

    ``tta_model`` and ``tta_pipeline`` of the config are used; what it lacks
    defaults to averaging an image with its mirror image.

    Args:
        cfg (Config): The config, changed in place.

    Raises:
        ValueError: The config has no ``tta_model`` and predicts masks, which
            mmdet's does not merge.
    """
    dataset = tested_dataset(cfg)
    masks = _mask_head(cfg.model)
    if 'tta_model' not in cfg and framework(cfg) == 'mmdet' and masks:
        raise ValueError('--tta: mmdet.DetTTAModel merges boxes and no masks, '
                         f'but the model has a model.{masks}; give the '
                         'config a tta_model that merges them, or leave out '
                         '--tta')
    if 'tta_pipeline' not in cfg:
        *transforms, pack = dataset.pipeline
        if framework(cfg) == 'mmdet':
            pack = dict(
                pack,
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                           'scale_factor', 'flip', 'flip_direction'))
        flips = [dict(type='RandomFlip', prob=prob) for prob in (0., 1.)]
        cfg.tta_pipeline = [
            *transforms,
            dict(type='TestTimeAug', transforms=[flips, [pack]])
        ]
    dataset.pipeline = cfg.tta_pipeline
    tta_model = cfg.get('tta_model', _TTA_MODELS[framework(cfg)])
    cfg.model = dict(tta_model, module=cfg.model)


def _mask_head(model: dict) -> str:
    """Path of the head of a detector's config that predicts masks."""
    for key, value in model.items():
        if key in ('mask_head', 'panoptic_head') and value is not None:
            return key
        inner = _mask_head(value) if isinstance(value, dict) else ''
        if inner:
            return f'{key}.{inner}'
    return ''


def enable_painting(cfg: Config, folder: str) -> None:
    """Paint predictions on test images.

    Args:
        cfg (Config): The config, changed in place.
        folder (str): Folder for the images.

    Raises:
        KeyError: The config has no ``default_hooks.visualization``.
    """
    if 'visualization' not in cfg.get('default_hooks', {}):
        raise KeyError('--show-dir needs a visualization hook in the '
                       "config's default_hooks, e.g. "
                       "visualization=dict(type='VisualizationHook')")
    hook = cfg.default_hooks.visualization
    if framework(cfg) == 'mmpretrain':
        hook.update(enable=True, interval=1, out_dir=folder)
    elif framework(cfg) == 'mmdet':
        # This hook puts the folder into work_dir/timestamp unless absolute.
        hook.update(draw=True, test_out_dir=os.path.abspath(folder))
    else:
        hook.update(draw=True)
        cfg.visualizer.save_dir = folder


def enable_output(cfg: Config, out: str) -> Callable[[Runner], dict]:
    """Arrange for what ``--out`` asks for.

    Args:
        cfg (Config): The config, changed in place for a folder.
        out (str): ``*.pkl`` or ``*.pickle``: the predictions; ``*.json``:
            the metrics; under mmseg a folder: predicted masks as PNG.

    Returns:
        Callable[[Runner], dict]: Tests a runner that is built from the
        config, writes the output and returns the metrics.

    Raises:
        ValueError: ``out`` ends otherwise.
    """
    suffix = Path(out).suffix
    if suffix == '.json':

        def test(runner: Runner) -> dict:
            metrics = runner.test()
            if is_main_process():
                dump_json(out, json_metrics(metrics))
            return metrics
    elif suffix in ('.pkl', '.pickle'):

        def test(runner: Runner) -> dict:
            if framework(cfg) == 'mmdet':
                from mmdet.evaluation import DumpDetResults as Dump
            else:
                Dump = DumpResults
            runner.test_evaluator.metrics.append(Dump(out_file_path=out))
            return runner.test()
    elif framework(cfg) == 'mmseg' and not suffix:
        evaluators = cfg.test_evaluator
        if not isinstance(evaluators, list):
            evaluators = [evaluators]
        evaluators[0].update(output_dir=out)
        test = Runner.test
    else:
        raise ValueError(
            '--out must end in .pkl (predictions) or .json (metrics), or '
            f'under mmseg name a folder (predicted masks), got {out}')
    return test
