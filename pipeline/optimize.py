"""One checkpoint, one precision: ``python -m pipeline.optimize CHECKPOINT --out FOLDER``.

The stages of ``dvc.yaml`` that lead to the bundle run in a workspace of their own, so that what one
precision has made (export, fusion, calibration) is there for the next. Nothing is judged or timed:
``make repro`` does that.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.core.atomic import output_directory
from pipeline.core.command import command
from pipeline.core.errors import ConfigError, require_one_of
from pipeline.workspace import REPOSITORY, prepare

STAGES = {"fp32": "fuse", **{name: f"quantize@{name}" for name in ("fp16", "int8", "w8", "w4")}}
"""The stage that writes each precision's bundle."""

MANIFEST = "manifest.json"
_STDERR = 2


def optimize(
    checkpoint: str | Path,
    out: str | Path,
    precision: str = "int8",
    overrides: Sequence[str] = (),
) -> Path:
    """Make the bundle of one precision from a checkpoint.

    Args:
        checkpoint: the name of a configuration in ``conf/checkpoint`` (``mini``, ``chattts``, …),
            or a folder in the official layout (``./mini`` is a folder).
        out: the bundle's folder; one that holds a bundle is replaced.
        precision: one of :data:`STAGES`.
        overrides: of ``conf/``, such as ``precision.int8.calibrator=percentile``.

    Returns:
        The folder, which ``chattts_onnx.open_bundle`` opens.

    Raises:
        ConfigError: an argument is wrong, or a stage failed, which has said why.
        StorageError: there is no room for ``out``, or no permission; told before the stages run.
    """
    require_one_of("precision", precision, STAGES)
    target = Path(out).absolute()
    if target.exists() and not (target / MANIFEST).is_file() and not _empty(target):
        raise ConfigError(f"{out}: found something that is no bundle, expected a new folder")
    name, chosen = _select(checkpoint)
    with output_directory(target) as folder:
        workspace = prepare(f"optimize-{name}", [*chosen, *overrides])
        stage = [sys.executable, "-m", "pipeline.repro", STAGES[precision]]
        # What it says goes to stderr: the command's own answer is the folder.
        if subprocess.run(stage, cwd=workspace, check=False, stdout=_STDERR).returncode:
            raise ConfigError(f"{checkpoint}: found no way to a bundle, a stage has said why above")
        shutil.copytree(workspace / "bundles" / precision, folder, dirs_exist_ok=True)
    return target


def _empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _select(checkpoint: str | Path) -> tuple[str, list[str]]:
    """Name of the workspace, and the overrides that choose the checkpoint."""
    folder = REPOSITORY / "conf" / "checkpoint"
    known = sorted({p.stem for p in folder.glob("*.yaml")} - {"local"})
    # A name comes first: where the repository lies, `mini` is a folder as well.
    if str(checkpoint) in known:
        return str(checkpoint), [f"checkpoint={checkpoint}"]
    path = Path(checkpoint)
    if path.is_dir():
        return "local", ["checkpoint=local", f"checkpoint.path={path.resolve()}"]
    raise ConfigError(
        f"checkpoint: found {str(checkpoint)!r}, expected a folder or one of {', '.join(known)}"
    )


@command("optimize")
def main(arguments: list[str] | None = None) -> int:
    """Entry point: print the bundle's folder; exit status 2 for an error."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.optimize", description=__doc__)
    parser.add_argument("checkpoint", help="a name of conf/checkpoint, or a folder")
    parser.add_argument("--precision", choices=STAGES, default="int8", help="default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("overrides", nargs="*", metavar="override", help="a.b=… of conf/")
    options = parser.parse_intermixed_args(arguments)
    print(optimize(options.checkpoint, options.out, options.precision, options.overrides))
    return 0


if __name__ == "__main__":
    sys.exit(main())
