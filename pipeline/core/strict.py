"""YAML into dataclasses, strictly.

Nothing is converted or ignored, since a value silently replaced would be one that DVC tracks and
the stage does not use.  A key may be left out only where its dataclass has a default.
"""

from __future__ import annotations

import dataclasses
import io
import types
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import AliasEvent, YAMLError

from chattts_onnx.untrusted import brief, brief_text, read_limited
from pipeline.core.errors import ConfigError

T = TypeVar("T")

# params.yaml has 13 kB.
_MAX_BYTES = 4 << 20
HINT = "edit conf/ and compose it again: python -m pipeline.compose"


def read_yaml(path: Path) -> Any:
    """The plain content of a YAML file; numbers such as ``1e-5`` are floats, as DVC reads them.

    Raises:
        ConfigError: the file is absent or not YAML.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: found no such file, expected parameters; {HINT}")
    try:
        text = read_limited(path, _MAX_BYTES).decode()
        # OmegaConf copies what an alias stands for, so that a few nested ones fill any memory.
        if "&" in text and any(isinstance(event, AliasEvent) for event in yaml.parse(text)):
            raise ValueError("an alias; write out what it stands for")
        return OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=True)
    # OmegaConf lets through what Python raises on odd keys, numbers and nesting.
    except (
        YAMLError, OmegaConfBaseException, OSError, ValueError, TypeError, OverflowError,
        RecursionError, AttributeError, AssertionError,
    ) as error:  # fmt: skip
        raise ConfigError(f"{path}: found no valid YAML ({brief_text(error)}); {HINT}") from error


def parse_strictly(value: Any, kind: type[T], name: str = "params", hint: str = HINT) -> T:
    """Turn plain mappings, lists and scalars into the dataclass ``kind``.

    ``name`` of the whole and ``hint`` are for the message of an error.

    Raises:
        ConfigError: a key is unknown or missing, or a value has another type than its dataclass
            says; the message names the key's path, what was found and what was expected.
    """
    try:
        return cast(T, _parse(value, kind, ""))
    except ConfigError as error:
        whole = name if str(error).startswith(":") else ""
        raise ConfigError(f"{whole}{error}; {hint}") from error


def _parse(value: Any, kind: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _parse_dataclass(value, kind, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _parse_union(value, arguments, where)
    if origin is Literal:
        if value not in arguments:
            raise _mismatch(where, value, " or ".join(map(repr, arguments)))
        return value
    if origin in (list, tuple):
        return _parse_sequence(value, origin, arguments, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise _mismatch(where, value, "a mapping")
        _, item = arguments
        return {
            _parse(key, str, where): _parse(entry, item, _join(where, key))
            for key, entry in value.items()
        }
    return _parse_scalar(value, kind, where)


def _parse_dataclass(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, dict):
        raise _mismatch(where, value, f"a mapping ({kind.__name__})")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    known = f"expected one of {', '.join(fields)}"
    for key in value:
        if key not in fields:
            raise ConfigError(f"{_join(where, key)}: found an unknown key, {known}")
    for name, field in fields.items():
        if name not in value and _required(field):
            expected = _describe(hints[name])
            raise ConfigError(f"{_join(where, name)}: found nothing, expected {expected}")
    parsed = {name: _parse(entry, hints[name], _join(where, name)) for name, entry in value.items()}
    try:
        return kind(**parsed)
    except ConfigError as error:
        raise ConfigError(f"{where}: {brief_text(error, 1000)}") from error


def _parse_union(value: Any, kinds: tuple[Any, ...], where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    others = [kind for kind in kinds if kind is not type(None)]
    if len(others) == 1:
        return _parse(value, others[0], where)
    for kind in others:
        try:
            return _parse(value, kind, where)
        except ConfigError:
            continue
    raise _mismatch(where, value, " or ".join(map(_describe, kinds)))


def _parse_sequence(value: Any, origin: Any, arguments: tuple[Any, ...], where: str) -> Any:
    if not isinstance(value, list):
        raise _mismatch(where, value, "a list")
    if origin is tuple and arguments[-1] is not Ellipsis:
        if len(arguments) != len(value):
            raise _mismatch(where, value, f"a list of {len(arguments)}")
        kinds = arguments
    else:
        kinds = (arguments[0],) * len(value)
    items = zip(value, kinds, strict=True)
    return origin(_parse(item, kind, f"{where}[{i}]") for i, (item, kind) in enumerate(items))


def _parse_scalar(value: Any, kind: Any, where: str) -> Any:
    if kind is Any:
        return value
    # bool is an int to Python, and an int is a float to YAML writers (1 for 1.0).
    if kind is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise _mismatch(where, value, "a number that a float holds") from None
    if type(value) is not kind:
        raise _mismatch(where, value, _describe(kind))
    return value


def _required(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _join(where: str, key: Any) -> str:
    name = brief_text(key, 100)
    return f"{where}.{name}" if where else name


def _describe(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def _mismatch(where: str, value: Any, expected: str) -> ConfigError:
    found = f"{brief(value)} ({type(value).__name__})"
    return ConfigError(f"{where}: found {found}, expected {expected}")
