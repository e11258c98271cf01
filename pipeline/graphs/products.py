"""In which arithmetic a bundle multiplies: static integers, ones rounded at run time, floats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import onnx_ir as ir

from chattts_onnx.format.manifest import Manifest
from pipeline.graphs.files import load_graph
from pipeline.report.rows import Row, make_row
from pipeline.report.write import markdown_table

STATIC, DYNAMIC, FLOAT = FORMS = ("static", "dynamic", "float")

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
            scales = sum(value.const_value.nbytes for value in node.inputs[2:]
                         if value is not None and value.const_value is not None)  # fmt: skip
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
        make_row(variant, "product_share", share, "of weight bytes", graph=graph, form=form)
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
    """The rows of :func:`product_rows` of all variants: the GPT, and all graphs together."""
    chosen = [row for row in rows if row["metric"] == "product_share"]
    lines = []
    for variant in dict.fromkeys(row["variant"] for row in chosen):
        cells = [
            f"{row['value']:.0%}"
            for graph in ("gpt", "all")
            for form in FORMS
            for row in chosen
            if (row["variant"], row["graph"], row["form"]) == (variant, graph, form)
        ]
        lines.append([f"`{variant}`", *cells])
    header = [f"{where}{form}" for where in ("GPT: ", "all: ") for form in FORMS]
    return markdown_table(["variant", *header], lines)


def _stored(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The constant behind a weight, dequantized or not."""
    producer = value.producer() if value is not None else None
    if producer is not None and producer.op_type in ("DequantizeLinear", "Cast"):
        value = producer.inputs[0]
    return value.const_value if value is not None and value.is_initializer() else None


def _dequantized(value: ir.Value | None) -> bool:
    producer = value.producer() if value is not None else None
    return producer is not None and producer.op_type == "DequantizeLinear"
