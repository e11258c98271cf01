"""Step 14: whether voices, tempo, breaks and cloning do what they should, ``python -m
mini.judge_options``.

Judged on a bundle, as users have it: a random voice is one person in both languages, ``[speed_n]``
changes the tempo in order, breaks are heard as silence, the refine pass writes as many as it is
asked for, and a clone is nearer to its own sample than to any other.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from chattts_onnx import Bundle, GenerationError, InputError, open_bundle
from chattts_onnx.hearing.listener import as_heard
from chattts_onnx.speech.requests import refine_request, refined_text, run_requests
from mini import text
from mini.samples import write_sample
from mini.speech import SAMPLE_RATE, Audio, read_split
from mini.voices import VOICES
from mini.workspace import work_folder
from pipeline.core import atomic
from pipeline.speech.judges import VoiceEncoder

Figures = dict[str, float]
Voiceprint = NDArray[np.float32]
BREAK_PLACES = {"zh": "，", "en": ","}
FRAME, QUIET = 240, 0.02  # 10 ms; of the loudest frame


def longest_silence(audio: Audio) -> float:
    """Return the seconds of the longest silence between the first and the last sound."""
    frames = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME)
    level = np.sqrt(np.square(frames).mean(1))
    loud = np.flatnonzero(level > QUIET * level.max())
    return float(np.diff(loud).max(initial=1) - 1) * FRAME / SAMPLE_RATE


def sentences(count: int) -> list[str]:
    """Return the first held-out sentences of each language and set, ``count`` of each."""
    return [
        line
        for language in text.LANGUAGES
        for topic in text.TOPICS
        for line in text.heldout(language, topic)[:count]
    ]


def judge_tempo(bundle: Bundle, lines: list[str]) -> Figures:
    """Return how much longer the slowest level is than the fastest, and how many neighbours are
    in order."""
    lengths = [
        sum(len(bundle.say(line, voice="ava", seed=7, speed=level)) for line in lines)
        for level in range(10)
    ]
    return {
        "slowest_over_fastest": lengths[0] / lengths[-1],
        "levels_in_order": float(np.mean(np.diff(lengths) < 0)),
    }


def refined(bundle: Bundle, line: str, level: int) -> str:
    """Return what the refine pass makes of a line at ``[break_<level>]``, nothing if it fails."""
    request = refine_request(bundle, line, f"[break_{level}]", seed=7)
    run_requests(bundle, [request])
    try:
        return refined_text(bundle, request)
    except GenerationError:
        return ""


def judge_breaks(bundle: Bundle, lines: list[str]) -> Figures:
    """Return the seconds of silence that each break adds, and the breaks a refined text gets."""
    figures: Figures = {}
    for tag in ("[uv_break]", "[lbreak]"):
        added = []
        for line in lines:
            mark = next((mark for mark in BREAK_PLACES.values() if mark in line), None)
            if mark is None:
                continue
            plain, broken = (
                longest_silence(bundle.say(said, voice="ava", seed=7))
                for said in (line, line.replace(mark, f"{mark} {tag} ", 1))
            )
            added.append(broken - plain)
        figures[f"seconds_{tag.strip('[]')}"] = float(np.mean(added)) if added else 0.0
    for level in (0, 3, 7):
        told = [refined(bundle, line, level) for line in lines]
        figures[f"refine_failed_at_{level}"] = told.count("") / len(told)
        figures[f"breaks_at_{level}"] = float(np.mean([line.count("break]") for line in told]))
    return figures


def mean_cosine(pairs: Iterable[tuple[Voiceprint, Voiceprint]]) -> float:
    """Return the mean similarity of pairs of voiceprints."""
    return float(np.mean([float(a @ b) for a, b in pairs]))


def judge_voices(
    say: Callable[[str, str | int], Voiceprint], lines: list[str], seeds: range
) -> Figures:
    """Return how alike random voices are to themselves, and how many are nearest to themselves."""
    named = {name: [say(line, name) for line in lines] for name in VOICES}
    drawn = {seed: [say(line, seed) for line in lines] for seed in seeds}
    own = {seed: mean_cosine(combinations(prints, 2)) for seed, prints in drawn.items()}
    near = {
        seed: max(mean_cosine((a, b) for a in prints for b in others) for others in named.values())
        for seed, prints in drawn.items()
    }
    return {
        "random_voice_to_itself": float(np.mean(list(own.values()))),
        "random_voice_to_nearest_named": float(np.mean(list(near.values()))),
        "random_voices_nearest_to_themselves": float(np.mean([own[s] > near[s] for s in seeds])),
    }


def judge_clones(bundle: Bundle, encoder: VoiceEncoder, work: Path, count: int) -> Figures:
    """Return of clones of held-out samples how many failed and how many are nearest to their own
    sample."""
    samples = list(read_split(work, "heldout"))
    chosen = samples[:: max(1, len(samples) // count)][:count]
    prints = np.stack([encoder(as_heard(item.audio, SAMPLE_RATE)) for item in chosen])
    voices = np.stack([item.voice for item in chosen])
    own, nearest, failed = [], [], 0
    path = work / "samples" / "cloned.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    for index, item in enumerate(chosen):
        wavfile.write(path, SAMPLE_RATE, item.audio)
        said = chosen[(index + 1) % len(chosen)].text
        try:
            audio = bundle.say(said, voice=bundle.clone(path, item.text), seed=index)
        except InputError as error:
            print(f"clone {index}: {error}", flush=True)
            failed += 1
            continue
        write_sample(work, f"clone-{index:02d}", audio)
        likeness = prints @ encoder(as_heard(audio, SAMPLE_RATE))
        others = [i for i in range(len(chosen)) if not np.array_equal(voices[i], voices[index])]
        own.append(float(likeness[index]))
        nearest.append(float(likeness[index] > likeness[others].max(initial=-1.0)))
    return {
        "clones_failed": failed / len(chosen),
        "clone_to_its_sample": float(np.mean(own)) if own else 0.0,
        "clones_nearest_to_their_sample": float(np.mean(nearest)) if nearest else 0.0,
    }


def main() -> None:
    """Judge a bundle."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--bundle", type=Path, default=Path("bundles/int8"))
    parser.add_argument("--sentences", type=int, default=2, help="of each language and set")
    parser.add_argument("--voices", type=int, default=8, help="random ones")
    parser.add_argument("--clones", type=int, default=20)
    arguments = parser.parse_args()
    work, bundle = work_folder(arguments.work), open_bundle(arguments.bundle)
    encoder, lines = VoiceEncoder(), sentences(arguments.sentences)
    figures: Figures = {}

    def say(line: str, voice: str | int) -> Voiceprint:
        return encoder(as_heard(bundle.say(line, voice=voice, seed=7), SAMPLE_RATE))

    for part in (
        lambda: judge_tempo(bundle, lines),
        lambda: judge_breaks(bundle, lines),
        lambda: judge_voices(say, lines, range(1000, 1000 + arguments.voices)),
        lambda: judge_clones(bundle, encoder, work, arguments.clones),
    ):
        found = part()
        figures |= found
        print({key: round(value, 3) for key, value in found.items()}, flush=True)
    atomic.write_json(work / "options.json", {"bundle": arguments.bundle.name, "figures": figures})


if __name__ == "__main__":
    main()
