"""Step 5: a student of the teacher's vocoder, ``python -m mini.train_student``.

It learns from the speech that :mod:`mini.synthesize` made, and lets :mod:`mini.teach` make codes of
many times as much text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mini.sizes import mini_dims
from mini.speech import read_shard
from mini.student_model import DECODED_HOP, MEL_HOP, Student
from mini.teacher_styles import load_styles, style_of
from mini.train_dvae import mel_distance
from mini.trainer import Losses, Schedule, Trainer, parse_schedule, work_folder
from pipeline.reference.spectral import LogMel

FRAMES = 80  # of decoded, a second


@dataclass(frozen=True)
class Pair:
    """What the vocoder read of one utterance and the mel of what it said."""

    decoded: NDArray[np.float16]
    pitch: NDArray[np.float16]
    style: NDArray[np.float32]
    mel: NDArray[np.float16]
    cut: int


def read_pairs(work: Path, split: str, log_mel: LogMel) -> list[Pair]:
    """Read all utterances of a split."""
    styles, pairs = load_styles(work), []
    for path in sorted((work / "speech").glob(f"{split}-*.npz")):
        with np.load(work / "decoded" / path.name) as data:
            ends = np.cumsum(data["frames"])[:-1]
            decoded, pitch = np.split(data["decoded"], ends), np.split(data["pitch"], ends)
        for item, read, hertz in zip(read_shard(path), decoded, pitch, strict=True):
            mel = log_mel(torch.from_numpy(item.audio).unsqueeze(0))[0].t().numpy()
            style = style_of(styles, item.voice, len(item.durations) - 2)
            pairs.append(Pair(read, hertz, style, mel.astype(np.float16), item.cut))
    return pairs


def piece(pair: Pair, start: int, frames: int) -> tuple[Tensor, ...]:
    """Return decoded frames, pitch, style, times and mel of ``frames`` decoded frames."""
    first = -(-(start * DECODED_HOP - pair.cut) // MEL_HOP)
    first = max(first, 0)
    count = frames * DECODED_HOP // MEL_HOP - 2
    rows = np.minimum(np.arange(first, first + count), len(pair.mel) - 1)
    times = (pair.cut + rows * MEL_HOP - start * DECODED_HOP).astype(np.float32)
    part = slice(start, start + frames)
    arrays = (
        pair.decoded[part].astype(np.float32), pair.pitch[part].astype(np.float32), pair.style,
        times, pair.mel[rows].astype(np.float32),
    )  # fmt: skip
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)


def main() -> None:
    """Train the student."""
    arguments, schedule = parse_schedule(__doc__ or "", Schedule(4000, 10, 1.5e-3, 60.0))
    work, dims = work_folder(arguments.work), mini_dims()
    trainer = Trainer("student", Student(), schedule, work, arguments.seed, mixed_precision=True)
    student, device = trainer.module, trainer.device
    log_mel = LogMel(dims.sample_rate, dims.n_fft, dims.hop_length, dims.num_mels)
    train = [p for p in read_pairs(work, "train", log_mel) if len(p.decoded) > FRAMES]
    heldout = read_pairs(work, "heldout", log_mel)[:40]
    rng = np.random.default_rng([arguments.seed, trainer.step])

    def loss(step: int) -> Losses:
        chosen = [train[int(rng.integers(len(train)))] for _ in range(schedule.batch)]
        parts = [piece(p, int(rng.integers(len(p.decoded) - FRAMES)), FRAMES) for p in chosen]
        decoded, pitch, style, times, mel = (
            torch.stack(part).to(device) for part in zip(*parts, strict=True)
        )
        made = student(decoded, pitch, style, times).float()
        inside = slice(4, -4)
        return {"total": mel_distance(made[:, inside], mel[:, inside])}

    def evaluate() -> dict[str, float]:
        distances = []
        for pair in heldout:
            parts = (part.unsqueeze(0).to(device) for part in piece(pair, 0, len(pair.decoded)))
            decoded, pitch, style, times, mel = parts
            distances.append(float((student(decoded, pitch, style, times) - mel).abs().mean()))
        return {"mel": float(np.mean(distances))}

    trainer.run(loss, evaluate, every=250)


if __name__ == "__main__":
    main()
