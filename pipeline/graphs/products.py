"""In which arithmetic a bundle multiplies: static integers, ones rounded at run time, floats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import onnx_ir as ir

from chattts_onnx.format.manifest import Manifest
from pipeline.graphs.files import load_graph
from pipeline.report.rows import Row, find_value, make_row, matches, variants_of
from pipeline.report.write import markdown_table

STATIC, DYNAMIC, FLOAT = FORMS = ("static", "dynamic", "float")

ARITHMETIC = "Products in integers and in floats"
BYTES, TIME = "product_share", "product_time_share"
SENTENCE = "a sentence"
COLUMNS = (
    ("GPT, bytes", BYTES, "gpt"),
    ("all, bytes", BYTES, "all"),
    ("GPT, time", TIME, "gpt"),
    (f"{SENTENCE}, time", TIME, SENTENCE),
)
"""Title, metric and graph of the table's columns."""

PRODUCTS = ("MatMul", "Gemm", "Conv", "MatMulNBits")

EXECUTED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("MatMulIntegerToFloat", "QLinearMatMul", "QGemm", "QLinearConv"), STATIC),
        **dict.fromkeys(("MatMulNBits", "DynamicQuantizeMatMul", "MatMulInteger"), DYNAMIC),
        **dict.fromkeys(("MatMul", "Gemm", "FusedMatMul", "Conv", "FusedConv"), FLOAT),
    }
)
"""The form of a product by the operator that ONNX Runtime's CPU provider runs for it."""

INTEGER_ACTIVATIONS = 4
"""MatMulNBits's accuracy level that rounds activations; others multiply floats."""


@dataclass(frozen=True)
class Product:
    """A node with constant weights.

    Attributes:
        node: its name.
        form: one of :data:`FORMS`.
        weight_bytes: what it reads of its weights, scales included; a product in two halves counts
            twice, as it reads twice.
    """

    node: str
    form: str
    weight_bytes: int


def products(path: Path) -> Iterator[Product]:
    """The products of the graph ``path``, in its order."""
    for node in load_graph(path).graph:
        if node.op_type not in PRODUCTS or len(node.inputs) < 2:
            continue
        stored = _stored(node.inputs[1])
        if stored is None:
            continue
        if node.op_type == "MatMulNBits":
            integer = node.attributes.get_int("accuracy_level", 0) == INTEGER_ACTIVATIONS
            scales = sum(
                found.nbytes for found in map(_stored, node.inputs[2:]) if found is not None
            )
            form, extra = DYNAMIC if integer else FLOAT, scales
        else:
            form, extra = STATIC if _dequantized(node.inputs[0]) else FLOAT, 0
        yield Product(node.name or "", form, stored.nbytes + extra)


def product_rows(variant: str, folder: Path) -> list[Row]:
    """Share of each form among the weights that a bundle's products read, by graph and in all."""
    manifest = Manifest.load(folder, verify=False)
    found = {name: list(products(folder / info.file)) for name, info in manifest.graphs.items()}
    found = {name: items for name, items in found.items() if items}
    everything = [item for items in found.values() for item in items]
    return [
        make_row(variant, BYTES, share, "of weight bytes", graph=graph, form=form)
        for graph, items in {**found, "all": everything}.items()
        for form, share in shares(items).items()
    ]


def shares(items: list[Product]) -> dict[str, float]:
    """Share of each form among the bytes of ``items``."""
    total = max(sum(item.weight_bytes for item in items), 1)
    return {
        form: sum(item.weight_bytes for item in items if item.form == form) / total
        for form in FORMS
    }


def product_table(rows: list[Row]) -> str:
    """A line a variant: static, dynamic and float in the GPT and in all, by bytes and by time."""
    header, columns = ["variant"], []
    for title, metric, graph in COLUMNS:
        if any(matches(row, metric, graph=graph) for row in rows):
            header.append(title)
            columns.append((metric, graph))
    lines = [
        [f"`{variant}`", *(_cell(rows, variant, *column) for column in columns)]
        for variant in variants_of(row for row in rows if row["metric"] in (BYTES, TIME))
    ]
    return f"Static / dynamic / float, in percent.\n\n{markdown_table(header, lines)}"


def _cell(rows: list[Row], variant: str, metric: str, graph: str) -> str:
    found = (find_value(rows, variant, metric, graph=graph, form=form) for form in FORMS)
    return " / ".join("–" if value is None else f"{100 * value:.0f}" for value in found)


def _stored(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The constant behind a weight or its scales, dequantized, widened or neither."""
    producer = value.producer() if value is not None else None
    if producer is not None and producer.op_type in ("DequantizeLinear", "Cast"):
        value = producer.inputs[0]
    return value.const_value if value is not None and value.is_initializer() else None


def _dequantized(value: ir.Value | None) -> bool:
    producer = value.producer() if value is not None else None
    return producer is not None and producer.op_type == "DequantizeLinear"
