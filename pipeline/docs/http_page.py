"""``docs/reference/http.md``: the server's routes and bodies, from its own OpenAPI description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chattts_onnx.serve.http.app import create_app
from chattts_onnx.serve.metrics import Metrics
from chattts_onnx.serve.settings import ServeSettings, options, variable
from pipeline.docs.markdown import code, summary, table

_METHODS = ("get", "post", "put", "delete")
_ABOUT = """A running server gives the same description as `/openapi.json`. How it behaves is told
in [serving](../how-to/serving.md); an error is `{"error": {"message", "type", "code"}}`, and
[errors](errors.md) has each type's status."""


def render(root: Path) -> str:
    """The page's Markdown; ``root`` is not read."""
    described = create_app(ServeSettings(bundles={"int8": Path("int8")})).openapi()
    blocks = ["# HTTP API", _ABOUT]
    for path, methods in described["paths"].items():
        for method in _METHODS:
            if method in methods:
                blocks += _route(method, path, methods[method])
    blocks.append("## Bodies")
    for name, schema in described["components"]["schemas"].items():
        if name not in ("HTTPValidationError", "ValidationError"):
            blocks += _body(name, schema)
    return "\n\n".join([*blocks, "## Settings", _settings(), "## Metrics", _metrics()])


def _route(method: str, path: str, found: Mapping[str, Any]) -> list[str]:
    blocks = [f"## `{method.upper()} {path}`", _said(found.get("description"))]
    parameters = [
        (code(entry["name"]), entry["in"], _kind(entry["schema"]), _said(entry.get("description")))
        for entry in found.get("parameters", [])
    ]
    if parameters:
        blocks.append(table(("parameter", "in", "type", "what"), parameters))
    for kind, content in found.get("requestBody", {}).get("content", {}).items():
        blocks.append(f"Body, {code(kind)}: {_kind(content['schema'])}.")
    answers = [
        (code(status), _said(answer.get("description")), ", ".join(answer.get("content", {})))
        for status, answer in sorted(found["responses"].items())
    ]
    return [block for block in (*blocks, table(("status", "what", "content"), answers)) if block]


def _body(name: str, schema: Mapping[str, Any]) -> list[str]:
    required = schema.get("required", [])
    rows = [
        (code(key), _kind(entry), _default(key in required, entry), _said(entry.get("description")))
        for key, entry in schema.get("properties", {}).items()
    ]
    blocks = [f"### {name}", _said(schema.get("description"))]
    blocks.append(table(("key", "type", "default", "what"), rows))
    examples = [json.dumps(example, ensure_ascii=False) for example in schema.get("examples", [])]
    if examples:
        blocks.append("```json\n" + "\n".join(examples) + "\n```")
    return [block for block in blocks if block]


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema in some words: its type, choices and bounds."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        parts = [_kind(part) for part in schema["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(parts))
    if "enum" in schema:
        return ", ".join(code(str(choice)) for choice in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    kind = str(schema.get("type", "any"))
    bounds = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "maxLength": "at most, characters:",
    }
    limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
    return ", ".join([kind, *limits])


def _default(required: bool, schema: Mapping[str, Any]) -> str:
    if required:
        return "required"
    value = schema.get("default")
    return "" if value is None else code(json.dumps(value))


def _said(text: str | None) -> str:
    return summary(text) if text else ""


def _settings() -> str:
    rows = [
        (
            code(f"--{entry.name.replace('_', '-')}"),
            code(variable(entry.name)),
            code("" if entry.default in ("", False) else f"{entry.default}"),
            entry.metadata["help"],
        )
        for entry in options()
    ]
    return table(("option", "variable", "default", "what"), rows)


def _metrics() -> str:
    """What is counted from the start; gauges of a running service come on top."""
    rows = [
        (code(family.name), family.type, family.documentation)
        for family in Metrics().registry.collect()
        if family.name.startswith("chattts_")
    ]
    return table(("metric", "type", "what"), rows)
