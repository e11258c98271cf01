"""Parameters from ``conf/``: composed by Hydra, checked, written as ``params.yaml``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
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


def compose_values(overrides: list[str], conf: Path = CONF_DIRECTORY) -> dict[str, Any]:
    """Compose the Hydra configuration, with every interpolation resolved.

    Raises:
        ConfigError: Hydra refuses an override, or OmegaConf an interpolation.
    """
    try:
        with initialize_config_dir(str(conf), version_base="1.3"):
            config = compose("config", overrides)
        values: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except _REFUSALS as error:
        found = brief_text(" ".join(overrides)) or "no overrides"
        raise ConfigError(f"conf/ does not compose with {found}: {brief_text(error)}") from error
    return dict(values)


def render(values: dict[str, Any], overrides: list[str]) -> str:
    """``params.yaml`` as text: groups in alphabetical order, keys in the order of their files."""
    command = shlex.join(["python", "-m", "pipeline.compose", *overrides])
    ordered = dict(sorted(values.items()))
    body = yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=100)
    return f"# Composed from conf/ by `{command}`; edit conf/, not this file.\n{body}"
