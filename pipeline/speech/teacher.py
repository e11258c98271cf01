"""What the judges said of a checkpoint's teacher, who speaks in an environment of his own.

One JSON object a line: ``text``, ``heard``, ``p808``, ``ovrl``, ``seconds``; such
as ``mini/judge_teacher.py`` writes.  The audio is not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from chattts_onnx.hearing.scoring import score
from chattts_onnx.untrusted import parse_json, read_limited
from pipeline.core.errors import ConfigError
from pipeline.speech.figures import Judgement
from pipeline.speech.utterances import Line, Utterance, spoken_text

_MAX_BYTES = 16 << 20
RATE = 24_000


def teacher_judgements(path: Path, lines: Sequence[Line]) -> list[Judgement]:
    """Judgements of the sentences of ``lines`` that the file has, in their order, once each.

    Raises:
        ConfigError: the file is missing or a line lacks a field.
    """
    try:
        rows = [parse_json(line) for line in read_limited(path, _MAX_BYTES).splitlines() if line]
        found = {str(row["text"]): row for row in rows}
        first = {line.number: line for line in reversed(lines)}
        return [
            Judgement(
                Utterance(line, np.zeros(round(RATE * row["seconds"]), np.float32), RATE, True),
                str(row["heard"]),
                score(spoken_text(line.text), str(row["heard"]), line.language),
                float(row["p808"]),
                float(row["ovrl"]),
                np.zeros(256, np.float32),
            )
            for _, line in sorted(first.items())
            if (row := found.get(line.text)) is not None
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: found no judgements of the teacher ({error}), expected one JSON object a "
            "line with text, heard, p808, ovrl and seconds; change checkpoint.sentences.teacher."
        ) from error
