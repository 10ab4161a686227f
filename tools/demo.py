"""Train, convert and audit a small spiking segmentor on digit scenes.

Writes work_dirs/demo/report.html. An interrupted demo goes on where it was.
"""

import argparse
import time
from pathlib import Path

from mmengine.config import Config

import mmsnn  # noqa: F401  lets configs inherit from mmseg:: and mmsnn::
from mmsnn.checkpoints import add_trust_argument
from mmsnn.engine.cfg_options import CfgOptions
from mmsnn.engine.cli import build_runner
from mmsnn.engine.neuron_key import merge_options
from mmsnn.files import write_whole

CONFIG = (
    Path(__file__).parents[1] / 'configs' / 'semantic_fpn' /
    'espikeformer-tiny_semantic-fpn_sfa4_1xb8-2400i_digits-64x64.py')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', type=Path,
                        default=Path('work_dirs/demo'))
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions)
    add_trust_argument(parser)
    arguments = parser.parse_args()
    folder = arguments.work_dir
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(
        dict(
            work_dir=str(folder),
            launcher='none',
            custom_hooks=[
                dict(
                    type='mmsnn.SpikeInferenceHook',
                    phases=('test', ),
                    out_dir=str(folder))
            ],
            default_hooks=dict(
                logger=dict(interval=25), checkpoint=dict(interval=250))))
    merge_options(cfg, arguments.cfg_options)

    # Go on only with what the same config began.
    begun, text = folder / 'begun.py', cfg.pretty_text
    cfg.resume = ((folder / 'last_checkpoint').exists() and begun.exists()
                  and begun.read_text() == text)
    write_whole(begun, text)

    start = time.time()
    runner = build_runner(cfg)
    runner.train()
    trained = time.time()
    metrics = runner.test()
    print(f'\ntrained in {trained - start:.0f} s, evaluated in both forms in '
          f'{time.time() - trained:.0f} s: mIoU {metrics["mIoU"]:.2f}% in '
          f'spike-train form\nreport: {folder / "report.html"}')


if __name__ == '__main__':
    main()
