"""Rows, tables and heat maps of the sensitivity report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.fusion.balance import CHANNELS, UNEVEN
from pipeline.report.rows import Row, Rows, make_row, select
from pipeline.report.write import format_value, markdown_table
from pipeline.sensitivity.heatmap import Heat
from pipeline.sensitivity.noise import LayerNoise
from pipeline.sensitivity.outliers import OUTLIER, PhaseRange, shared

VARIANT = "int8"
SHOWN = 5
"""Outlier channels named for each tensor."""

Effects = Mapping[str, Mapping[str, float]]

LOSSES = {
    "gpt": ("logit KL", "mnat", 1e3),
    "text_head": ("logit KL", "mnat", 1e3),
    "dvae_encode": ("codes that differ", "%", 1e2),
}
MEL = "mel error", "10⁻³ ln", 1e3
"""What ``effect`` is, the unit that shows it, and how much of that is one; of other graphs MEL."""

RANDOM = (
    "**Random weights**: which layers are sensitive is a property of trained weights; this shows "
    "how the report reads."
)
NOTES = """\
- `effect`: loss of the model's output with this layer alone quantized: mean logit KL (nat) for the
  GPT and the text head, mel error (ln) for what makes sound, share of codes that differ for
  `dvae_encode`.
- SQNR in dB: of the `weight`, of the `activation` that the layer reads (text and code positions
  apart), of what the layer writes when it `alone` is quantized, and of what it writes in the graph
  that is quantized as a whole (`accumulated`)."""


def sensitivity_rows(
    effects: Effects, noise: Sequence[LayerNoise], ranges: Sequence[PhaseRange]
) -> list[Row]:
    """All figures as report rows."""
    rows = [
        make_row(VARIANT, "effect", value, "loss", layer=layer)
        for by_layer in effects.values()
        for layer, value in by_layer.items()
    ]
    for entry in noise:
        where = {"layer": f"{entry.graph}/{entry.layer}"}
        rows.append(make_row(VARIANT, "weight_sqnr", entry.weight.sqnr_db, "dB", **where))
        for phase, power in entry.activations.items():
            row = make_row(VARIANT, "activation_sqnr", power.sqnr_db, "dB", **where, phase=phase)
            rows.append(row)
        if entry.alone is not None:
            rows.append(make_row(VARIANT, "alone_sqnr", entry.alone.sqnr_db, "dB", **where))
        rows.append(make_row(VARIANT, "accumulated_sqnr", entry.accumulated.sqnr_db, "dB", **where))
    for item in ranges:
        place = {"graph": item.graph, "tensor": item.tensor, "phase": item.phase}
        unit, limits = "× median channel", {"min": item.minimum, "max": item.maximum}
        rows.append(make_row(VARIANT, "channel_ratio", item.ratio, unit, **place, **limits))
        if item.channels:
            place |= {"layers": " ".join(item.readers), "channels": _named(item.channels)}
        rows.append(make_row(VARIANT, "outlier_channels", len(item.channels), "count", **place))
    return rows


def sections(
    context: Mapping[str, Any],
    effects: Effects,
    noise: Sequence[LayerNoise],
    ranges: Sequence[PhaseRange],
    fused: Rows,
) -> list[str]:
    """The tables for people; the most harmful layer of each graph first."""
    blocks = [RANDOM] if context["checkpoint"].get("weights") == "random" else []
    tables = [layer_table(effects, noise), uneven_table(fused), range_table(ranges)]
    return [*blocks, NOTES, *tables]


def layer_table(effects: Effects, noise: Sequence[LayerNoise]) -> str:
    """One line a layer."""
    known = {path: value for by_layer in effects.values() for path, value in by_layer.items()}

    def harm(entry: LayerNoise) -> float:
        return known.get(f"{entry.graph}/{entry.layer}", 0.0)

    lines = []
    for graph in dict.fromkeys(entry.graph for entry in noise):
        for entry in sorted((e for e in noise if e.graph == graph), key=harm, reverse=True):
            phases = entry.activations
            activation = " / ".join(
                f"{phase} {power.sqnr_db:.1f}" for phase, power in phases.items()
            )
            lines.append(
                [
                    f"{graph}/{entry.layer}", format_value(harm(entry)),
                    f"{entry.weight.sqnr_db:.1f}", activation,
                    "–" if entry.alone is None else f"{entry.alone.sqnr_db:.1f}",
                    f"{entry.accumulated.sqnr_db:.1f}",
                ]
            )  # fmt: skip
    header = ["layer", "effect", "weight", "activation", "alone", "accumulated"]
    return f"## Layers, the most harmful of each graph first\n\n{markdown_table(header, lines)}"


def range_table(ranges: Sequence[PhaseRange]) -> str:
    """One line a tensor and phase that has outlier channels, the widest first."""
    common = shared(list(ranges))
    named = [item for item in ranges if item.channels]
    lines = []
    for item in sorted(named, key=lambda entry: -entry.ratio):
        both = common.get((item.graph, item.tensor))
        lines.append(
            [
                f"{item.graph}/{', '.join(item.readers) or item.tensor}", item.phase,
                f"{item.minimum:.4g}", f"{item.maximum:.4g}", f"{item.ratio:.1f}",
                _named(item.channels), _named(both or ()) or "–",
            ]
        )  # fmt: skip
    header = ["read by", "positions", "min", "max", "widest / median", "channels", "in both"]
    note = (
        f"An outlier channel reaches more than {OUTLIER:g} times what the median channel does. "
        "What no layer reads has its tensor's name; `in both` are those that text and code "
        f"positions share. {len(ranges) - len(lines)} of {len(ranges)} ranges have none."
    )
    return f"## Outlier channels of activations\n\n{note}\n\n{markdown_table(header, lines)}"


def uneven_table(fused: Rows) -> str:
    """The channels that fusing made even, from the rows of its report."""
    lines = [
        [str(row["layer"]), format_value(row["value"]), str(row["channels"])]
        for row in select(fused, CHANNELS)
    ]
    if not lines:
        return ""
    note = (
        f"Channels {UNEVEN**2:g} times out of proportion or more in the checkpoint, the worst "
        "first: what makes them was divided and what reads them multiplied when graphs were fused, "
        "so that the ranges below have them no more."
    )
    table = markdown_table(["read by", "channels", "which"], lines)
    return f"## Outlier channels of the checkpoint\n\n{note}\n\n{table}"


def _named(channels: Sequence[int]) -> str:
    """The first channels by their numbers.

    >>> _named(range(7)), _named([])
    ('0 1 2 3 4 …', '')
    """
    return " ".join([*map(str, channels[:SHOWN]), *["…"] * (len(channels) > SHOWN)])


def heats(rows: Rows) -> list[Heat]:
    """Effects of the GPT's layers and of what makes sound, and the GPT's SQNR."""
    by_graph: dict[str, dict[str, float]] = {}
    for graph, layer, value in _by_layer(rows, "effect"):
        by_graph.setdefault(graph, {})[layer] = value
    maps = []
    for graph, values in by_graph.items():
        what, unit, factor = LOSSES.get(graph, MEL)
        values = {layer: factor * value for layer, value in values.items()}
        maps.append(Heat(f"{graph}, one layer quantized: {what}", values, unit, log=True))
    for place, which in enumerate(("alone", "accumulated"), start=1):
        found = _by_layer(rows, f"{which}_sqnr")
        values = {layer: value for graph, layer, value in found if graph == "gpt"}
        maps.insert(place, Heat(f"gpt: SQNR of outputs, {which}", values, "dB", reverse=True))
    return maps


def _by_layer(rows: Rows, metric: str) -> Iterator[tuple[str, str, float]]:
    """Graph, layer and value of each row of a metric."""
    for row in select(rows, metric):
        graph, _, layer = str(row["layer"]).partition("/")
        yield graph, layer, float(row["value"])
