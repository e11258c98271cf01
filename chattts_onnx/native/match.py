"""Walking a graph from its outputs: every node has to be what is expected, and none may be left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..untrusted import brief
from .graph import Array, Attribute, Graph, Node, UnknownGraphError


class Walk:
    """A graph of which nodes are taken one by one."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._makers = {name: node for node in graph.nodes for name in node.outputs if name}
        self._taken: set[int] = set()

    def kind(self, name: str) -> str:
        """The operator that makes a value; empty where it is an input or a constant."""
        node = self._makers.get(name)
        return node.op if node else ""

    def take(self, name: str, op: str, **attributes: Attribute | None) -> Node:
        """The node that makes ``name`` as its first output.

        ``attributes`` are all that the operator may have besides those whose meaning the caller
        reads itself (None).
        """
        node = self._makers.get(name)
        if node is None or node.op != op or node.outputs[0] != name:
            found = node.op if node else "no operator"
            raise UnknownGraphError(f"{brief(name)} is made by {found}, not by {op}")
        for key, value in node.attributes.items():
            if key not in attributes or attributes[key] not in (None, value):
                raise UnknownGraphError(f"{op} has {key} = {brief(value)}")
        self._taken.add(id(node))
        return node

    def constant(self, name: str, dtype: type[np.generic], *shape: int) -> Array:
        """A constant of that type and shape; -1 stands for any size."""
        found = self._graph.constants.get(name)
        if found is None or found.dtype != np.dtype(dtype):
            have = "no constant" if found is None else str(found.dtype)
            raise UnknownGraphError(f"{brief(name)} is {have}, not {np.dtype(dtype)}")
        fits = len(found.shape) == len(shape) and all(
            want in (-1, have) for want, have in zip(shape, found.shape, strict=True)
        )
        if not fits:
            raise UnknownGraphError(f"{brief(name)} has shape {list(found.shape)}")
        return found

    def holds(self, name: str, dtype: type[np.generic]) -> bool:
        """Whether ``name`` is a constant of that type."""
        found = self._graph.constants.get(name)
        return found is not None and found.dtype == np.dtype(dtype)

    def number(self, name: str, dtype: type[np.generic] = np.int64) -> Any:
        """The one number of a constant, whatever its shape."""
        found = self._graph.constants.get(name)
        if found is None or found.size != 1:
            raise UnknownGraphError(f"{brief(name)} is no constant number")
        return self.constant(name, dtype, *found.shape).reshape(-1)[0].item()

    def expect(self, name: str, *values: int | float) -> None:
        """``name`` is a constant with exactly these numbers."""
        found = self._graph.constants.get(name)
        if found is None or found.size > len(values) or found.reshape(-1).tolist() != [*values]:
            raise UnknownGraphError(f"{brief(name)} is not {list(values)}")

    def same(self, found: str, expected: str) -> None:
        """Two names are one value's."""
        if found != expected:
            raise UnknownGraphError(f"{brief(found)} is read where {brief(expected)} is expected")

    def finish(self) -> None:
        """No node is left."""
        for node in self._graph.nodes:
            if id(node) not in self._taken:
                raise UnknownGraphError(f"{node.op} makes {brief(node.outputs[:1])}")


def number_of(attributes: Mapping[str, Attribute], key: str) -> Any:
    """An attribute that has to be there."""
    if key not in attributes:
        raise UnknownGraphError(f"no {key}")
    return attributes[key]
