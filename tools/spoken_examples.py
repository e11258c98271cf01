"""Speaks every example that a stranger meets, and lets the judge hear it.

``python -m tools.spoken_examples`` says each text that README, docs, ``--help`` or the page show
being spoken, with three seeds, by the default bundle.  It prints the share of words (Mandarin:
syllables) that Whisper hears wrong, and ends with 1 where an example's mean is above ``--limit``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chattts_onnx import open_bundle
from chattts_onnx.hearing.listener import BUNDLED, Listener, ListenerConfig, as_heard
from chattts_onnx.hearing.scoring import score
from pipeline.speech.utterances import Line, speak, spoken_text

ROOT = Path(__file__).resolve().parents[1]
SEEDS = (1, 2, 3)
MAX_STEPS = 640
_SHOWN = ("README.md", "docs/**/*.md", "chattts_onnx/cli/*.py", "chattts_onnx/serve/page/*")
_SAYS = [
    re.compile(pattern)
    for pattern in (
        r"chattts-onnx say (\"[^\"]+\"|'[^']+')",
        r"echo (\"[^\"]+\") \| chattts-onnx say",
        r"\.(?:say|stream)\((\"[^\"]+\")",
        r"[\"']?input[\"']?\s*[:=]\s*(\"[^\"]+\")",
        r"<textarea[^>]*>([^<]+)<",
    )
]
# These print what would be said; and what comes from a file or a shell's variable is no example.
_SILENT = re.compile(r"--dry-run|--explain|\$[A-Z{(]")
_HAN = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True)
class Example:
    """A text and the first place that shows it."""

    text: str
    place: str

    @property
    def language(self) -> str:
        """``zh`` where there are Chinese characters, else ``en``."""
        return "zh" if _HAN.search(self.text) else "en"


def examples(root: Path = ROOT) -> list[Example]:
    """Every text that is shown being spoken, once, in the order of the places."""
    found: dict[str, Example] = {}
    for pattern in _SHOWN:
        for path in sorted(root.glob(pattern)):
            if path.is_file():
                for example in _of_file(path, root):
                    found.setdefault(example.text, example)
    return list(found.values())


def _of_file(path: Path, root: Path) -> Iterator[Example]:
    for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
        if _SILENT.search(line):
            continue
        for match in (match for pattern in _SAYS for match in pattern.finditer(line)):
            text = match[1].strip("\"'").strip()
            if re.search(r"\w", text):
                yield Example(text, f"{path.relative_to(root).as_posix()}:{number}")


def error_rates(
    bundle_path: Path, shown: Sequence[Example], voice: int | str, threads: int
) -> list[float]:
    """Mean share of words or syllables heard wrong of each example, over the seeds.

    Raises:
        SpeechError: the judge is not installed.
    """
    listener = Listener(ListenerConfig(BUNDLED, "int8", 5), threads)
    bundle = open_bundle(bundle_path, threads=threads)
    lines = [
        Line(number, example.text, example.language, voice, seed)
        for number, example in enumerate(shown)
        for seed in SEEDS
    ]
    rates: list[list[float]] = [[] for _ in shown]
    for utterance in speak(bundle, lines, len(SEEDS), MAX_STEPS):
        line = utterance.line
        heard = ""
        if not utterance.empty:
            audio = as_heard(utterance.audio, utterance.sample_rate)
            heard = listener.transcript(audio, line.language)
        found = score(spoken_text(line.text), spoken_text(heard), line.language)
        wrong, all_ = found.word_errors + found.syllable_errors, found.words + found.syllables
        rates[line.number].append(wrong / max(all_, 1))
    return [sum(values) / len(values) for values in rates]


def main() -> int:
    """Speak, judge, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=ROOT / "bundles/int8")
    parser.add_argument("--voice", default=None, help="default: the bundle's first")
    parser.add_argument("--limit", type=float, default=0.25, help="largest mean error")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    shown = examples()
    names = list(open_bundle(arguments.bundle, threads=1).shelf.names)
    voice = arguments.voice or (names[0] if names else 0)
    rates = error_rates(arguments.bundle, shown, voice, arguments.threads)
    for example, rate in zip(shown, rates, strict=True):
        mark = "" if rate <= arguments.limit else "  <- not understood"
        print(f"{rate:6.0%}  {example.place:40} {example.text!r}{mark}")
    bad = sum(rate > arguments.limit for rate in rates)
    print(f"{len(shown) - bad} of {len(shown)} examples are understood")
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
