"""``python -m tools.drills.fuzz``: attack readers and record what came of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.drills.fuzz.campaign import Tally, attack
from tools.drills.fuzz.reader import Reader
from tools.drills.fuzz.readers import ALL
from tools.drills.outcomes import tested
from tools.drills.record import FOLDER, Promise, merge_record

_FAILURES = Path("build/fuzz")


def promise(reader: Reader, tally: Tally) -> Promise:
    """A row of the table for one reader."""
    tried = tally.mutated + tally.guided
    result = (
        f"{tally.refused:,} refused by name, the rest read; slowest input "
        f"{1000 * tally.slowest:,.0f} ms of CPU, memory grew by {tally.growth / 2**20:,.0f} MiB at "
        f"most; {tally.branches:,} branches reached"
    )
    if tally.failures:
        result = f"{'; '.join(tally.failures)}; {result}"
    return Promise(
        area="files",
        promise=f"{reader.what}: any bytes are read or refused by name, within "
        f"{reader.seconds:.0f} s of CPU and {reader.memory >> 20} MiB",
        tried=f"`python -m tools.drills.fuzz --reader {reader.name}`: {tally.mutated:,} mutated, "
        f"{tally.guided:,} coverage-guided",
        count=tried,
        unit="inputs",
        broken=len(tally.failures),
        result=result,
    )


def main() -> int:
    """Entry point; exit status 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tools.drills.fuzz", description=__doc__)
    parser.add_argument(
        "--reader",
        action="append",
        choices=sorted(ALL),
        help="default: all, and what no input can show",
    )
    parser.add_argument("--inputs", type=int, default=100_000, help="for each reader")
    parser.add_argument("--guided", type=float, default=0.3, help="part bred by coverage")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--failures", type=Path, default=_FAILURES, help="inputs that failed")
    parser.add_argument("--records", type=Path, default=FOLDER, help="where fuzz.json is written")
    options = parser.parse_args()
    rows = []
    if not options.reader:
        rows.append(
            tested(
                "files",
                "hashes are compared before anything is parsed; no pickle is read, no remote code "
                "trusted, no network asked",
                "tests/test_no_surprises.py",
                "",
                "every call in every module, and speech with all connections refused",
                "all hold",
            )
        )
    merge_record("fuzz", rows, options.records)
    for name in options.reader or ALL:
        reader = ALL[name]
        inputs = -(-options.inputs // reader.cost)
        guided = int(inputs * options.guided)
        tally = attack(reader, inputs - guided, guided, options.seed, options.failures / name)
        rows.append(promise(reader, tally))
        # After each, so that a run that is stopped keeps what it found.
        merge_record("fuzz", rows[-1:], options.records)
        print(f"{name}: {rows[-1].count:,} inputs; {rows[-1].result}", flush=True)
    return int(any(row.broken for row in rows))


if __name__ == "__main__":
    sys.exit(main())
