"""What a corpus holds, and what is wrong with it, before any of it is spoken."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..bundle import Bundle
from ..errors import ChatTTSError
from ..format.abilities import shortfalls
from .corpus import Corpus
from .errors import CorpusError
from .job import Settings
from .line import Line
from .run import lines
from .utterance import line_script

# Bad lines that are named; the others are counted.
SHOWN = 20


@dataclass
class Findings:
    """Counts over a corpus; ``bad`` holds (line number, error) of the first bad lines, ``warnings``
    how many lines ask for what the checkpoint cannot do, by what is missing."""

    lines: int = 0
    failed: int = 0
    characters: int = 0
    pieces: int = 0
    tokens: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)

    def require_good(self) -> None:
        """Raise :class:`CorpusError` when there is a bad line."""
        if self.failed:
            number, error = self.bad[0]
            raise CorpusError(
                f"{self.failed:,} of {self.lines:,} lines can't be spoken; line {number}: {error} "
                "Mend them (--dry-run names them), or leave --strict out to record and pass them."
            )


def check(corpus: Corpus, bundle: Bundle, settings: Settings) -> Findings:
    """Prepare the prompts of every line; no graph is loaded, memory is constant."""
    found = Findings()
    for line in lines(corpus, settings.defaults):
        number = found.lines
        found.lines += 1
        if not isinstance(line, Line):
            _note(found, number, line["error"])
            continue
        try:
            for part in line_script(bundle, settings, line):
                found.pieces += 1
                found.tokens += part.piece.tokens
            found.characters += len(line.text)
            found.warnings.update(shortfalls(bundle.manifest, line.text, line.options))
        except ChatTTSError as error:
            _note(found, number, f"{type(error).__name__}: {error}")
    return found


def _note(found: Findings, number: int, error: str) -> None:
    found.failed += 1
    if len(found.bad) < SHOWN:
        found.bad.append((number, error))
