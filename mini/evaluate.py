"""Step 9: errors, predicted MOS and failures on held-out sentences, ``python -m mini.evaluate``.

Judges the teacher, the Vocos on true mels, the DVAE on true codes, and free generation, in both
languages: word errors in English, syllables without tones in Mandarin.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.hearing.listener import BUNDLED, ListenerConfig
from chattts_onnx.hearing.scoring import score
from chattts_onnx.text.tokenizer import TextTokenizer
from mini import text
from mini.generate import generate
from mini.samples import write_sample
from mini.speech import SAMPLE_RATE, Audio, read_split
from mini.trainer import trained_hours
from mini.voices import VOICES, speaker_vectors
from mini.workspace import work_folder
from pipeline.checkpoint import layout
from pipeline.core import atomic
from pipeline.reference.model import Reference, load_reference
from pipeline.speech.judges import Listener, OpinionScore, as_heard

# longer than any held-out sentence takes
MAX_STEPS = 640
SHORTEST = 4000  # samples that count as speech
Row = tuple[str, str, Audio]


def judge(listener: Listener, opinion: OpinionScore, rows: list[Row]) -> dict[str, float]:
    """Return the figures of (sentence, language, wave) rows; an empty wave counts all as errors."""
    errors: dict[str, list[int]] = {}
    p808: dict[str, list[float]] = {}
    for sentence, language, wave in rows:
        audio = as_heard(wave, SAMPLE_RATE)
        heard = listener.transcript(audio, language) if len(wave) > SHORTEST else ""
        found = score(sentence, heard, language)
        wrong = found.word_errors + found.syllable_errors
        counts = errors.setdefault(language, [0, 0])
        counts[0] += wrong
        counts[1] += found.words + found.syllables
        if wrong:
            print(f"  {sentence!r}: heard {heard!r}", flush=True)
        if len(wave) > SHORTEST:
            p808.setdefault(language, []).append(opinion(audio)[0])
    names = {"zh": "pinyin_error_rate", "en": "word_error_rate"}
    return {
        **{names[language]: 100 * wrong / all_ for language, (wrong, all_) in errors.items()},
        **{f"dnsmos_p808_{language}": float(np.mean(v)) for language, v in p808.items()},
    }


def speak_freely(
    reference: Reference, folder: Path, sentences: list[str], voice: int, seed: int
) -> tuple[list[Audio], float]:
    """Generate every sentence with default sampling; return waves and the failure rate in
    percent."""
    tokenizer = TextTokenizer.load(folder / layout.TOKENIZER)
    speaker = speaker_vectors(reference.dims.hidden_size)[voice]
    params = GenerationParams(max_new_tokens=MAX_STEPS)
    spoken = generate(reference, tokenizer, sentences, speaker, params, seed)
    waves, failures = [], 0
    for item in spoken:
        failures += not item.finished or len(item.codes) < 4
        empty = np.zeros(0, dtype=np.float32)
        waves.append(reference.decode_hidden(item.hidden[None])[0] if len(item.codes) else empty)
    return waves, 100 * failures / len(sentences)


def copies(reference: Reference, name: str, waves: list[Audio]) -> list[Audio]:
    """Return the teacher's waves as they are (``teacher``), or through ``vocos`` or ``dvae``."""
    import torch

    hop, modules = reference.dims.hop_length, reference.modules

    def vocos(audio: Audio) -> Audio:
        with torch.inference_mode():
            wave = torch.from_numpy(audio).unsqueeze(0)
            return modules.vocos(modules.dvae.log_mel(wave))[0].numpy()

    def dvae(audio: Audio) -> Audio:
        return reference.decode_codes(reference.encode(audio[None]))[0]

    remake: dict[str, Callable[[Audio], Audio]] = {
        "teacher": lambda audio: audio, "vocos": vocos, "dvae": dvae,
    }  # fmt: skip
    return [remake[name](wave[: len(wave) // hop * hop]) for wave in waves]


def main() -> None:
    """Judge a checkpoint."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--checkpoint", help="default: <work>/checkpoint")
    parser.add_argument("--sentences", type=int, default=24, help="of each language")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=["ava", "mei"])
    arguments = parser.parse_args()
    work = work_folder(arguments.work)
    folder = Path(arguments.checkpoint) if arguments.checkpoint else work / "checkpoint"
    reference = load_reference(folder)
    listener = Listener(ListenerConfig(BUNDLED, "int8", 5), 1)
    opinion = OpinionScore(1)
    said = list(read_split(work, "heldout"))
    chosen = [
        item
        for language in text.LANGUAGES
        for item in [u for u in said if u.language == language][: arguments.sentences]
    ]
    sentences, languages = [u.text for u in chosen], [u.language for u in chosen]
    figures: dict[str, dict[str, float]] = {}
    for name in arguments.only:
        failure = 0.0
        if name in VOICES:
            voice = list(VOICES).index(name)
            waves, failure = speak_freely(reference, folder, sentences, voice, arguments.seed)
        else:
            waves = copies(reference, name, [item.audio for item in chosen])
        for index, wave in enumerate(waves):
            if len(wave) and index % arguments.sentences < 4:
                write_sample(work, f"{name}-{index:02d}", wave)
        rows = list(zip(sentences, languages, waves, strict=True))
        figures[name] = judge(listener, opinion, rows) | {"failure_rate": failure}
        print(name, {key: round(value, 3) for key, value in figures[name].items()}, flush=True)
    atomic.write_json(work / "figures.json", {"sentences": len(chosen), "figures": figures})
    line = {"time": round(time.time()), "name": "speech", **trained_hours(work), **figures}
    with (work / "curves.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
