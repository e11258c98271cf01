"""The mini checkpoint's files of sentences, ``python -m mini.prompts``.

Sentences to calibrate on come from the split that is trained on, those to judge by from the
held-out one.  Those to tune on are held out of training as well, since a model is surer of what it
was trained on, and none of them judges.  The same command writes the same bytes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mini.sentences import draw_split
from pipeline.core.atomic import write_text
from pipeline.core.sentences import load_sentences

FOLDER = Path(__file__).resolve().parents[1] / "calibration_data"
# file -> whether held out, sentences, seed of the sentences, first of the eight voice seeds
FILES = {
    "mini_calibration.jsonl": (False, 64, 1, 100),
    "mini_heldout.jsonl": (True, 256, 0, 200),
    "mini_tuning.jsonl": (True, 64, 2, 300),
}
JUDGES = "mini_heldout.jsonl"
VOICES = 8


def render(name: str) -> str:
    """Return the lines of one of :data:`FILES`."""
    heldout, count, seed, first_voice = FILES[name]
    judges = set() if name == JUDGES else set(draw_split(FILES[JUDGES][1], FILES[JUDGES][2], True))
    lines = [
        {
            "text": text,
            "language": "en",
            "voice_seed": first_voice + index % VOICES,
            "tags": [],
            "origin": "drawn by mini/prompts.py from mini/grammar.py",
            "licence": "Apache-2.0",
        }
        for index, text in enumerate(draw_split(count, seed, heldout, judges))
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    for name in FILES:
        write_text(folder / name, render(name))
        print(f"{folder / name}: {len(load_sentences(folder / name))} sentences")


if __name__ == "__main__":
    main()
