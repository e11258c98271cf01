"""What a rewrite rule says of itself, and all rules in the order in which they run."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from importlib import import_module

import onnx_ir as ir
from onnxscript.rewriter import pattern

from pipeline.checkpoint.dims import CheckpointDims
from pipeline.fusion import rules

DOMAIN = "com.microsoft"
"""Of ONNX Runtime's own operators."""


@dataclass(frozen=True)
class Rule:
    """A rewrite rule.

    Attributes:
        name: as in ``fuse.disabled`` and in the report.
        graphs: the graphs it runs on.
        make: the rule for a graph; it may add inputs to the model first.
        expected: how often it has to fire on a graph of these sizes.
        after: rules whose results it matches or whose order it keeps.
    """

    name: str
    graphs: tuple[str, ...]
    make: Callable[[ir.Model, CheckpointDims], pattern.RewriteRule]
    expected: Callable[[str, CheckpointDims], int]
    after: tuple[str, ...] = ()


def all_rules() -> list[Rule]:
    """The rules of :mod:`pipeline.fusion.rules`."""
    modules = (entry.name for entry in pkgutil.iter_modules(rules.__path__))
    return in_order(import_module(f"{rules.__name__}.{name}").RULE for name in modules)


def in_order(found: Iterable[Rule]) -> list[Rule]:
    """Each rule after those that it names, by name where that leaves a choice."""
    known = {rule.name: rule for rule in sorted(found, key=lambda rule: rule.name)}
    sorter = TopologicalSorter({name: rule.after for name, rule in known.items()})
    sorter.prepare()
    order: list[Rule] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += [known[name] for name in ready]
        sorter.done(*ready)
    return order
