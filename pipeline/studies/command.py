"""What the commands of this package without options of their own do around their work."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from chattts_onnx.errors import ChatTTSError
from pipeline.config import Params, load_params

EXIT_USER_ERROR = 2


def workspace_command(
    name: str,
    description: str | None,
    run: Callable[[Params, Path], None],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run ``run`` in the current folder (the workspace, which holds ``params.yaml``).

    Returns:
        Exit status: 0, or 2 with a message on stderr for a named error.
    """
    argparse.ArgumentParser(prog=name, description=description).parse_args(arguments)
    workspace = Path.cwd()
    try:
        run(load_params(workspace / "params.yaml"), workspace)
    except ChatTTSError as error:
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    return 0
