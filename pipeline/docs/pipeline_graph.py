"""The stages of ``dvc.yaml`` and which needs which."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Stage:
    """One stage as ``dvc.yaml`` describes it.

    Attributes:
        name: its name.
        about: its description.
        command: what runs it.
        params: keys of ``params.yaml`` whose change re-runs it, tool versions left out.
        tools: distributions whose versions re-run it.
        inputs: files and folders of other stages, and data.
        code: what it is made of.
        outputs: what it writes.
    """

    name: str
    about: str
    command: str
    params: tuple[str, ...]
    tools: tuple[str, ...]
    inputs: tuple[str, ...]
    code: tuple[str, ...]
    outputs: tuple[str, ...]


def read_stages(root: Path) -> list[Stage]:
    """The stages in the order of the file."""
    described = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return [_stage(name, entry.get("do", entry)) for name, entry in described.items()]


def needs(stages: list[Stage]) -> dict[str, set[str]]:
    """The stages whose outputs each one reads, without those that another of them needs anyway."""
    direct = {
        stage.name: {
            other.name
            for other in stages
            if other.name != stage.name and _reads(stage.inputs, other.outputs)
        }
        for stage in stages
    }
    return {
        name: {one for one in found if not any(one in _all(two, direct) for two in found)}
        for name, found in direct.items()
    }


def mermaid(stages: list[Stage]) -> str:
    """The graph as a picture that GitHub draws; stages with the same needs share a line."""
    together: dict[tuple[str, ...], list[str]] = {}
    for name, needed in needs(stages).items():
        key = tuple(stage.name for stage in stages if stage.name in needed)
        together.setdefault(key, []).append(name)
    lines = [
        f"  {' & '.join(needed)} --> {' & '.join(names)}"
        for needed, names in together.items()
        if needed
    ]
    return "\n".join(["```mermaid", "flowchart LR", *lines, "```"])


def _reads(inputs: tuple[str, ...], outputs: tuple[str, ...]) -> bool:
    """Whether an output is an input, or lies in a folder that is one."""
    return any(out == path or out.startswith(f"{path}/") for path in inputs for out in outputs)


def _all(name: str, direct: dict[str, set[str]]) -> set[str]:
    found = set(direct[name])
    for one in direct[name]:
        found |= _all(one, direct)
    return found


def _stage(name: str, entry: dict[str, Any]) -> Stage:
    written = [*entry.get("outs", []), *entry.get("metrics", []), *entry.get("plots", [])]
    deps = [str(path) for path in entry["deps"]]
    code = [path for path in deps if re.match(r"(pipeline|chattts_onnx)(/|$)", path)]
    keys = [str(key) for key in entry.get("params", [])]
    tools = [key.removeprefix("tools.") for key in keys if key.startswith("tools")]
    return Stage(
        name=name,
        about=entry["desc"],
        command=entry["cmd"],
        params=tuple(key for key in keys if not key.startswith("tools")),
        tools=tuple("all" if tool == "tools" else tool for tool in tools),
        inputs=tuple(path for path in deps if path not in code),
        code=tuple(code),
        outputs=tuple(path if isinstance(path, str) else next(iter(path)) for path in written),
    )
