"""A floor uses only floors below: no circle of files or of packages, no import of a command."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
Edges = dict[str, set[str]]
# A study that does what stages do, on another machine.
USERS_OF_COMMANDS = {"pipeline.studies.gpu.build"}


def imports(package: str) -> tuple[Edges, set[str]]:
    """Module -> modules of the package that it imports, inside functions too; and the commands.

    What is imported for annotations alone is never run and is left out.
    """
    files = {
        path: path.relative_to(ROOT).with_suffix("") for path in (ROOT / package).rglob("*.py")
    }
    names = {path: ".".join(f.parts).removesuffix(".__init__") for path, f in files.items()}
    edges: Edges = {name: set() for name in names.values()}
    commands = set()
    for path, name in names.items():
        text = path.read_text("utf-8")
        if path.stem == "__main__" or 'if __name__ == "__main__"' in text:
            commands.add(name)
        home = (name if path.stem == "__init__" else name.rpartition(".")[0]).split(".")
        tree = ast.parse(text)
        typing = [n for n in ast.walk(tree) if isinstance(n, ast.If) and _is_typing(n.test)]
        skipped = {id(child) for node in typing for child in ast.walk(node)}
        for node in (n for n in ast.walk(tree) if id(n) not in skipped):
            found = []
            if isinstance(node, ast.ImportFrom):
                base = home[: len(home) + 1 - node.level] if node.level else []
                source = ".".join([*base, *([node.module] if node.module else [])])
                # ``from package import module`` needs the module, not what else the package holds.
                full = [f"{source}.{alias.name}" for alias in node.names]
                found = [name if name in edges else source for name in full]
            elif isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            edges[name] |= {f for f in found if f in edges} - {name}
    return edges, commands


def _is_typing(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def circles(edges: Edges) -> set[str]:
    """Nodes that reach themselves."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = set(edges[start])
        while todo:
            seen.add(node := todo.pop())
            todo |= edges[node] - seen
        return seen

    return {name for name in edges if name in reached(name)}


def by_package(edges: Edges, depth: int = 2) -> Edges:
    """Edges between packages of so many names at most; a module beside packages is one of them."""

    def node(name: str) -> str:
        parts = name.split(".")
        return ".".join(parts[: min(depth, max(2, len(parts) - (name not in packages)))])

    packages = {name for name in edges if any(other.startswith(f"{name}.") for other in edges)}
    merged: Edges = {}
    for name, targets in edges.items():
        merged.setdefault(node(name), set()).update(node(target) for target in targets)
    return {name: targets - {name} for name, targets in merged.items()}


@pytest.mark.parametrize("package", ["chattts_onnx", "pipeline"])
def test_floors_stand_on_floors_below(package: str) -> None:
    edges, commands = imports(package)
    assert len(edges) > 50
    assert circles(edges) == set()
    for depth in (2, 3):
        assert circles(by_package(edges, depth)) == set()
    libraries = set(edges) - commands - USERS_OF_COMMANDS
    used = {f"{name} imports {t}" for name in libraries for t in edges[name] & commands}
    assert used == set()


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == {"b", "c"}
    edges = {"p.x.one": {"p.y.two"}, "p.y.two": set(), "p.y.three": {"p.x.one"}, "p": set()}
    assert circles(edges) == set() and circles(by_package(edges)) == {"p.x", "p.y"}
