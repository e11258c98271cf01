"""The curve of training, ``python -m mini.curve``: held-out loss and errors against hours.

Reads ``<work>/curves.jsonl``, which every step writes to.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mini.workspace import work_folder

# panel -> (label, name of the line, path to its value)
PANELS: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "cross entropy of a code, nat": (
        ("Mandarin", "gpt", ("heldout_code_zh",)),
        ("English", "gpt", ("heldout_code_en",)),
    ),
    "phonemes named right": (
        ("Mandarin", "gpt", ("heldout_sound_accuracy_zh",)),
        ("English", "gpt", ("heldout_sound_accuracy_en",)),
    ),
    "sounds wrong in free speech": (
        ("Mandarin", "phonemes", ("zh", "free")),
        ("English", "phonemes", ("en", "free")),
    ),
    "errors, %": (
        ("Mandarin syllables", "speech", ("mei", "pinyin_error_rate")),
        ("English words", "speech", ("mei", "word_error_rate")),
    ),
    "P.808": (
        ("Mandarin", "speech", ("mei", "dnsmos_p808_zh")),
        ("English", "speech", ("mei", "dnsmos_p808_en")),
    ),
}
HOURS = {"gpt": "hours", "speech": "gpt_hours", "phonemes": "gpt_hours"}


def points(
    lines: Iterable[Mapping[str, Any]], name: str, path: tuple[str, ...]
) -> tuple[list[float], list[float]]:
    """Return hours of GPT training, and the values at ``path`` of the lines called ``name``."""
    hours, values = [], []
    for line in lines:
        value: Any = line if line["name"] == name else None
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None and HOURS[name] in line:
            hours.append(float(line[HOURS[name]]))
            values.append(float(value))
    return hours, values


def main() -> None:
    """Draw the curve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--out", type=Path, help="PNG to write (default: <work>/training.png)")
    arguments = parser.parse_args()
    work = work_folder(arguments.work)
    lines = [json.loads(line) for line in (work / "curves.jsonl").read_text("utf-8").splitlines()]
    figure = Figure(figsize=(3 * len(PANELS), 3.2), layout="constrained")
    for index, (title, curves) in enumerate(PANELS.items(), start=1):
        axes = figure.add_subplot(1, len(PANELS), index)
        for label, name, path in curves:
            axes.plot(*points(lines, name, path), marker="o", markersize=3, label=label)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("hours of GPT training")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    out = arguments.out or work / "training.png"
    figure.savefig(out, dpi=110, metadata={"Software": ""})
    print(out)


if __name__ == "__main__":
    main()
