"""Compose ``conf/`` into ``params.yaml``: ``python -m pipeline.compose [override …]``.

DVC reads ``params.yaml`` and knows nothing of Hydra outside ``dvc exp run``, so the composed file
is kept in git.  The same ``conf/`` and overrides give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline.core.atomic import write_text
from pipeline.core.command import command
from pipeline.params import compose_params, render


def stale(path: Path, text: str) -> bool:
    """Whether ``path`` is not what ``conf/`` composes to now."""
    return not path.is_file() or path.read_text(encoding="utf-8") != text


@command("compose")
def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit status 1 when ``--check`` finds a stale file, 2 for an error."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.compose", description=__doc__)
    parser.add_argument("overrides", nargs="*", metavar="override", help="checkpoint=…, a.b=…")
    parser.add_argument("--output", type=Path, default=Path("params.yaml"))
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    options = parser.parse_args(arguments)
    text = render(compose_params(options.overrides), options.overrides)
    if not stale(options.output, text):
        return 0
    if options.check:
        print(f"{options.output} is stale; run `make params`", file=sys.stderr)
        return 1
    write_text(options.output, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
