"""Generate the digit events ahead of time, or again.

Configs with ``type='mmsnn.DigitEvents'`` generate them on first use.
"""

from mmsnn.datasets.digits.recordings import DIGIT_EVENTS

if __name__ == '__main__':
    DIGIT_EVENTS.run_tool(__doc__)
