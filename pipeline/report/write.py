"""Reports that machines and people read: one JSON, and a Markdown of the same name.

Every stage that measures something writes its report through :func:`write_report`; see
:mod:`pipeline.report.rows` for what is in it.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chattts_onnx.format.abilities import has_random_weights
from pipeline.core.atomic import write_json, write_text
from pipeline.report.machine import machine_context, tool_versions
from pipeline.report.rows import REQUIRED, Row, conditions, select


def checkpoint_context(described: Mapping[str, Any]) -> dict[str, Any]:
    """What a report says of the checkpoint, from ``checkpoint.json`` or a bundle's manifest.

    A ``seeded_*`` checkpoint gets ``"weights": "random"``, so that nobody takes its quality
    figures for those of a trained model.
    """
    files = described.get("files", {})
    kind = str(described.get("kind", ""))
    context: dict[str, Any] = {
        "name": described.get("name"),
        "kind": kind or None,
        "source": described.get("source"),
        "revision": described.get("revision"),
        "sha256": {name: entry["sha256"] for name, entry in sorted(files.items())},
    }
    if has_random_weights(described):
        context["weights"] = "random"
    return context


def report_context(
    checkpoint: Mapping[str, Any], provider: str | Sequence[str], **further: Any
) -> dict[str, Any]:
    """The usual context: checkpoint, machine, versions, provider, and what the stage adds."""
    return {
        "checkpoint": checkpoint_context(checkpoint),
        "machine": machine_context(),
        "versions": tool_versions(),
        "provider": provider if isinstance(provider, str) else list(provider),
        **further,
    }


def write_report(
    path: Path,
    context: Mapping[str, Any],
    rows: Iterable[Mapping[str, Any]],
    *,
    title: str = "",
    sections: Sequence[str] = (),
    picture: bool = False,
) -> None:
    """Write ``path`` (.json) and the Markdown beside it, each in one rename.

    Args:
        path: the JSON to write; the Markdown takes its name with the suffix ``.md``.
        context: anything JSON can hold; see :func:`report_context`.
        rows: rows with at least variant, metric, value and unit; NaN and infinity become null.
        title: heading of the Markdown; the file's name where empty.
        sections: Markdown blocks placed before the metric tables, the verdict first.
        picture: whether a PNG of the same name will lie beside it; it stands below the verdict.

    Raises:
        ValueError: a row lacks one of the required columns.
    """
    plain = [_plain_row(row) for row in rows]
    write_json(path, {"context": _plain(context), "rows": plain})
    heading = title or path.stem.replace("_", " ").capitalize()
    if picture:
        shown = f"![{heading}]({path.with_suffix('.png').name})"
        sections = [*sections[:1], shown, *sections[1:]]
    write_text(path.with_suffix(".md"), render_markdown(heading, context, plain, sections))


def render_markdown(
    title: str,
    context: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    sections: Sequence[str] = (),
) -> str:
    """The report as Markdown: the given sections, a table a metric, then what it was made on."""
    parts = [f"# {title}", *sections]
    for metric in dict.fromkeys(row["metric"] for row in rows):
        chosen = select(rows, metric)
        parts.append(f"## {metric} ({chosen[0]['unit']})\n\n{_metric_table(chosen)}")
    if context:
        parts.append(f"## Made on\n\n{_context_lines(context)}")
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is left-aligned, the others right."""
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *lines))


def format_value(value: Any, digits: int = 4) -> str:
    """A number with ``digits`` significant digits, large integers grouped; ``–`` for none."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return str(value).replace("|", "\\|")
    number = float(value)
    if not math.isfinite(number):
        return "–"
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    return f"{number:,.0f}" if abs(number) >= 10_000 else f"{number:.{digits}g}"


def condition_text(row: Mapping[str, Any]) -> str:
    """The conditions of a row as one phrase, for example ``batch 4, length 72``."""
    return ", ".join(f"{key} {format_value(value)}" for key, value in conditions(row).items())


def with_interval(row: Mapping[str, Any], digits: int = 4) -> str:
    """``value [low … high]`` of a row; the value alone where there is no interval."""
    text = format_value(row["value"], digits)
    if row.get("low") is None or row["low"] == row["high"]:
        return text
    return f"{text} [{format_value(row['low'], digits)} … {format_value(row['high'], digits)}]"


def _metric_table(rows: Sequence[Mapping[str, Any]]) -> str:
    variants = list(dict.fromkeys(str(row["variant"]) for row in rows))
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        cells.setdefault(condition_text(row), {})[str(row["variant"])] = _cell(row)
    header = ["condition" if any(cells) else "", *variants]
    lines = ([name, *(line.get(v, "") for v in variants)] for name, line in cells.items())
    return markdown_table(header, lines)


def _cell(row: Mapping[str, Any]) -> str:
    if "min" in row and "max" in row and row["min"] != row["max"]:
        span = f"({format_value(row['min'])} … {format_value(row['max'])})"
        return f"{format_value(row['value'])} {span}"
    return with_interval(row)


def _context_lines(context: Mapping[str, Any], indent: str = "") -> str:
    lines = []
    for key, value in context.items():
        label = f"{indent}- {str(key).replace('_', ' ')}"
        if isinstance(value, Mapping) and (key == "sha256" or _is_deep(value)):
            lines.append(f"{label}: {len(value)}, see the JSON")
        elif isinstance(value, Mapping):
            nested = _context_lines(value, indent + "  ")
            lines.append(f"{label}:\n{nested}" if nested else f"{label}: –")
        elif isinstance(value, (list, tuple)) and any(isinstance(v, Mapping) for v in value):
            lines.append(f"{label}: {len(value)}, see the JSON")
        elif isinstance(value, (list, tuple)):
            lines.append(f"{label}: {', '.join(format_value(v) for v in value) or '–'}")
        else:
            lines.append(f"{label}: {format_value(value)}")
    return "\n".join(lines)


def _is_deep(value: Mapping[str, Any]) -> bool:
    return any(isinstance(item, Mapping) for key, item in value.items() if key != "sha256")


def _plain_row(row: Mapping[str, Any]) -> Row:
    missing = [key for key in REQUIRED if key not in row]
    if missing:
        raise ValueError(f"report row {dict(row)} lacks {', '.join(missing)}")
    plain: Row = _plain(row)
    return plain


def _plain(value: Any) -> Any:
    """``value`` with numpy scalars and paths made JSON's own, non-finite numbers null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, bool) or value is None or isinstance(value, (str, int)):
        return value
    if hasattr(value, "item"):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
