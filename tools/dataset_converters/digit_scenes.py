"""Generate the digit scenes ahead of time, or again.

Configs with ``type='mmsnn.DigitScenes'`` generate them on first use.
"""

import argparse
from dataclasses import fields

from mmsnn.datasets import prepare_digit_scenes
from mmsnn.datasets.digits.render import SceneSpec


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', help='folder to write, e.g. '
                        'data/digit_scenes')
    parser.add_argument(
        '--overwrite', action='store_true',
        help='replace scenes that are damaged or of other parameters')
    for field in fields(SceneSpec):
        parser.add_argument(
            '--' + field.name.replace('_', '-'),
            type=int,
            nargs=2 if isinstance(field.default, tuple) else None,
            default=field.default,
            help=f'default {field.default}')
    args = vars(parser.parse_args())
    folder = prepare_digit_scenes(**args)
    print(f'{folder} holds the digit scenes.')


if __name__ == '__main__':
    main()
