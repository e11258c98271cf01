"""The log of a search, which is also its state: one JSON object a line, appended and synced.

A search is a deterministic function of its inputs and of what it measured.  A run that was killed
is therefore resumed by running it again: what the log holds is not measured twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import PipelineError

Entry = dict[str, Any]


class Journal:
    """Measured candidates by key.

    Args:
        path: the log; it is created, or read where there is one.
        inputs: what all measurements depend on; a log of other inputs is refused.

    Raises:
        PipelineError: the log belongs to another search, or a line but the last is damaged.
    """

    def __init__(self, path: Path, inputs: Mapping[str, Any]) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self._by_key: dict[str, Entry] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        header = {"inputs": json.loads(json.dumps(inputs))}
        lines = _whole_lines(path)
        if not lines:
            path.write_text("", encoding="utf-8")
            self._append(header)
            return
        if lines[0] != header:
            raise PipelineError(
                f"{path}: found the log of a search with other inputs, expected one with this "
                "bundle, calibration and configuration; move it away to start anew"
            )
        for entry in lines[1:]:
            self._keep(entry)

    @property
    def seconds(self) -> float:
        """Time that all measurements took."""
        return sum(float(entry["seconds"]) for entry in self.entries)

    def get(self, key: str, measure: Callable[[], Entry]) -> Entry:
        """The entry of ``key``, measured and written down where there is none yet."""
        if key not in self._by_key:
            entry = {"n": len(self.entries) + 1, "key": key, **measure()}
            self._append(entry)
            self._keep(entry)
        return self._by_key[key]

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def _keep(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._by_key[entry["key"]] = entry

    def _append(self, entry: Entry) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _whole_lines(path: Path) -> list[Entry]:
    """Lines of the log; a last line that a kill cut short is taken away."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole, _, cut = text.rpartition("\n")
    if cut:
        os.truncate(path, len((whole + "\n").encode()) if whole else 0)
    entries = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            entries.append(json.loads(line))
        except ValueError as error:
            raise PipelineError(
                f"{path}, line {number}: not a JSON object ({error}); move the log away to start "
                "anew"
            ) from error
    return entries
