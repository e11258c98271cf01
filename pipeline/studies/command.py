"""What the commands of this package without options of their own do around their work."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.config import Params, load_params
from pipeline.core.command import command


def workspace_command(
    name: str,
    description: str | None,
    run: Callable[[Params, Path], None],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run ``run`` in the current folder (the workspace, which holds ``params.yaml``).

    Returns:
        Exit status; see :func:`pipeline.core.command.command`.
    """
    argparse.ArgumentParser(prog=name, description=description).parse_args(arguments)

    @command(name)
    def main() -> int:
        run(load_params(Path.cwd() / "params.yaml"), Path.cwd())
        return 0

    return main()
