"""What a search may change: the form of each layer, and repairs of all.

A candidate is an :class:`Int8Config` with exact names in ``exclude_names`` and ``repairs.blocks``,
so that what a search finds can be put into ``conf/precision/int8`` as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipeline.graphs.facts import GRAPHS
from pipeline.graphs.files import load_graph
from pipeline.graphs.layers import find_layers
from pipeline.quantization.config import Int8Config, RepairConfig
from pipeline.quantization.kv_cache import CacheConfig

STATIC, BLOCKS, FLOAT = "static", "blocks", "float"

BYTES: Mapping[str, float] = {STATIC: 1.0, BLOCKS: 1.125, FLOAT: 4.0}
"""Bytes of a weight by a layer's form: INT8, INT8 with a float scale for 32 of them, FP32.

Decoding is bound by reading weights, so that their bytes are the cost of a candidate: the same on
every machine and in every run, as a timing is not.
"""

REPAIRS: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("calibrator mse", {"calibrator": "mse"}),
    ("calibrator minmax", {"calibrator": "minmax"}),
    ("bias correction", {"bias_correction": ["*"]}),
    ("float cache", {"cache": CacheConfig()}),
)
"""Repairs that need not read more weights, by name, in the order in which they are tried."""


@dataclass(frozen=True)
class LayerInfo:
    """A layer that can be quantized.

    Attributes:
        graph: its graph.
        name: its node's name.
        op_type: MatMul, Gemm or Conv.
        weights: how many it has.
        activation: name of what it reads.
    """

    graph: str
    name: str
    op_type: str
    weights: int
    activation: str

    @property
    def path(self) -> str:
        """The pattern that matches this layer only."""
        return f"{self.graph}/{self.name}"

    @property
    def ladder(self) -> tuple[str, ...]:
        """Its forms, from cheap to exact."""
        return (STATIC, BLOCKS, FLOAT) if self.op_type == "MatMul" else (STATIC, FLOAT)


def list_layers(source: Path, files: Mapping[str, str], config: Int8Config) -> list[LayerInfo]:
    """Layers of the graphs ``files`` (name to file in ``source``) that ``config`` quantizes."""
    found = []
    for graph, file in files.items():
        layers, _ = find_layers(
            load_graph(source / file).graph, config.op_types, config.exclude_names, graph
        )
        for layer in layers:
            assert layer.weight.const_value is not None
            size = int(layer.weight.const_value.size)
            activation = layer.activation.name or ""
            found.append(LayerInfo(graph, layer.name, layer.node.op_type, size, activation))
    return found


def everything_quantized(config: Int8Config) -> Int8Config:
    """``config`` without repairs and without exclusions that begin with a graph's name.

    Patterns such as ``*istft*`` stay: what they name is exact arithmetic, no learned layer.
    """
    kept = [name for name in config.exclude_names if not _names_a_graph(name)]
    return replace(config, exclude_names=kept, repairs=RepairConfig())


def with_integer_cache(config: Int8Config) -> Int8Config:
    """``config`` with keys and values as INT8, where everything quantized begins."""
    return replace(config, cache=replace(config.cache, bits=8))


def _names_a_graph(pattern: str) -> bool:
    return pattern.split("/", 1)[0] in GRAPHS


def with_form(config: Int8Config, layer: LayerInfo, form: str) -> Int8Config:
    """``config`` with ``layer`` in another form."""
    excluded = [name for name in config.exclude_names if name != layer.path]
    blocks = [name for name in config.repairs.blocks if name != layer.path]
    if form == FLOAT:
        excluded.append(layer.path)
    elif form == BLOCKS:
        blocks.append(layer.path)
    repairs = replace(config.repairs, blocks=sorted(blocks))
    kept = [name for name in excluded if not _names_a_graph(name)]
    named = sorted(name for name in excluded if _names_a_graph(name))
    return replace(config, exclude_names=[*kept, *named], repairs=repairs)


def form_of(config: Int8Config, layer: LayerInfo) -> str:
    """The form of ``layer`` in a candidate."""
    if layer.path in config.exclude_names:
        return FLOAT
    return BLOCKS if layer.path in config.repairs.blocks else STATIC


def with_repair(config: Int8Config, changes: Mapping[str, object]) -> Int8Config:
    """``config`` with one of :data:`REPAIRS`."""
    own = {name: value for name, value in changes.items() if hasattr(config, name)}
    rest = {name: value for name, value in changes.items() if name not in own}
    return replace(config, **own, repairs=replace(config.repairs, **rest))  # type: ignore[arg-type]


def cost(config: Int8Config, layers: Sequence[LayerInfo]) -> float:
    """Bytes of weights that ``layers`` read."""
    return sum(layer.weights * BYTES[form_of(config, layer)] for layer in layers)


def key_of(config: Int8Config, graphs: Sequence[str], component: str) -> str:
    """What tells a candidate from others as far as ``graphs`` are concerned, as a short hash."""

    def concerns(pattern: str) -> bool:
        return not _names_a_graph(pattern) or pattern.split("/", 1)[0] in graphs

    values = asdict(config)
    values["exclude_names"] = [name for name in config.exclude_names if concerns(name)]
    values["repairs"]["blocks"] = [name for name in config.repairs.blocks if concerns(name)]
    text = json.dumps([component, values], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
