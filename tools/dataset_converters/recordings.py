"""Convert a folder of recordings to .npy, which is read fastest: CIFAR10-DVS,
HARDVS, N-Caltech101, N-MNIST or any other. Lists of labels are copied.

Can be interrupted and repeated: what is there already stays.
"""

import argparse

from mmsnn.datasets.event_sets.to_npy import convert_folder


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='folder of recordings, of any depth')
    parser.add_argument('target', help='folder to write')
    parser.add_argument('--size', type=int, nargs=2, metavar=('W', 'H'),
                        help='sensor, where the recordings do not say')
    parser.add_argument(
        '--on-error', choices=['raise', 'skip'], default='raise',
        help='what to do about faults of recordings')
    args = parser.parse_args()
    written, skipped = convert_folder(args.source, args.target, args.size,
                                      args.on_error)
    print(f'{args.target}: {written} recordings written now.')
    if skipped:
        print(f'{len(skipped)} left out; the first: {skipped[0]}')


if __name__ == '__main__':
    main()
