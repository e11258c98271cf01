"""The mini checkpoint's files of sentences, ``python -m mini.prompts``.

Sentences to calibrate and to tune on come from the split that is trained on, those to judge by from
the held-out one.  The same command writes the same bytes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mini.sentences import draw_split
from pipeline.atomic import write_text
from pipeline.quality.texts import load_sentences

FOLDER = Path(__file__).resolve().parents[1] / "calibration_data"
# file -> whether held out, sentences, seed of the sentences, first of the eight voice seeds
FILES = {
    "mini_calibration.jsonl": (False, 64, 1, 100),
    "mini_heldout.jsonl": (True, 256, 0, 200),
    "mini_tuning.jsonl": (False, 24, 2, 300),
}
VOICES = 8


def render(heldout: bool, count: int, seed: int, first_voice: int) -> str:
    """Return the lines of one file."""
    lines = [
        {
            "text": text,
            "language": "en",
            "voice_seed": first_voice + index % VOICES,
            "tags": [],
            "origin": "drawn by mini/prompts.py from mini/grammar.py",
            "licence": "Apache-2.0",
        }
        for index, text in enumerate(draw_split(count, seed, heldout))
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    for name, settings in FILES.items():
        write_text(folder / name, render(*settings))
        print(f"{folder / name}: {len(load_sentences(folder / name))} sentences")


if __name__ == "__main__":
    main()
