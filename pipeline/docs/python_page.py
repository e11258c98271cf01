"""``docs/reference/python.md``: the public names of ``chattts_onnx``, from their docstrings."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, is_typeddict

import chattts_onnx
from pipeline.docs.markdown import docstring, table

# A package, and what it is for; its ``__all__`` is what is public.
_MODULES = {
    "chattts_onnx": "bundles and speech",
    "chattts_onnx.speech.options": "what `say`, `generate` and `stream` take",
    "chattts_onnx.bulk": "corpora",
    "chattts_onnx.client": "servers and bundles alike",
}


def render(root: Path) -> str:
    """The page's Markdown; ``root`` is not read."""
    blocks = ["# Python API", docstring(chattts_onnx.__doc__)]
    known: set[str] = set()
    for name, purpose in _MODULES.items():
        module = import_module(name)
        values = {key: getattr(module, key) for key in sorted(_public(module))}
        chosen = {key: value for key, value in values.items() if key not in known}
        known |= set(values)
        blocks += [f"## `{name}`: {purpose}", *_members(chosen)]
    return "\n\n".join(blocks)


def _public(module: Any) -> list[str]:
    """``__all__``, or what a module without one has of typed options."""
    options = [key for key, value in vars(module).items() if is_typeddict(value)]
    return getattr(module, "__all__", options)


def _members(values: dict[str, Any]) -> Iterator[str]:
    errors = {k: v for k, v in values.items() if isinstance(v, type) and issubclass(v, Exception)}
    for name, value in values.items():
        if name in errors or name.startswith("__"):
            continue
        if inspect.isclass(value):
            yield from _class(name, value)
        elif inspect.isfunction(value):
            yield f"### `{name}{signature(value)}`"
            yield docstring(value.__doc__)
    if errors:
        listed = ", ".join(f"`{name}`" for name in errors)
        yield f"Errors, described in [errors](errors.md): {listed}."


def _class(name: str, value: type) -> Iterator[str]:
    constructor = signature(value) if "__init__" in vars(value) else ""
    yield f"### `{name}{constructor}`"
    # Without one of its own, a dataclass has its signature for a docstring.
    if not (value.__doc__ or "").startswith(f"{value.__name__}("):
        yield docstring(value.__doc__)
    if is_typeddict(value):
        rows = [(f"`{key}`", f"`{_named(kind)}`") for key, kind in value.__annotations__.items()]
        yield table(("option", "type"), rows)
        return
    fields = {field.name for field in dataclasses.fields(value)} if is_dataclass(value) else set()
    for key, member in vars(value).items():
        if key.startswith("_") or key in fields:
            continue
        function = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if isinstance(member, property):
            yield f"#### `{key}`"
            yield docstring(member.__doc__)
        elif inspect.isfunction(function):
            yield f"#### `{key}{signature(function)}`"
            yield docstring(function.__doc__)


def _named(annotation: Any) -> str:
    return str(getattr(annotation, "__forward_arg__", annotation))


def signature(function: Any) -> str:
    """A signature without quotes around annotations and without ``self``."""
    found = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=_bare(parameter.annotation), default=_plain(parameter.default))
        for parameter in found.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    returned = found.return_annotation
    if inspect.isclass(function) or returned == "None":
        returned = inspect.Signature.empty
    return str(found.replace(parameters=parameters, return_annotation=_bare(returned)))


class _Bare:
    """Shown as it is written."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _bare(annotation: Any) -> Any:
    return _Bare(annotation) if isinstance(annotation, str) else annotation


def _plain(default: Any) -> Any:
    """Defaults of dataclasses made by factories have no text of their own."""
    return (
        _Bare("…") if " object at 0x" in repr(default) or "<factory>" in repr(default) else default
    )
