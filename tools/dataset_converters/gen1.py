"""Write the boxes of Prophesee's Gen1 detection set as COCO annotations.

Can be interrupted and repeated: a split that is there already stays.
"""

import argparse

from mmsnn.datasets.event_sets.gen1 import convert_gen1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', help='folder with train, val and test')
    parser.add_argument('--window', type=int, default=50_000,
                        help='us of events up to the boxes, default 50000')
    parser.add_argument('--min-side', type=float, default=10.,
                        help='least side of a box in pixels, default 10')
    parser.add_argument('--min-diagonal', type=float, default=30.,
                        help='least diagonal in pixels, default 30')
    parser.add_argument('--skip', type=int, default=500_000,
                        help='us at the start without boxes, default 500000')
    args = parser.parse_args()
    for path in convert_gen1(**vars(args)):
        print(f'{path} written.')


if __name__ == '__main__':
    main()
