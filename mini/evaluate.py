"""Step 8: WER, predicted MOS and failures on held-out sentences, ``python -m mini.evaluate``.

Judges the teacher, the Vocos on true mels, the DVAE on true codes, and free generation.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.text.tokenizer import TextTokenizer
from mini.generate import generate
from mini.samples import write_sample
from mini.speech import SAMPLE_RATE, Audio, read_split
from mini.voices import VOICES, speaker_vectors
from mini.workspace import work_folder
from pipeline.checkpoint import layout
from pipeline.core import atomic
from pipeline.reference.model import Reference, load_reference
from pipeline.speech.config import BUNDLED, ListenerConfig
from pipeline.speech.judges import Listener, OpinionScore, as_heard
from pipeline.speech.scoring import score

# twice the longest sentence of the domain
MAX_STEPS = 480


def judge(
    listener: Listener, opinion: OpinionScore, texts: list[str], waves: list[Audio]
) -> dict[str, float]:
    """Return the figures of some utterances; an empty one counts all its words as errors."""
    errors = words = 0
    p808, overall = [], []
    for text, wave in zip(texts, waves, strict=True):
        audio = as_heard(wave, SAMPLE_RATE)
        heard = listener.transcript(audio, "en") if len(wave) > 4000 else ""
        found = score(text, heard)
        errors, words = errors + found.word_errors, words + found.words
        if found.word_errors:
            print(f"  {text!r}: heard {heard!r}", flush=True)
        if len(wave) > 4000:
            scores = opinion(audio)
            p808.append(scores[0])
            overall.append(scores[1])
    return {
        "word_error_rate": 100 * errors / words,
        "dnsmos_p808": float(np.mean(p808)) if p808 else 0.0,
        "dnsmos_ovrl": float(np.mean(overall)) if overall else 0.0,
    }


def speak_freely(
    reference: Reference, folder: Path, texts: list[str], voice: int, seed: int
) -> tuple[list[Audio], float]:
    """Generate every text with default sampling; return waves and the failure rate in percent."""
    tokenizer = TextTokenizer.load(folder / layout.TOKENIZER)
    speaker = speaker_vectors(reference.dims.hidden_size)[voice]
    params = GenerationParams(max_new_tokens=MAX_STEPS)
    spoken = generate(reference, tokenizer, texts, speaker, params, seed)
    waves, failures = [], 0
    for item in spoken:
        failures += not item.finished or len(item.codes) < 4
        empty = np.zeros(0, dtype=np.float32)
        waves.append(reference.decode_hidden(item.hidden[None])[0] if len(item.codes) else empty)
    return waves, 100 * failures / len(texts)


def main() -> None:
    """Judge a checkpoint."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--checkpoint", help="default: <work>/checkpoint")
    parser.add_argument("--sentences", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=["teacher", "vocos", "dvae", *VOICES])
    arguments = parser.parse_args()
    work = work_folder(arguments.work)
    folder = Path(arguments.checkpoint) if arguments.checkpoint else work / "checkpoint"
    reference = load_reference(folder)
    listener, opinion = Listener(ListenerConfig(BUNDLED, "int8", 5), 1), OpinionScore(1)
    chosen = list(read_split(work, "heldout"))[: arguments.sentences]
    texts = [item.text for item in chosen]
    hop = reference.dims.hop_length

    def copies(remake: Callable[[Audio], Audio]) -> list[Audio]:
        return [remake(item.audio[: len(item.audio) // hop * hop]) for item in chosen]

    def vocos(audio: Audio) -> Audio:
        import torch

        modules = reference.modules
        with torch.inference_mode():
            wave = torch.from_numpy(audio).unsqueeze(0)
            return modules.vocos(modules.dvae.log_mel(wave))[0].numpy()

    def dvae(audio: Audio) -> Audio:
        return reference.decode_codes(reference.encode(audio[None]))[0]

    figures: dict[str, dict[str, float]] = {}
    for name in arguments.only:
        failure = 0.0
        if name == "teacher":
            waves = copies(lambda audio: audio)
        elif name in ("vocos", "dvae"):
            waves = copies(vocos if name == "vocos" else dvae)
        else:
            voice = VOICES.index(name)
            waves, failure = speak_freely(reference, folder, texts, voice, arguments.seed)
        for index, wave in enumerate(waves[:6]):
            if len(wave):
                write_sample(work, f"{name}-{index:02d}", wave)
        figures[name] = judge(listener, opinion, texts, waves) | {"failure_rate": failure}
        print(name, {key: round(value, 3) for key, value in figures[name].items()}, flush=True)
    atomic.write_json(work / "figures.json", {"sentences": len(texts), "figures": figures})


if __name__ == "__main__":
    main()
