"""Check the models against golden vectors, one line per golden.

Reads only what the goldens' README describes: NAME.json (how to build the
model) and NAME.npz (published weights, input, expected outputs). Everything
is computed in float64. Exit status 1 if any golden fails.
"""

import argparse
import sys
from pathlib import Path

from mmsnn.models.goldens import check_golden, is_golden


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('directory', type=Path, help='folder of the goldens')
    directory = parser.parse_args().directory
    if not directory.is_dir():
        parser.error(f'{directory} is not a folder')
    goldens = [p for p in sorted(directory.glob('*.json')) if is_golden(p)]
    if not goldens:
        parser.error(f'{directory} holds no golden (NAME.json + NAME.npz)')
    passed = [check_golden(path, report=print) for path in goldens]
    print(f'{passed.count(True)} passed, {passed.count(False)} failed, '
          f'{passed.count(None)} skipped')
    return 1 if False in passed else 0


if __name__ == '__main__':
    sys.exit(main())
