"""A folder of its own for another checkpoint: ``python -m pipeline.workspace <name> [override …]``.

``workspaces/<name>/`` is a DVC project outside git that links the code, ``conf/`` and ``dvc.yaml``
of the repository and has its own ``params.yaml``, ``dvc.lock``, cache, bundles and reports.  The
repository's own are left alone.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from pipeline.core.atomic import write_text
from pipeline.core.command import command
from pipeline.core.errors import ConfigError
from pipeline.params import compose_params, render

REPOSITORY = Path(__file__).resolve().parents[1]
# What dvc.yaml names as dependencies, and what DVC reads.
LINKED = (
    "calibration_data", "chattts_onnx", "checkpoints", "conf", "dvc.yaml", "native", "pipeline",
    ".dvcignore",
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def prepare(name: str, overrides: list[str], repository: Path = REPOSITORY) -> Path:
    """Create or refresh a workspace and return its folder.

    Raises:
        ConfigError: the name is no plain folder name, or ``conf/`` does not compose.
    """
    if not NAME.fullmatch(name):
        expected = "letters, digits, '_', '-' and '.'"
        raise ConfigError(f"workspace name: found {name!r}, expected {expected}")
    params = render(compose_params(overrides), overrides)
    workspace = repository / "workspaces" / name
    workspace.mkdir(parents=True, exist_ok=True)
    for entry in LINKED:
        _link(workspace / entry, repository / entry)
    if not (workspace / ".dvc" / "config").is_file():
        command = [sys.executable, "-m", "dvc", "init", "--no-scm", "--force", "--quiet"]
        subprocess.run(command, cwd=workspace, check=True)
    _write_if_changed(workspace / ".dvc" / "config", _dvc_config(repository))
    _write_if_changed(workspace / "params.yaml", params)
    return workspace


def _link(link: Path, target: Path) -> None:
    relative = Path(os.path.relpath(target, link.parent))
    if link.is_symlink() and link.readlink() == relative:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(relative)


def _dvc_config(repository: Path) -> str:
    """The repository's DVC settings, without git: DVC refuses a git-ignored ``dvc.yaml``."""
    settings = (repository / ".dvc" / "config").read_text(encoding="utf-8")
    return settings.replace("[core]\n", "[core]\n    no_scm = True\n", 1)


def _write_if_changed(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


@command("workspace")
def main(arguments: list[str] | None = None) -> int:
    """Entry point: print the workspace's folder; exit status 2 for an error."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.workspace", description=__doc__)
    parser.add_argument("name", help="the folder below workspaces/")
    parser.add_argument("overrides", nargs="*", metavar="override", help="checkpoint=…, a.b=…")
    options = parser.parse_args(arguments)
    print(prepare(options.name, options.overrides))
    return 0


if __name__ == "__main__":
    sys.exit(main())
