"""Cut the gestures of DVS128 Gesture out of its recordings, once.

Can be interrupted and repeated: what is there already stays.
"""

import argparse

from mmsnn.datasets.event_sets.dvs_gesture import cut_gestures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='folder DvsGesture, as distributed')
    parser.add_argument('target', help='folder to write, e.g. '
                        'data/dvs_gesture')
    parser.add_argument(
        '--on-error', choices=['raise', 'skip'], default='raise',
        help='what to do about wrong labels and faults of recordings')
    args = parser.parse_args()
    written = cut_gestures(args.source, args.target, args.on_error)
    print(f'{args.target}: {written} gestures written now.')


if __name__ == '__main__':
    main()
