"""Names of the nodes that rules make."""

from __future__ import annotations

import onnx_ir as ir

from pipeline.graphs.edit import Change, Context


def name_fused_nodes(model: ir.Model, context: Context) -> Change:
    """Name the nodes that rules made after the weights and caches that they read.

    Nodes that survive keep their names, which lead back to the checkpoint already.
    """
    taken = {node.name for node in model.graph if node.name}
    named = 0
    for node in model.graph:
        if node.name and "/" in node.name:
            continue
        base = name = f"{_module(node)}/{node.op_type}"
        count = 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name)
        node.name = name
        named += 1
    return Change(named)


def _module(node: ir.Node) -> str:
    for value in node.inputs:
        if value is None or not value.name:
            continue
        if value.name.startswith("past_key_values."):
            return f"layers.{value.name.split('.')[1]}.self_attn"
        if value.is_initializer() and "." in value.name:
            return value.name.removesuffix(".scaled").rpartition(".")[0]
    producer = node.inputs[0].producer() if node.inputs and node.inputs[0] else None
    if producer is None or not producer.name:
        return "graph"
    # a projection's consumer belongs to the block around it
    module = producer.name.rpartition("/")[0]
    return module.rpartition(".")[0] if module.endswith("_proj") else module
