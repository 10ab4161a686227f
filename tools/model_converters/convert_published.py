"""Convert a published checkpoint to this suite's names.

Takes classifiers of E-SpikeFormer (both families, with or without layer scale
and distillation head) and of Meta-SpikeFormer, and the masked pre-training of
E-SpikeFormer's large family. The result serves a classifier as it is
(``load_from``) and any backbone with
``init_cfg=dict(type='Pretrained', checkpoint=DST, prefix='backbone.')``.
"""

import argparse
from pathlib import Path

import torch

from mmsnn.checkpoints import add_trust_argument, read_checkpoint
from mmsnn.files import whole_file
from mmsnn.models.published import convert_state_dict, left_out
from mmsnn.version import __version__

#: Where published checkpoints keep their weights, the first one found.
KEYS = ('model', 'state_dict', 'model_ema', 'state_dict_ema')


def read_state(path: Path, key: str | None) -> dict[str, torch.Tensor]:
    """Published names and weights; ValueError if there are none."""
    raw = read_checkpoint(path, map_location='cpu')
    keys = [str(k) for k in raw] if isinstance(raw, dict) else []
    wanted = key or next((k for k in KEYS if k in keys), None)
    state = raw.get(wanted) if keys and wanted else raw
    if not isinstance(state, dict) or not state or not all(
            isinstance(v, torch.Tensor) for v in state.values()):
        raise ValueError(
            f'{path}: there are no weights under {key or ", ".join(KEYS)} or '
            f'at its top level; its keys are {", ".join(keys[:8]) or "none"}')
    # "module." comes from a wrapper for several processes.
    return {k.removeprefix('module.'): v for k, v in state.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('src', type=Path, help='published checkpoint')
    parser.add_argument('dst', type=Path, help='converted checkpoint')
    parser.add_argument(
        '--key', help=f'where the weights are; default: {", ".join(KEYS)}')
    parser.add_argument('--force', action='store_true', help='replace DST')
    add_trust_argument(parser)
    args = parser.parse_args()
    if not args.src.is_file():
        parser.error(f'{args.src} is not a file')
    if args.dst.exists() and not args.force:
        parser.error(f'{args.dst} exists: name another file, or give --force')
    try:
        published = read_state(args.src, args.key)
        try:
            state = convert_state_dict(published)
        except ValueError as error:
            raise ValueError(f'{args.src}: {error}') from error
    except (ValueError, OSError) as error:
        parser.exit(1, f'{error}\n')
    meta = dict(source=args.src.name, mmsnn_version=__version__)
    with whole_file(args.dst) as part:
        torch.save(dict(state_dict=state, meta=meta), part)
    print(f'{args.dst}: {len(state)} tensors of {args.src.name}')
    for reason, keys in left_out(published).items():
        print(f'left out: {len(keys)} tensors ({", ".join(keys[:3])}'
              f'{", ..." if len(keys) > 3 else ""}) of its {reason}')


if __name__ == '__main__':
    main()
