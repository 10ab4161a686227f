"""Generate the digit events ahead of time, or again.

Configs with ``type='mmsnn.DigitEvents'`` generate them on first use.
"""

import argparse
from dataclasses import fields

from mmsnn.datasets import prepare_digit_events
from mmsnn.datasets.digits.recordings import DEFAULTS
from mmsnn.datasets.digits.render import SceneSpec
from mmsnn.datasets.digits.saccades import SaccadeSpec


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', help='folder to write, e.g. '
                        'data/digit_events')
    parser.add_argument(
        '--overwrite', action='store_true',
        help='replace recordings that are damaged or of other parameters')
    for field in (*fields(SceneSpec), *fields(SaccadeSpec)):
        pair = isinstance(field.default, tuple)
        default = DEFAULTS.get(field.name, field.default)
        parser.add_argument(
            '--' + field.name.replace('_', '-'),
            type=type(default[0] if pair else default),
            nargs=len(default) if pair else None,
            default=default,
            help=f'default {default}')
    args = vars(parser.parse_args())
    folder = prepare_digit_events(**args)
    print(f'{folder} holds the digit events.')


if __name__ == '__main__':
    main()
