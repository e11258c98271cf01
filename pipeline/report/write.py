"""Reports that machines and people read: one JSON, and a Markdown of the same name.

Every stage that measures something writes its report through :func:`write_report`; see
:mod:`pipeline.report.rows` for what is in it.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chattts_onnx.format.abilities import has_random_weights
from pipeline.core.atomic import write_json, write_text
from pipeline.report.machine import machine_context, tool_versions
from pipeline.report.rows import REQUIRED, Row, Rows, conditions, select, variants_of

_SHORT = {
    "kl": "KL", "snr": "SNR", "rtf": "RTF", "dnsmos": "DNSMOS", "p808": "P.808", "ovrl": "overall",
    "l1": "L1", "p50": "P50", "p95": "P95", "p99": "P99", "top1": "top-1", "http": "HTTP",
    "websocket": "WebSocket", "dvae": "DVAE",
}  # fmt: skip
# Ends of names that the unit says as well.
_UNITS = ("_bytes", "_seconds", "_db")
# The largest value that a unit is good for, the next unit, and its share.
_LARGER = {"B": (1e3, "kB", 1e-3), "kB": (1e3, "MB", 1e-3), "MB": (1e3, "GB", 1e-3)}
_SMALLER = {"s": (0.5, "ms", 1e3)}
_SCALED = ("value", "min", "max", "low", "high")
_NUMBER = re.compile(r"$|–|[≤≥+−-]? ?\d")


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
    details: bool = True,
) -> None:
    """Write ``path`` (.json) and the Markdown beside it, each in one rename.

    Args:
        path: the JSON to write; the Markdown takes its name with the suffix ``.md``.
        context: anything JSON can hold; see :func:`report_context`.
        rows: rows with at least variant, metric, value and unit; NaN and infinity become null.
        title: heading of the Markdown; the file's name where empty.
        sections: Markdown blocks placed before the metric tables, the verdict first.
        picture: whether a PNG of the same name will lie beside it; it stands below the verdict.
        details: whether tables of all rows follow; False where the sections show each of them.

    Raises:
        ValueError: a row lacks one of the required columns.
    """
    plain = [_plain_row(row) for row in rows]
    write_json(path, {"context": _plain(context), "rows": plain})
    name = title or path.stem.replace("_", " ").capitalize()
    if picture:
        image = f"![{name}]({path.with_suffix('.png').name})"
        sections = [*sections[:1], image, *sections[1:]]
    shown = plain if details else []
    write_text(path.with_suffix(".md"), render_markdown(name, context, shown, sections))


def render_markdown(
    title: str,
    context: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    sections: Sequence[str] = (),
) -> str:
    """The report as Markdown: the given sections, a table a metric, then what it was made on.

    Metrics without conditions share one table.
    """
    parts = [f"# {title}", *sections]
    metrics = {metric: select(rows, metric) for metric in dict.fromkeys(r["metric"] for r in rows)}
    single = {name: found for name, found in metrics.items() if not any(map(conditions, found))}
    if single:
        parts.append(f"## Of the whole\n\n{_single_table(single)}")
    for metric, found in metrics.items():
        if metric not in single:
            unit, factor = _shown(found)
            parts.append(f"## {heading(metric, unit)}\n\n{_metric_table(found, factor)}")
    if context:
        parts.append(f"## Made on\n\n{_context_lines(context)}")
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def words(name: str) -> str:
    """A name of the rows as people are shown it: ``kl_divergence`` is ``KL divergence``."""
    return " ".join(_SHORT.get(word, word) for word in name.split("_"))


def heading(metric: str, unit: str = "") -> str:
    """Name and unit of a metric for people: ``peak_memory_bytes`` in MB is ``Peak memory, MB``."""
    told = words(next((metric.removesuffix(end) for end in _UNITS if metric.endswith(end)), metric))
    # "requests per second, 1/s", "nodes, nodes"
    said = unit in ("", "1", "count", told) or metric.endswith("_per_second")
    shown = "" if said else f", {unit}"
    return f"{told[:1].upper()}{told[1:]}{shown}"


def shown_unit(values: Sequence[float], unit: str) -> tuple[str, float]:
    """The unit in which the largest of ``values`` is easily read, and the factor to it."""
    largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    factor = 1.0
    while unit in _LARGER and largest * factor >= _LARGER[unit][0]:
        _, unit, share = _LARGER[unit]
        factor *= share
    if unit in _SMALLER and 0 < largest < _SMALLER[unit][0]:
        return _SMALLER[unit][1], _SMALLER[unit][2]
    return unit, factor


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns of numbers are right-aligned, but the first."""
    body = [list(line) for line in lines]
    right = [i and all(_NUMBER.match(line[i]) for line in body) for i in range(len(header))]
    rule = ["---:" if numeric else "---" for numeric in right]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *body))


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


def with_interval(row: Mapping[str, Any], digits: int = 4) -> str:
    """``value [low … high]`` of a row; the value alone where there is no interval."""
    text = format_value(row["value"], digits)
    if row.get("low") is None or row["low"] == row["high"]:
        return text
    return f"{text} [{format_value(row['low'], digits)} … {format_value(row['high'], digits)}]"


def _shown(rows: Rows) -> tuple[str, float]:
    values = [float(row["value"]) for row in rows if isinstance(row["value"], (int, float))]
    return shown_unit(values, str(rows[0]["unit"] or ""))


def _single_table(metrics: Mapping[str, Rows]) -> str:
    """A line for each metric, a column for each variant."""
    variants = variants_of([row for rows in metrics.values() for row in rows])
    lines = []
    for metric, rows in metrics.items():
        unit, factor = _shown(rows)
        cells = {str(row["variant"]): _cell(row, factor) for row in rows}
        lines.append([heading(metric, unit), *(cells.get(variant, "") for variant in variants)])
    return markdown_table(["", *map(words, variants)], lines)


def _metric_table(rows: Rows, factor: float) -> str:
    """A line for each setting of the conditions, which have columns of their own.

    What is alike in all rows stands above the table.
    """
    variants = variants_of(rows)
    settings = [{k: format_value(v) for k, v in conditions(row).items()} for row in rows]
    keys = dict.fromkeys(key for setting in settings for key in setting)
    found = {key: {setting.get(key, "") for setting in settings} for key in keys}
    alike = [key for key in keys if len(found[key]) == 1 and len(keys) > 1]
    columns = [key for key in keys if key not in alike] or list(keys)[-1:]
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for row, setting in zip(rows, settings, strict=True):
        place = tuple(setting.get(key, "") for key in columns)
        cells.setdefault(place, {})[str(row["variant"])] = _cell(row, factor)
    header = [*map(words, columns), *map(words, variants)]
    table = markdown_table(
        header, ([*place, *(line.get(v, "") for v in variants)] for place, line in cells.items())
    )
    told = ", ".join(f"{words(key)} {settings[0][key]}" for key in alike if key not in columns)
    return f"All with {told}.\n\n{table}" if told else table


def _cell(row: Mapping[str, Any], factor: float = 1.0) -> str:
    row = {k: row[k] * factor if k in _SCALED and row.get(k) is not None else row[k] for k in row}
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
