"""Step 1: speech of known text from the teacher, ``python -m mini.synthesize``.

Shards that exist are left alone, so the step resumes where it stopped.  Beside each shard of
speech lies what the teacher's vocoder read (``decoded/``), which :mod:`mini.train_student` learns
from.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from mini.phonemes import pieces
from mini.sentences import Line, Reader, heldout_lines
from mini.speech import (
    SAMPLE_RATE,
    SHARD_SIZE,
    Audio,
    Utterance,
    shard_path,
    write_arrays,
    write_shard,
)
from mini.teacher import Taught, Teacher
from mini.teacher_speed import speed_factor
from mini.workspace import work_folder

LEAD, TAIL = 0.05, 0.12  # seconds of near silence kept around the speech
QUIET = 0.01  # of the peak
GAIN = 0.8  # the teacher's peaks reach over one


def trim(audio: Audio) -> tuple[Audio, int]:
    """Cut silence at both ends; return the rest and the samples cut in front."""
    loud = np.flatnonzero(np.abs(audio) > QUIET * np.abs(audio).max())
    begin = max(int(loud[0]) - int(LEAD * SAMPLE_RATE), 0)
    end = min(int(loud[-1]) + int(TAIL * SAMPLE_RATE), len(audio))
    return audio[begin:end], begin


def speak(teacher: Teacher, line: Line) -> tuple[Utterance, Taught]:
    """Say one line, trimmed."""
    parts = pieces(line.text)
    taught = teacher.speak(parts, line.voice, speed_factor(line.speed))
    audio, cut = trim(GAIN * taught.audio)
    utterance = Utterance(
        line.text, line.language, line.voice, line.speed, parts, taught.durations, cut, audio
    )
    return utterance, taught


def main() -> None:
    """Synthesise until there are enough shards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--heldout", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9)
    arguments = parser.parse_args()
    work = work_folder(arguments.work)
    teacher, begin = Teacher(work), time.monotonic()
    for split, count in (("heldout", arguments.heldout), ("train", arguments.shards)):
        for index in range(count):
            path = shard_path(work, split, index)
            if index % arguments.workers != arguments.worker:
                continue
            if path.exists() or time.monotonic() - begin > 60 * arguments.minutes:
                continue
            train = split == "train"
            lines = (
                Reader().shard(index, SHARD_SIZE, arguments.seed)
                if train
                else heldout_lines(index, SHARD_SIZE)
            )
            said = [speak(teacher, line) for line in lines]
            write_arrays(
                shard_path(work, split, index, "decoded"),
                {
                    "frames": np.array([len(taught.decoded) for _, taught in said]),
                    "decoded": np.concatenate([t.decoded for _, t in said]).astype(np.float16),
                    "pitch": np.concatenate([t.pitch for _, t in said]).astype(np.float16),
                },
            )
            write_shard(path, [utterance for utterance, _ in said])
            seconds = sum(len(u.audio) for u, _ in said) / SAMPLE_RATE
            print(f"{path.name}: {len(said)} sentences, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
