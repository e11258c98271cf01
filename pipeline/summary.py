"""What the pipeline made, on one screen: ``python -m pipeline.summary``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from chattts_onnx.errors import ChatTTSError
from pipeline.core.errors import PipelineError

REPORTS = ("benchmark", "validation", "speech")
PAGE = "listen.html"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column of the table: a metric, the conditions that choose its row, how it is shown."""

    title: str
    metric: str
    show: Callable[[float], str]
    conditions: tuple[tuple[str, Any], ...] = ()


COLUMNS = (
    Column("size", "size_bytes", lambda value: f"{value / 1e6:.1f} MB"),
    Column("peak memory", "peak_memory_bytes", lambda value: f"{value / 1e6:.0f} MB"),
    Column("steps/s", "steps_per_second", lambda value: f"{value:.1f}", (("batch", 1),)),
    Column("RTF", "rtf", lambda value: f"{value:.3f}", (("batch", 1),)),
    Column("first audio", "first_audio_seconds", lambda value: f"{value * 1e3:.0f} ms"),
    Column("KL", "kl_divergence", lambda value: f"{value:.2g}", (("head", "all"),)),
    Column("top-1", "top1_agreement", lambda value: f"{value:.2%}", (("head", "all"),)),
    Column("hidden cosine", "hidden_cosine", lambda value: f"{value:.5f}"),
    Column("mel L1", "mel_l1", lambda value: f"{value:.2g}"),
    Column("WER", "word_error_rate", lambda value: f"{value:.1f}%"),
    Column("MOS", "dnsmos_p808", lambda value: f"{value:.2f}"),
)


def read_rows(workspace: Path) -> list[Row]:
    """Rows of the reports on speed, agreement and speech.

    Speech of random weights is left out, for its figures mean nothing.

    Raises:
        PipelineError: a report is missing or unreadable.
    """
    rows: list[Row] = []
    for name in REPORTS:
        path = workspace / "reports" / f"{name}.json"
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            if name != "speech" or report["context"].get("speaks", True):
                rows += report["rows"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PipelineError(
                f"{path}: found no report, expected {{context, rows}}; run `make repro`"
            ) from error
    return rows


def find(rows: Sequence[Row], variant: str, column: Column) -> float | None:
    """The first value of ``variant`` under the column's conditions; None where there is none."""
    for row in rows:
        chosen = row["variant"] == variant and row["metric"] == column.metric
        if chosen and all(row.get(key) == value for key, value in column.conditions):
            return None if row["value"] is None else float(row["value"])
    return None


def variants(rows: Sequence[Row]) -> list[str]:
    """Variants in the order of the reports, the reference first."""
    return list(dict.fromkeys(str(row["variant"]) for row in rows))


def table(rows: Sequence[Row]) -> Table:
    """One line a variant; a dash where a variant was not measured."""
    result = Table("variant", title="variants against the FP32 PyTorch reference")
    for column in COLUMNS:
        result.add_column(column.title, justify="right")
    for variant in variants(rows):
        values = [(column, find(rows, variant, column)) for column in COLUMNS]
        cells = ["–" if value is None else column.show(value) for column, value in values]
        result.add_row(variant, *cells)
    return result


def main() -> int:
    """Entry point: print the table and the wav files of the workspace in the current folder."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        rows = read_rows(Path.cwd())
    except ChatTTSError as error:
        console.print(f"summary: {error}", markup=False)
        return 2
    console.print(table(rows))
    console.print("to listen to:")
    for variant in variants(rows):
        for path in sorted((Path.cwd() / "samples" / variant).glob("*.wav")):
            console.print(f"  {path}", markup=False, highlight=False, soft_wrap=True)
    page = Path.cwd() / PAGE
    if page.is_file():
        console.print(f"  {page} (a browser's)", markup=False, highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
