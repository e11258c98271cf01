"""Never another value: what is typed can be read back from what is spoken.

``python -m tools.drills.spoken_values [--count 100000] [KIND ...]`` makes so many texts a kind, by
a seed, and reads each one's speech back with the inverse of the number rules.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from chattts_onnx.text import TextOptions, normalize
from tools.drills.record import Promise, merge_record
from tools.drills.spoken_cases import KINDS, Case, Draw


def failures(kind: str, count: int, seed: int, backend: str = "auto") -> Iterator[tuple[Case, str]]:
    """The cases of a kind whose speech says something else, with what it says."""
    draw, options = Draw(f"{kind} {seed}"), TextOptions(backend=backend)  # type: ignore[arg-type]
    for _ in range(count):
        case = KINDS[kind](draw)
        spoken = normalize(case.typed, options).text
        if not case.right(spoken):
            yield case, spoken


def promise(kind: str, count: int, broken: int) -> Promise:
    """A row of the table for one kind."""
    return Promise(
        area="text",
        promise=f"{kind}: no text says another value",
        tried=f"`python -m tools.drills.spoken_values {kind}`: drawn texts of both languages, each "
        f"read back ({KINDS[kind].__doc__})",
        count=count,
        unit="texts",
        broken=broken,
        result=f"{broken} say another value",
    )


def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit status 1 when something says another value."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.drills.spoken_values", description=__doc__
    )
    parser.add_argument(
        "kinds", nargs="*", choices=[[], *KINDS], metavar="KIND", help=", ".join(KINDS)
    )
    parser.add_argument("--count", type=int, default=100_000, help="texts a kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=("auto", "rules"), default="auto")
    parser.add_argument("--records", type=Path, help="folder in which values.json is written")
    options = parser.parse_args(arguments)
    total = 0
    for kind in options.kinds or KINDS:
        found = list(failures(kind, options.count, options.seed, options.backend))
        total += len(found)
        print(f"{kind}: {options.count} texts, {len(found)} say another value", flush=True)
        for case, spoken in found[:10]:
            print(f"   {case.typed!r} -> {spoken!r}")
        if options.records:
            merge_record("values", [promise(kind, options.count, len(found))], options.records)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
