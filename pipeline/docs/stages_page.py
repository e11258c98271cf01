"""``docs/reference/stages.md``: the stages of ``dvc.yaml`` and the targets of the Makefile."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.docs.markdown import code, table
from pipeline.docs.pipeline_graph import Stage, mermaid, read_stages

_ABOUT = """`dvc repro` runs the stages whose code, parameters, tools or inputs changed; each is a
command by itself, run in the folder that holds `params.yaml`. A stage that is killed leaves nothing
that looks finished. Edges that follow from others are left out of the picture."""
_TARGET = re.compile(r"^([a-z-]+):.*?## (.*)$", re.MULTILINE)


def render(root: Path) -> str:
    """The page's Markdown, from ``root``/dvc.yaml and ``root``/Makefile."""
    stages = read_stages(root)
    blocks = ["# Stages and targets", _ABOUT, mermaid(stages)]
    for stage in stages:
        blocks += _stage(stage)
    rows = [(code(f"make {name}"), about) for name, about in make_targets(root).items()]
    return "\n\n".join([*blocks, "## Targets of the Makefile", table(("target", "what"), rows)])


def make_targets(root: Path) -> dict[str, str]:
    """What ``make help`` lists."""
    return dict(_TARGET.findall((root / "Makefile").read_text(encoding="utf-8")))


def _stage(stage: Stage) -> list[str]:
    rows = [
        ("reads", stage.inputs),
        ("writes", stage.outputs),
        ("parameters", stage.params),
        ("tools", stage.tools),
        ("code", stage.code),
    ]
    cells = [(name, ", ".join(map(code, found))) for name, found in rows if found]
    about = f"{stage.about[0].upper()}{stage.about[1:]}. `{stage.command}`"
    return [f"## `{stage.name}`", about, table(("", ""), cells)]
