"""``docs/reference/configuration.md``: every group, option and key of ``conf/``."""

from __future__ import annotations

from pathlib import Path

from pipeline.docs.comments import Commented, read_commented
from pipeline.docs.markdown import code, table

_ABOUT = """Hydra composes `conf/` into `params.yaml` (`make params`), which DVC reads. Another
option or value is chosen as `make repro OVERRIDES='GROUP=OPTION key.path=value'`, or for one DVC
experiment with `dvc exp run --set-param key.path=value`. What does not fit its
dataclass is refused, with the key's path. `???` has to be given; `${…}` takes the
value of another key."""


def render(root: Path) -> str:
    """The page's Markdown, from the files in ``root``/conf."""
    conf = root / "conf"
    groups: dict[str, list[Path]] = {}
    for path in sorted(conf.rglob("*.yaml")):
        groups.setdefault(path.parent.relative_to(conf).as_posix(), []).append(path)
    top = read_commented(groups.pop(".")[0])
    blocks = ["# Configuration", _ABOUT, "## `config.yaml`", top.head, _keys(top)]
    for group, paths in groups.items():
        blocks.append(f"## `{group}`")
        for path in paths:
            found = read_commented(path)
            link = f"[{path.stem}](../../{path.relative_to(root).as_posix()})"
            blocks += [f"### {group}={link}", found.head, _keys(found)]
    return "\n\n".join(block for block in blocks if block)


def _keys(found: Commented) -> str:
    rows = [
        (
            code(entry.path),
            entry.value if entry.value.startswith("(") else code(entry.value),
            entry.comment,
        )
        for entry in found.entries
    ]
    return table(("key", "value", "what"), rows) if rows else ""
