"""Corpora and jobs that the tests of bulk speech share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chattts_onnx.bulk import Corpus, Defaults, Job, Settings, scan
from chattts_onnx.speech.options import SpeechOptions

TEXTS = ["hello world", "good morning", "你好", "one two three", "two.", "world, hello"]
STEPS: SpeechOptions = {"max_new_tokens": 12, "temperature": 1.5}


def rows(count: int) -> list[dict[str, Any]]:
    """Lines that differ in text, voice, seed and speed."""
    made: list[dict[str, Any]] = []
    for i in range(count):
        row: dict[str, Any] = {"id": f"u{i}", "text": TEXTS[i % len(TEXTS)], "voice": i % 3}
        if i % 4 == 1:
            row["seed"] = 100 + i
        if i % 5 == 2:
            row["speed"] = 5
        made.append(row)
    return made


def write_jsonl(path: Path, lines: Sequence[Mapping[str, Any] | str]) -> Path:
    texts = [x if isinstance(x, str) else json.dumps(x, ensure_ascii=False) for x in lines]
    path.write_text("\n".join(texts) + "\n", "utf-8")
    return path


def make_job(
    corpus: Path,
    bundle: Path,
    output: Path,
    *,
    options: SpeechOptions | None = None,
    **settings: Any,
) -> Job:
    defaults = Defaults(options={**STEPS, **(options or {})})
    chosen = Settings(**{"shard_lines": 4, "defaults": defaults, **settings})
    source = Corpus((corpus,))
    return Job(source, scan(source, chosen.shard_lines), bundle, output, chosen)


def manifest(output: Path) -> list[dict[str, Any]]:
    with (output / "manifest.jsonl").open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def contents(output: Path) -> dict[str, str]:
    """sha256 of everything a job leaves that does not tell of time."""
    return {
        path.relative_to(output).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.is_file() and path.name not in ("summary.json", ".lock")
    }
