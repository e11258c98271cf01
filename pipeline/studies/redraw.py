"""Draw the pictures of reports again, from what they hold: ``python -m pipeline.studies.redraw``.

For reports that take long to measure, when the style of pictures changes; ``takes``, which has
none, gets its table anew.  ``python -m pipeline.studies.load report`` draws that of ``load``, which
shows more than its report holds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.benchmark.report import draw_benchmark
from pipeline.config import load_params
from pipeline.core.command import command
from pipeline.core.errors import ConfigError
from pipeline.fidelity.validation_report import draw_validation
from pipeline.report.rows import Report, Rows, read_report
from pipeline.search.search_report import draw_front
from pipeline.sensitivity.heatmap import draw_heat
from pipeline.sensitivity.report import heats
from pipeline.speech.figures import ALL
from pipeline.speech.report import draw_speech
from pipeline.stages.sensitivity import HEADING
from pipeline.stages.speech import TITLE
from pipeline.studies.calibration import draw_study
from pipeline.studies.peer.report import draw_peer
from pipeline.studies.streaming.report import draw_streaming
from pipeline.studies.takes import write_takes

Draw = Callable[[Report], Path]


def pictures() -> dict[str, Draw]:
    """What draws the report of a name, with the lengths of this folder's ``params.yaml``."""
    benchmark = load_params(Path("params.yaml")).benchmark
    of_rows: dict[str, Callable[[Path, Rows], None]] = {
        "benchmark": partial(draw_benchmark, config=benchmark),
        "calibration_study": draw_study,
        "peer": partial(draw_peer, config=benchmark),
        "sensitivity": lambda path, rows: draw_heat(path, HEADING, heats(rows)),
        "speech": _speech,
        "streaming": draw_streaming,
        "validation": draw_validation,
    }
    drawn = {name: partial(_of_rows, draw) for name, draw in of_rows.items()}
    return {**drawn, "search": _search, "takes": _takes}


def _of_rows(draw: Callable[[Path, Rows], None], report: Report) -> Path:
    target = report.path.with_suffix(".png")
    draw(target, report.rows)
    return target


def _search(report: Report) -> Path:
    target = report.path.with_suffix(".png")
    draw_front(target, report.context.get("candidates", []), report.rows)
    return target


def _takes(report: Report) -> Path:
    write_takes(report.path, report.context, report.rows)
    return report.path.with_suffix(".md")


def _speech(path: Path, rows: Rows) -> None:
    """Rows of earlier code know neither languages nor sets."""
    draw_speech(path, TITLE, [{"language": ALL, "set": ALL, **row} for row in rows])


@command("redraw")
def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit status 2 for a report that is missing or has no picture."""
    known = pictures()
    parser = argparse.ArgumentParser(prog="python -m pipeline.studies.redraw", description=__doc__)
    parser.add_argument(
        "reports", nargs="+", type=Path, help=f"JSON; of these names: {', '.join(known)}"
    )
    for report in parser.parse_args(arguments).reports:
        if report.stem not in known:
            raise ConfigError(f"{report}: expected a report of one of these: {', '.join(known)}")
        print(known[report.stem](read_report(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
