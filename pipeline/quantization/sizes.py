"""Sizes and hashes of a bundle's graphs."""

from __future__ import annotations

from chattts_onnx.format.manifest import Manifest
from pipeline.report.rows import Row, make_row


def size_rows(variant: str, fp32: Manifest, made: Manifest) -> list[Row]:
    """Bytes of the bundle, and of each graph, as a share of FP32's."""
    rows = [
        make_row(variant, "size_bytes", bundle_bytes(made), "B"),
        make_row(variant, "size_ratio", bundle_bytes(made) / bundle_bytes(fp32), "of fp32"),
    ]
    for graph in made.graphs:
        share = graph_bytes(made, graph) / graph_bytes(fp32, graph)
        rows.append(make_row(variant, "graph_size_ratio", share, "of fp32", graph=graph))
    return rows


def bundle_bytes(manifest: Manifest) -> int:
    """Bytes of all files of a bundle but its manifest."""
    return sum(info.bytes for info in manifest.files.values())


def graph_hashes(manifest: Manifest) -> dict[str, str]:
    """File name to sha256 of everything that the graphs consist of."""
    graphs = manifest.graphs.values()
    names = [name for info in graphs for name in (info.file, info.data) if name is not None]
    return {name: manifest.files[name].sha256 for name in names}


def graph_bytes(manifest: Manifest, graph: str) -> int:
    """Bytes of one graph with its weights."""
    info = manifest.graph(graph)
    names = [name for name in (info.file, info.data) if name is not None]
    return sum(manifest.files[name].bytes for name in names)
