"""Parameters from ``conf/``: composed by Hydra, checked, written as ``params.yaml``."""

from __future__ import annotations

import re
import shlex
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from chattts_onnx.untrusted import brief_text
from pipeline.checkpoint.lora import adapter_fingerprint
from pipeline.checkpoint.record import fingerprint
from pipeline.config import Params
from pipeline.core.errors import ConfigError
from pipeline.core.strict import parse_strictly

CONF_DIRECTORY = Path(__file__).resolve().parents[1] / "conf"


# Of Hydra, OmegaConf, and the file system, which a group's name is looked up in.
_REFUSALS = (
    HydraException, OmegaConfBaseException, ValueError, TypeError, RecursionError, OSError,
)  # fmt: skip


def compose_params(overrides: list[str], conf: Path = CONF_DIRECTORY) -> dict[str, Any]:
    """Compose the Hydra configuration and check it against :class:`pipeline.config.Params`.

    Raises:
        ConfigError: Hydra refuses an override, or the result does not fit the dataclasses.
    """
    values = compose_values(overrides, conf)
    params = parse_strictly(values, Params)
    if params.checkpoint.path:
        # Keys a folder outside the workspace by its content, which DVC does not see otherwise.
        values["checkpoint"]["fingerprint"] = fingerprint(Path(params.checkpoint.path))
    if params.checkpoint.lora:
        found = adapter_fingerprint(Path(params.checkpoint.lora))
        values["checkpoint"]["lora_fingerprint"] = found
    return values


def readable(overrides: list[str]) -> list[str]:
    """Overrides as Hydra reads them: values such as paths with spaces, quotes or Chinese quoted.

    Words without a ``=`` belong to the value before them, since ``make`` splits at spaces.
    """
    joined: list[str] = []
    for word in overrides:
        if joined and "=" not in word and not word.startswith("~"):
            joined[-1] += f" {word}"
        else:
            joined.append(word)
    return [_quoted(override) for override in joined]


def _quoted(override: str) -> str:
    try:
        # A list of choices is for sweeps, which nothing here makes: it is a path with a comma.
        if not OverridesParser.create().parse_override(override).is_sweep_override():
            return override
    except HydraException:
        pass
    key, separator, value = override.partition("=")
    # In quotes, Hydra takes all but quotes and the backslashes before them as they are.
    body = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + found[2].replace("'", r"\'"), value)
    return f"{key}='{body}'" if separator else override


def compose_values(overrides: list[str], conf: Path = CONF_DIRECTORY) -> dict[str, Any]:
    """Compose the Hydra configuration, with every interpolation resolved.

    Raises:
        ConfigError: Hydra refuses an override, or OmegaConf an interpolation.
    """
    try:
        with initialize_config_dir(str(conf), version_base="1.3"):
            config = compose("config", readable(overrides))
        values: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except _REFUSALS as error:
        found = brief_text(" ".join(overrides)) or "no overrides"
        told = _mended(brief_text(error), conf)
        raise ConfigError(f"conf/ does not compose with {found}: {told}") from error
    return dict(values)


def _mended(message: str, conf: Path) -> str:
    """Hydra's message, in other words where its advice would be refused in turn."""
    if message.startswith("Missing mandatory value: path"):
        return "found no folder; name the checkpoint's with CHECKPOINT_DIR=folder"
    match = re.match(r"Could not override '([^']+)'", message)
    if not match:
        return message
    # A key that is appended, as Hydra proposes, is refused as an unknown one.
    with initialize_config_dir(str(conf), version_base="1.3"):
        keys = _keys(OmegaConf.to_container(compose("config")))
    close = get_close_matches(match[1], keys, n=3)
    return f"found no key {match[1]}" + (f", expected {' or '.join(close)}" if close else "")


def _keys(values: Any, prefix: str = "") -> list[str]:
    """Every key with its path, ``precision.int8.target``."""
    if not isinstance(values, dict):
        return []
    return [
        path
        for name, value in values.items()
        for path in (f"{prefix}{name}", *_keys(value, f"{prefix}{name}."))
    ]


def render(values: dict[str, Any], overrides: list[str]) -> str:
    """``params.yaml`` as text: groups in alphabetical order, keys in the order of their files."""
    command = shlex.join(["python", "-m", "pipeline.compose", *overrides])
    ordered = dict(sorted(values.items()))
    body = yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=100)
    return f"# Composed from conf/ by `{command}`; edit conf/, not this file.\n{body}"
