"""Small changes to a module's source, each of which some test should notice."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
# What is dropped without any promise broken: it only tells somebody something.
_TELLING = ("log.", "logging.", "logger.", "print", "warnings.")


@dataclass(frozen=True)
class Mutant:
    """A changed source: where, what stood there and what stands there now.

    ``name`` stays the same while lines move: module, function, change, and which of equal ones.
    """

    name: str
    line: int
    source: str


def mutants(module: str, source: str) -> list[Mutant]:
    """All mutants of a module's source, in its order."""
    found: list[Mutant] = []
    seen: dict[str, int] = {}
    for where, node, changed in _changes(ast.parse(source), ""):
        old, new = _segment(source, node), "pass" if changed is None else ast.unparse(changed)
        name = f"{module}:{where}: {_short(old)} -> {_short(new)}"
        seen[name] = seen.get(name, 0) + 1
        name += f" ({seen[name]})" if seen[name] > 1 else ""
        text = f"({new})" if isinstance(node, ast.expr) else new
        found.append(Mutant(name, node.lineno, _replaced(source, node, text)))
    return found


_Change = tuple[str, ast.expr | ast.stmt, ast.AST | None]


def _changes(tree: ast.AST, where: str) -> Iterator[_Change]:
    """(function, node, what takes its place or None for nothing)."""
    for node in ast.iter_child_nodes(tree):
        inside = where
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inside = f"{where}.{node.name}".lstrip(".")
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.JoinedStr)):
            continue
        if isinstance(node, ast.stmt):
            yield from ((inside, node, new) for new in _of_statement(node))
        elif isinstance(node, ast.expr):
            yield from ((inside, node, new) for new in _of_expression(node))
        if not _is_typing(node):
            yield from _changes(node, inside)


def _of_statement(node: ast.stmt) -> Iterator[ast.AST | None]:
    if isinstance(node, ast.Raise):
        yield None
    called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await)
    if called and not ast.unparse(node).startswith(_TELLING):
        yield None
    if isinstance(node, ast.AugAssign) and type(node.op) in _COMPUTED:
        changed = copy.deepcopy(node)
        changed.op = _COMPUTED[type(node.op)]()
        yield changed


def _of_expression(node: ast.expr) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        changed = copy.deepcopy(node)
        changed.ops = [_COMPARED[type(node.ops[0])]()]
        yield changed
    elif isinstance(node, ast.BinOp) and type(node.op) in _COMPUTED and not _is_text(node):
        binary = copy.deepcopy(node)
        binary.op = _COMPUTED[type(node.op)]()
        yield binary
    elif isinstance(node, ast.BoolOp):
        boolean = copy.deepcopy(node)
        boolean.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield boolean
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        elif isinstance(node.value, int):
            yield ast.Constant(node.value + 1)
        elif isinstance(node.value, float):
            yield ast.Constant(2 * node.value + (not node.value))


def _is_text(node: ast.BinOp) -> bool:
    """Whether one side is written as text: to subtract it is no sensible change."""
    sides = (node.left, node.right)
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, (str, bytes)))
        for side in sides
    )


def _is_typing(node: ast.AST) -> bool:
    """A type's parts and a docstring decide nothing."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    return isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("Literal", "Annotated")


def _segment(source: str, node: ast.expr | ast.stmt) -> str:
    return ast.get_source_segment(source, node) or ""


def _replaced(source: str, node: ast.expr | ast.stmt, new: str) -> str:
    """``source`` with a node's text exchanged; the lines after it keep their numbers."""
    lines = source.encode().split(b"\n")
    assert node.end_lineno is not None and node.end_col_offset is not None
    first, last = node.lineno - 1, node.end_lineno - 1
    head, tail = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    if isinstance(node, ast.expr) and last > first:
        new = new.removesuffix(")") + "\n" * (last - first) + ")"
    elif last > first:
        new += "\n" * (last - first)
        tail = tail.lstrip()
    return b"\n".join([*lines[:first], head + new.encode() + tail, *lines[last + 1 :]]).decode()


def _short(text: str) -> str:
    return " ".join(text.split())[:100]
