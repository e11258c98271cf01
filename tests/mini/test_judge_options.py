import numpy as np

from mini.judge_options import longest_silence
from mini.speech import SAMPLE_RATE


def test_longest_silence_lies_between_sounds() -> None:
    sound = np.full(SAMPLE_RATE // 10, 0.5, dtype=np.float32)
    quiet = np.zeros(SAMPLE_RATE, dtype=np.float32)
    audio = np.concatenate([quiet, sound, quiet[: SAMPLE_RATE // 4], sound, quiet])
    assert abs(longest_silence(audio) - 0.25) <= 0.02
    assert longest_silence(sound) == 0.0
