"""Change one tool's version everywhere it is written.

``python -m pipeline.release.upgrade NAME VERSION``.  A version stands in ``conf/tools`` (DVC
re-runs what depends on it), in ``pyproject.toml`` and in ``requirements/``.  Then: ``make lock``
(what else it needs, and hashes), ``make repro`` and ``dvc metrics diff``.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from pipeline.core.atomic import write_text
from pipeline.core.command import command
from pipeline.core.errors import ConfigError

CONF = Path("conf/tools/default.yaml")
PINS = (
    "pyproject.toml",
    "requirements/torch.txt",
    "requirements/cpu.in",
    "requirements/gpu.in",
)
VERSION = re.compile(r"[0-9]+(\.[0-9]+)*((a|b|rc|\.post|\.dev)[0-9]+)?")


def upgrade(root: Path, name: str, version: str) -> list[str]:
    """Write ``version`` wherever ``name`` is pinned below ``root``; return the files changed.

    Raises:
        ConfigError: the tool is not one of ``conf/tools``, or that is no version.
    """
    if not VERSION.fullmatch(version):
        raise ConfigError(f"version: found {version!r}, expected one such as 1.32.0")
    conf = root / CONF
    entry = re.compile(rf'^({re.escape(name)}: )"[^"]*"', re.M)
    text, count = entry.subn(rf'\g<1>"{version}"', conf.read_text(encoding="utf-8"))
    if count != 1:
        known = re.findall(r"^([a-z][\w-]*):", conf.read_text(encoding="utf-8"), re.M)
        raise ConfigError(f"{CONF}: found no {name!r}, expected one of {', '.join(known)}")
    changed = _replace(conf, text)
    # `onnxruntime==` is also the start of `onnxruntime-gpu[cuda]==` for the other build
    pin = re.compile(rf"(^|[\s\"])({re.escape(name)}(-gpu)?(\[[\w,]+\])?==)[^\s\",;]+", re.M)
    for place in PINS:
        path = root / place
        if path.is_file():
            found = path.read_text(encoding="utf-8")
            changed += _replace(path, pin.sub(rf"\g<1>\g<2>{version}", found))
    return [path.relative_to(root).as_posix() for path in changed]


def _replace(path: Path, text: str) -> list[Path]:
    if path.read_text(encoding="utf-8") == text:
        return []
    write_text(path, text)
    return [path]


@command("upgrade", OSError)
def main(arguments: list[str] | None = None) -> int:
    """Entry point: list the files that were changed."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.release.upgrade", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("name", help="a distribution of conf/tools, such as onnxruntime")
    parser.add_argument("version", help="exact version, such as 1.32.0")
    given = parser.parse_args(arguments)
    for path in upgrade(Path.cwd(), given.name, given.version):
        print(path)
    print("next: make lock && make repro && dvc metrics diff")
    return 0


if __name__ == "__main__":
    sys.exit(main())
