"""Generate the digit scenes ahead of time, or again.

Configs with ``type='mmsnn.DigitScenes'`` generate them on first use.
"""

from mmsnn.datasets.digits.scenes import DIGIT_SCENES

if __name__ == '__main__':
    DIGIT_SCENES.run_tool(__doc__)
