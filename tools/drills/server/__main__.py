"""Try to break the server: ``python -m tools.drills.server``, some 10 minutes on 2 cores.

Writes ``reports/reliability/server.json``.  ``--only NAME`` runs one drill and replaces its row.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.core.command import command
from tools.drills.record import Promise, merge_record, write_record
from tools.drills.server import (
    budgets,
    connections,
    contract,
    growth,
    hostile,
    life,
    overload,
    privacy,
    texts,
)
from tools.drills.server.target import build_bundle

# The full counts; tests call the same functions with smaller ones.
DRILLS: dict[str, Callable[[Path], Promise]] = {
    "slow-readers": lambda bundle: connections.slow_readers(bundle, 32, 20),
    "half-open": lambda bundle: connections.half_open(bundle, 256),
    "slowloris": lambda bundle: connections.slowloris(bundle, 256),
    "leavers": lambda bundle: connections.leavers(bundle, 512),
    "overload": lambda bundle: overload.overload(bundle, 4_000, 2_000),
    "malformed": lambda bundle: hostile.malformed(bundle, 10_000),
    "huge": hostile.huge,
    "contract": lambda bundle: contract.described(bundle, 60),
    "texts": lambda bundle: texts.planes(bundle, 256),
    "growth": lambda bundle: growth.growth(bundle, 10_000, 1_000),
    "keys": privacy.wrong_keys,
    "logs": privacy.logs,
    "uploads": lambda bundle: budgets.uploads(bundle, 100),
    "idle": lambda bundle: budgets.idle(bundle, 1300),
    "shares": lambda bundle: budgets.shares(bundle, 16),
    "queued": lambda bundle: budgets.queued(bundle, 12),
    "signals": lambda bundle: life.signals(bundle, 16),
    "left-behind": lambda bundle: life.left_behind(bundle, 5),
    "exchanged": lambda bundle: life.exchanged(bundle, 10),
    "verified": lambda _: life.verified(),
}


@command("drills")
def main(arguments: list[str] | None = None) -> int:
    """Entry point: 0 when every promise held, 1 when one was broken, 2 for an error."""
    parser = argparse.ArgumentParser(description="Try to break the server.")
    parser.add_argument("--only", choices=DRILLS, help="run one, and replace its row")
    options = parser.parse_args(arguments)
    rows = _run([options.only] if options.only else list(DRILLS))
    print((merge_record if options.only else write_record)("server", rows))
    return int(any(row.broken for row in rows))


def _run(names: list[str]) -> list[Promise]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bundle = build_bundle(Path(folder) / "bundle")
        for name in names:
            began = time.monotonic()
            rows.append(DRILLS[name](bundle))
            seen = f"{rows[-1].broken} broken of {rows[-1].count:,} {rows[-1].unit}"
            spent = time.monotonic() - began
            print(f"{name}: {seen}, {spent:.0f} s", file=sys.stderr, flush=True)
            if rows[-1].broken:
                print(f"  {rows[-1].result}", file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
