"""Names that lead back to the checkpoint.

The exporter numbers its nodes and loses a weight's name when it transposes it; reports by layer
and projection, exclusion lists and people need names such as ``layers.3.mlp.down_proj``.
"""

from __future__ import annotations

import ast
import re
from collections import Counter

import onnx_ir as ir

SCOPES = "pkg.torch.onnx.name_scopes"
# attributes of the export wrappers, which no checkpoint knows
WRAPPERS = re.compile(r"^module\.?((gpt|dvae)(\.|$))?")


def name_after_modules(model: ir.Model) -> None:
    """Name nodes ``<module path>/<operator>`` and weights ``<module path>.weight``."""
    taken: Counter[str] = Counter()
    for node in model.graph:
        scope = _scope(node)
        base = f"{scope}/{node.op_type}" if scope else node.op_type
        taken[base] += 1
        node.name = base if taken[base] == 1 else f"{base}_{taken[base]}"
        if scope and node.op_type == "MatMul":
            _name_constant(node.inputs[1], f"{scope}.weight")
    for initializer in list(model.graph.initializers.values()):
        _name_constant(initializer, WRAPPERS.sub("", initializer.name or ""))


def _scope(node: ir.Node) -> str:
    recorded = node.metadata_props.get(SCOPES)
    if recorded is None:
        return ""
    # the last entry is the operation itself, the one before it the module that called it
    scopes = ast.literal_eval(recorded)
    scope = scopes[-2] if len(scopes) > 1 else ""
    return WRAPPERS.sub("", scope) if scope.startswith("module") else ""


def _name_constant(value: ir.Value | None, name: str) -> None:
    if value is None or value.const_value is None or not name or value.graph is None:
        return
    if name not in value.graph.initializers:
        value.name = name
