"""What the judges say of the teacher over held-out sentences, ``python -m mini.judge_teacher``.

Writes ``calibration_data/mini_teacher.jsonl``, which the speech stage shows as the variant
``teacher``; sentences that the file has are left alone, so the step resumes where it stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from chattts_onnx.hearing.listener import BUNDLED, ListenerConfig
from mini import prompts
from mini.phonemes import pieces
from mini.speech import SAMPLE_RATE
from mini.synthesize import GAIN, trim
from mini.teacher import Teacher
from mini.text import as_spoken
from mini.voices import VOICES
from mini.workspace import work_folder
from pipeline.core.sentences import load_sentences
from pipeline.speech.judges import Listener, OpinionScore, as_heard

OUT = prompts.FOLDER / "mini_teacher.jsonl"


def main() -> None:
    """Judge the teacher over the first held-out sentences, the named voices in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--sentences", type=Path, default=prompts.FOLDER / "mini_heldout.jsonl")
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    known = arguments.out.read_text("utf-8").splitlines() if arguments.out.exists() else []
    judged = {json.loads(line)["text"] for line in known}
    teacher = Teacher(work_folder(arguments.work))
    listener, opinion = Listener(ListenerConfig(BUNDLED, "int8", 5), 1), OpinionScore(1)
    places = [np.asarray(place, dtype=np.float32) for place in VOICES.values()]
    for number, sentence in enumerate(load_sentences(arguments.sentences)[: arguments.count]):
        if sentence.text in judged:
            continue
        taught = teacher.speak(pieces(as_spoken(sentence.text)), places[number % len(places)])
        audio, _ = trim(GAIN * taught.audio)
        heard = as_heard(audio, SAMPLE_RATE)
        p808, overall = opinion(heard)
        row = {
            "text": sentence.text,
            "heard": listener.transcript(heard, sentence.language),
            "p808": round(p808, 3),
            "ovrl": round(overall, 3),
            "seconds": round(len(audio) / SAMPLE_RATE, 3),
        }
        with arguments.out.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        print(number, row["text"], "|", row["heard"], flush=True)


if __name__ == "__main__":
    main()
