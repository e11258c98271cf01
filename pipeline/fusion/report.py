"""The fusion report: nodes before and after, rules and their counts, error against plain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.core import atomic


def write_fusion_report(path: Path, report: dict[str, Any]) -> None:
    """Write ``report`` to ``path`` (JSON) and beside it as Markdown."""
    atomic.write_json(path, report)
    atomic.write_text(path.with_suffix(".md"), _markdown(report))


def _markdown(report: dict[str, Any]) -> str:
    errors = report["relative_error"]
    lines = [
        "# Fusion",
        "",
        "Nodes of each graph as exported and as fused, and the largest error of the fused graph",
        "against the exported one, relative to the largest output (or 1, if that is larger).",
        "",
        "| graph | exported | fused | relative error |",
        "|---|---|---|---|",
    ]
    for name, count in report["nodes"].items():
        error = f"{errors[name]:.1e}" if name in errors else "–"
        lines.append(f"| {name} | {count['plain']} | {count['fused']} | {error} |")
    lines += [
        "",
        "How often each rule fired; a count that differs from what the layers demand is an error.",
        "",
        "| graph | rule | expected | found |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {rule['graph']} | {rule['rule']} | {rule['expected']} | {rule['found']} |"
        for rule in report["rules"]
    ]
    return "\n".join(lines) + "\n"
