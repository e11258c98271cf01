"""Step 6: codes of much more text, by the teacher and the student of its vocoder, ``python -m
mini.teach``.

Makes shards of features without audio, a tenth of the work of speech.
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np
import torch

from mini.extract import load_dvae, make_features
from mini.features import FIRST_TAUGHT, write_features
from mini.lesson import Floats
from mini.phonemes import pieces
from mini.sentences import Line, Reader
from mini.speech import FRAME, SAMPLE_RATE, SHARD_SIZE, Utterance, shard_path
from mini.student_model import MEL_HOP, Student
from mini.synthesize import LEAD, TAIL
from mini.teacher import Teacher
from mini.teacher_speed import speed_factor
from mini.teacher_styles import style_of
from mini.trainer import averaged_weights, default_threads
from mini.workspace import pick_device, work_folder

# mel frames so far below the loudest are silence
QUIET = 5.5
NO_AUDIO = np.zeros(0, dtype=np.float32)


def trim_mel(mel: Floats) -> tuple[int, int]:
    """Return the first mel frame to keep and the one after the last."""
    energy = np.log(np.exp(mel).sum(1))
    loud = np.flatnonzero(energy > energy.max() - QUIET)
    per_second = SAMPLE_RATE / MEL_HOP
    begin = max(int(loud[0] - LEAD * per_second), 0)
    return begin, min(int(loud[-1] + TAIL * per_second), len(mel))


class Classroom:
    """The teacher without its vocoder, and the student in its place."""

    def __init__(self, teacher: Teacher, student: Student) -> None:
        self.teacher, self.student = teacher, student
        self.device = next(student.parameters()).device

    def say(self, line: Line) -> tuple[Utterance, Floats]:
        """Return one line and its mel [frames, num_mels]."""
        parts = pieces(line.text)
        taught = self.teacher.speak(parts, line.voice, speed_factor(line.speed))
        style = style_of(self.teacher.styles, line.voice, len(taught.durations) - 2)
        samples = int(taught.durations.sum()) * FRAME
        times = np.arange(0, samples, MEL_HOP, dtype=np.float32)
        with torch.inference_mode():
            inputs = (
                torch.from_numpy(array).unsqueeze(0).to(self.device)
                for array in (taught.decoded, taught.pitch, style, times)
            )
            mel = self.student(*inputs)[0].float().cpu().numpy()
        begin, end = trim_mel(mel)
        item = Utterance(
            line.text, line.language, line.voice, line.speed, parts, taught.durations,
            begin * MEL_HOP, NO_AUDIO,
        )  # fmt: skip
        return item, mel[begin:end]


def main() -> None:
    """Make shards until there are enough or the minutes are over."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--threads", type=int, default=default_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work, begin = work_folder(arguments.work), time.monotonic()
    weights = averaged_weights(work, "student")
    if weights is None:
        raise FileNotFoundError(f"{work}: found no student; run `python -m mini.train_student`")
    student = Student().eval().to(pick_device())
    student.load_state_dict(weights)
    classroom, dvae, reader = Classroom(Teacher(work, audio=False), student), load_dvae(work), None
    indices = list(range(FIRST_TAUGHT, FIRST_TAUGHT + arguments.shards))
    # in another order each time, so that two that work at once seldom make the same shard
    random.SystemRandom().shuffle(indices)
    for index in indices:
        path = shard_path(work, "train", index, "features")
        if path.exists() or time.monotonic() - begin > 60 * arguments.minutes:
            continue
        reader = reader or Reader()
        rng = random.Random(path.name)
        features = []
        for number, line in enumerate(reader.shard(index, SHARD_SIZE, arguments.seed)):
            item, mel = classroom.say(line)
            features.append(make_features(dvae, item, mel, number, rng))
        write_features(path, features)
        seconds = sum(len(f.codes) for f in features) / 46.875
        print(f"{path.name}: {len(features)} sentences, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
