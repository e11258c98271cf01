"""``asset/gpt/config.json``: a LlamaConfig of transformers, of any version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chattts_onnx.format.manifest import LARGEST
from chattts_onnx.untrusted import brief, parse_json, read_limited, stand_in
from pipeline.checkpoint import layout
from pipeline.core.errors import CheckpointError

# that of the official checkpoint has 600 bytes
_MAX_BYTES = 1 << 20
# what LlamaConfig of transformers means by a key that config.json leaves out
LLAMA_MAX_POSITIONS = 2048
LLAMA_ROPE_THETA = 10_000.0
LLAMA_RMS_NORM_EPS = 1e-6


def read_gpt_config(root: Path) -> dict[str, Any]:
    """Read ``asset/gpt/config.json`` and refuse what the reference does not implement."""
    path = root / layout.GPT_CONFIG
    if not path.is_file():
        raise CheckpointError(
            f"{layout.GPT_CONFIG}: found no such file in {root}, expected the official layout; "
            "fetch it again"
        )
    try:
        data = read_limited(path, _MAX_BYTES)
        if (found := stand_in(data)) is not None:
            raise CheckpointError(f"{layout.GPT_CONFIG}: found {found}")
        config = parse_json(data)
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{layout.GPT_CONFIG}: found no valid JSON ({error})") from error
    if not isinstance(config, dict):
        raise CheckpointError(
            f"{layout.GPT_CONFIG}: found {type(config).__name__}, expected an object"
        )
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = rope.get("rope_type", rope.get("type", "default")) if isinstance(rope, dict) else rope
    wanted = {
        "model_type": ("llama", config.get("model_type", "llama")),
        "hidden_act": ("silu", config.get("hidden_act", "silu")),
        "attention_bias": (False, config.get("attention_bias", False)),
        "mlp_bias": (False, config.get("mlp_bias", False)),
        "rope_type": ("default", kind),
    }
    for key, (expected, found) in wanted.items():
        if found != expected:
            raise CheckpointError(
                f"{layout.GPT_CONFIG}: {key}: found {brief(found)}, expected {expected!r}; only "
                "the "
                "ChatTTS Llama is supported"
            )
    return config


def count(config: dict[str, Any], key: str, default: int | None = None) -> int:
    """Return a positive integer of the configuration.

    Raises:
        CheckpointError: it is absent without a ``default``, or something else.
    """
    value = config.get(key)
    value = default if value is None else value
    most = LARGEST[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
        raise CheckpointError(
            f"{layout.GPT_CONFIG}: {key}: found {brief(value)}, expected a positive integer of at "
            f"most {most}"
        )
    return value


def _positive(config: dict[str, Any], key: str, default: float) -> float:
    value = config.get(key)
    value = default if value is None else value
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e12:
        raise CheckpointError(
            f"{layout.GPT_CONFIG}: {key}: found {brief(value)}, expected a positive number"
        )
    return float(value)


def rope_theta(config: dict[str, Any]) -> float:
    """``rope_theta`` stands at the top up to transformers 4, in ``rope_parameters`` since 5."""
    nested = config.get("rope_parameters")
    if config.get("rope_theta") is None and isinstance(nested, dict):
        config = nested
    return _positive(config, "rope_theta", LLAMA_ROPE_THETA)


def rms_norm_eps(config: dict[str, Any]) -> float:
    """Return the epsilon of the norms."""
    return _positive(config, "rms_norm_eps", LLAMA_RMS_NORM_EPS)


def max_positions(config: dict[str, Any]) -> int:
    """Return the number of positions, prompt included."""
    return count(config, "max_position_embeddings", LLAMA_MAX_POSITIONS)
