"""Convert a published checkpoint to this suite's names.

Takes classifiers of E-SpikeFormer (both families, with or without layer scale
and distillation head) and of Meta-SpikeFormer, and the masked pre-training of
E-SpikeFormer's large family. The result serves a classifier as it is
(``load_from``) and any backbone with
``init_cfg=dict(type='Pretrained', checkpoint=DST, prefix='backbone.')``.
"""

import argparse
import pickle
import re
from pathlib import Path

import torch

from mmsnn.files import whole_file
from mmsnn.models.published import convert_state_dict, left_out
from mmsnn.version import __version__

#: Where published checkpoints keep their weights, the first one found.
KEYS = ('model', 'state_dict', 'model_ema', 'state_dict_ema')
#: What unpickling raises on files that are damaged or no checkpoints.
UNREADABLE = (pickle.UnpicklingError, RuntimeError, OSError, EOFError,
              LookupError, ValueError, TypeError, AttributeError)


def read_state(path: Path, key: str | None) -> dict[str, torch.Tensor]:
    """Published names and weights; ValueError if there are none."""
    # Training scripts store their arguments beside the weights.
    torch.serialization.add_safe_globals([argparse.Namespace])
    try:
        raw = torch.load(path, map_location='cpu', weights_only=True)
    except UNREADABLE as error:
        found = re.search(r'Unsupported global: GLOBAL (\S+)', str(error))
        why = f'it holds {found[1]}' if found else type(error).__name__
        raise ValueError(
            'the file is damaged, or no PyTorch checkpoint, or can not be '
            f'read without running code from it ({why})') from error
    keys = [str(k) for k in raw] if isinstance(raw, dict) else []
    wanted = key or next((k for k in KEYS if k in keys), None)
    state = raw.get(wanted) if keys and wanted else raw
    if not isinstance(state, dict) or not state or not all(
            isinstance(v, torch.Tensor) for v in state.values()):
        raise ValueError(
            f'there are no weights under {key or ", ".join(KEYS)} or at '
            f'its top level; its keys are {", ".join(keys[:8]) or "none"}')
    # "module." comes from a wrapper for several processes.
    return {k.removeprefix('module.'): v for k, v in state.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('src', type=Path, help='published checkpoint')
    parser.add_argument('dst', type=Path, help='converted checkpoint')
    parser.add_argument(
        '--key', help=f'where the weights are; default: {", ".join(KEYS)}')
    parser.add_argument('--force', action='store_true', help='replace DST')
    args = parser.parse_args()
    if not args.src.is_file():
        parser.error(f'{args.src} is not a file')
    if args.dst.exists() and not args.force:
        parser.error(f'{args.dst} exists: name another file, or give --force')
    try:
        published = read_state(args.src, args.key)
        state = convert_state_dict(published)
    except ValueError as error:
        parser.exit(1, f'{args.src}: {error}\n')
    meta = dict(source=args.src.name, mmsnn_version=__version__)
    with whole_file(args.dst) as part:
        torch.save(dict(state_dict=state, meta=meta), part)
    print(f'{args.dst}: {len(state)} tensors of {args.src.name}')
    for reason, keys in left_out(published).items():
        print(f'left out: {len(keys)} tensors ({", ".join(keys[:3])}'
              f'{", ..." if len(keys) > 3 else ""}) of its {reason}')


if __name__ == '__main__':
    main()
