"""The mini checkpoint's files of sentences, ``python -m mini.prompts``.

Sentences to calibrate on are learned ones, those to judge by are held out.  Those to tune on are
held out of training as well, since a model is surer of what it was trained on, and none of them
judges.  The same command writes the same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from mini import text
from pipeline.core.atomic import write_text
from pipeline.core.sentences import load_sentences

FOLDER = Path(__file__).resolve().parents[1] / "calibration_data"
# file -> first of the eight voice seeds
FILES = {
    "mini_calibration.jsonl": 100,
    "mini_heldout.jsonl": 200,
    "mini_tuning.jsonl": 300,
}
VOICES = 8
CALIBRATION, TUNING = 32, 8  # of a language; of a language and a set
SEED = 1
Row = tuple[str, str, str]


def _kept_out(tuning: bool) -> list[list[Row]]:
    """Return (text, language, set) of each language and set: the first ones tune, others judge."""
    part = slice(0, TUNING) if tuning else slice(TUNING, None)
    return [
        [(line, language, topic) for line in text.heldout(language, topic)[part]]
        for topic in text.TOPICS
        for language in text.LANGUAGES
    ]


def _learned() -> list[list[Row]]:
    rng = random.Random(SEED)
    return [
        [(line, language, "learned") for line in rng.sample(text.written(language), CALIBRATION)]
        for language in text.LANGUAGES
    ]


def rows(name: str) -> Iterator[Row]:
    """Yield the rows of one of :data:`FILES`, languages and sets in turn."""
    lists = _learned() if name == "mini_calibration.jsonl" else _kept_out("tuning" in name)
    for group in zip_longest(*lists):
        yield from (row for row in group if row is not None)


def render(name: str) -> str:
    """Return the lines of one of :data:`FILES`."""
    lines = [
        {
            "text": line,
            "language": language,
            "set": topic,
            "voice_seed": FILES[name] + index % VOICES,
            "tags": [],
            "origin": "written for this project",
            "licence": "Apache-2.0",
        }
        for index, (line, language, topic) in enumerate(rows(name))
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


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
