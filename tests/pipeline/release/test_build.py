"""What a release holds, and when it may not go out."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chattts_onnx.archive.fetch import Fetch, fetch
from chattts_onnx.archive.folder import checked_parts, extract_archive
from chattts_onnx.format.manifest import Manifest
from pipeline.core.errors import PipelineError, ReleaseError
from pipeline.release import publish
from pipeline.release.build import build_release
from pipeline.release.config import ReleaseConfig
from pipeline.release.licences import weights_licence
from pipeline.release.triton.config import TritonConfig
from tests.pipeline.release.conftest import VARIANTS, edit_checkpoint, write_report

CONFIG = ReleaseConfig(list(VARIANTS), part_bytes=100_000, rules=[], wheel="int8")
TOOLS = {"numpy": "2.4.6", "onnx": "1.23.2"}


def build(workspace: Path, name: str = "dist") -> Path:
    folder = workspace / name
    folder.mkdir()
    build_release(workspace, CONFIG, TOOLS, folder)
    return folder


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_a_release_is_complete_and_its_archives_repeat(workspace: Path) -> None:
    dist = build(workspace)
    index = read(dist, "release.json")
    assert set(index["archives"]) == {*VARIANTS, "wheel"}
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=dist, check=True)
    listed = {line.split("  ")[1] for line in (dist / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in dist.iterdir()} - {"SHA256SUMS"}
    # an archive above part_bytes is split
    assert len(index["archives"]["int8"]["files"]) > 1
    target, info = fetch(str(dist), workspace / "fetched", Fetch(variant="int8"))
    assert info.manifest == Manifest.load(workspace / "bundles/int8") == Manifest.load(target)
    again = build(workspace, "again")
    for entry in index["archives"].values():
        for name in entry["files"]:
            assert (dist / name).read_bytes() == (again / name).read_bytes()


def test_the_card_says_what_was_measured(workspace: Path) -> None:
    card = (build(workspace) / "README.md").read_text(encoding="utf-8")
    assert "| int8 | 1.0 | 50.0 |" in card
    assert "random weights" in card
    assert "2 cores (avx2)" in card
    assert "| int8 | kl_divergence | all | 0.01 | ≤ 0.05 | kept |" in card
    assert "code: Apache-2.0" in card
    assert "Intelligibility was not measured" in card
    assert "Not for commercial use" not in card


def test_provenance_names_the_archives_and_what_they_came_from(workspace: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=workspace, check=True)
    (workspace / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  export: {cmd: x}\n  release: {cmd: y}\n"
    )
    dist = build(workspace)
    origin = read(dist, "provenance.json")
    for subject in origin["subject"]:
        found = hashlib.sha256((dist / subject["name"]).read_bytes()).hexdigest()
        assert subject["digest"]["sha256"] == found
    wanted = origin["predicate"]["buildDefinition"]["resolvedDependencies"]
    names = {entry.get("name") or entry["uri"] for entry in wanted}
    assert {"source", "params.yaml", "dvc.lock", "pkg:pypi/onnx@1.23.2"} <= names
    lock = next(entry for entry in wanted if entry.get("name") == "dvc.lock")
    (workspace / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  export: {cmd: x}\n  release: {cmd: other}\n"
    )
    again = read(build(workspace, "again"), "provenance.json")
    assert lock in again["predicate"]["buildDefinition"]["resolvedDependencies"]


def test_the_sbom_keeps_the_standard(workspace: Path) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    text = (build(workspace) / "sbom.cdx.json").read_text(encoding="utf-8")
    validator = validation.JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    components = {entry["name"]: entry for entry in json.loads(text)["components"]}
    assert components["tiny-int8"]["type"] == "machine-learning-model"
    assert components["onnxruntime"]["scope"] == "required"
    # found through the requirements of another one
    assert "protobuf" in components
    assert components["onnx"]["scope"] == "excluded"


def test_a_triton_repository_is_packed_with_them(workspace: Path) -> None:
    config = ReleaseConfig(["int8"], 1 << 30, [], TritonConfig(variant="int8"))
    made = []
    for name in ("dist", "again"):
        (workspace / name).mkdir()
        build_release(workspace, config, TOOLS, workspace / name)
        made.append(next((workspace / name).glob("*-triton.tar")))
    dist = workspace / "dist"
    assert made[0].read_bytes() == made[1].read_bytes()
    assert read(dist, "release.json")["archives"]["triton"]["bundle"] is False
    extract_archive(checked_parts(made[0]), workspace / "out")
    assert (workspace / "out/chattts/config.pbtxt").is_file()
    assert Manifest.load(workspace / "out/chattts/1/bundle").variant
    assert publish.main([str(dist)]) == 0


def test_bundles_and_reports_have_to_be_of_one_checkpoint(workspace: Path) -> None:
    edit_checkpoint(workspace / "bundles/int8", revision="other")
    with pytest.raises(ReleaseError, match="bundle int8 is of checkpoint"):
        build(workspace)


def test_reports_have_to_be_there(workspace: Path) -> None:
    (workspace / "reports/benchmark.json").unlink()
    with pytest.raises(PipelineError, match=r"benchmark\.json: found no report"):
        build(workspace)


def test_speech_is_in_the_card_where_it_was_measured(workspace: Path) -> None:
    speech = {"variant": "int8", "metric": "word_error_rate", "value": 4.5, "unit": "%"}
    write_report(workspace, "speech", [speech])
    card = (build(workspace) / "README.md").read_text(encoding="utf-8")
    assert "| int8 | 4.5 |" in card
    assert "Intelligibility was not measured" not in card


@pytest.mark.parametrize(
    ("licence", "allowed", "with_flag"),
    [
        ("none (random weights)", True, True),
        ("CC0-1.0", True, True),
        ("CC BY 4.0", True, True),
        ("CC BY-NC 4.0", False, True),
        ("cc-by-nc-sa-4.0", False, True),
        ("for research use only", False, True),
        ("unknown (that of the folder's weights)", False, False),
        ("", False, False),
    ],
)
def test_licences_decide_what_goes_out(
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
    licence: str,
    allowed: bool,
    with_flag: bool,
) -> None:
    for variant in VARIANTS:
        edit_checkpoint(workspace / "bundles" / variant, license=licence)
    dist = build(workspace)
    assert (publish.main([str(dist)]) == 0) is allowed
    assert (publish.main([str(dist), "--allow-non-commercial"]) == 0) is with_flag
    card = (dist / "README.md").read_text(encoding="utf-8")
    assert ("Not for commercial use" in card) is weights_licence(
        {"license": licence}
    ).non_commercial
    assert ("license: other" in card) is not allowed
    if not allowed:
        assert "ReleaseError" in capsys.readouterr().err


def test_a_tag_has_to_be_of_this_version_and_a_clean_tree(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    (workspace / ".gitignore").write_text("dist/\nbundles/\n")
    (workspace / "code.py").write_text("1")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a"]):
        subprocess.run([*run, *command], cwd=workspace, check=True)
    (workspace / "reports/benchmark.md").write_text("results may differ")
    dist = build(workspace)
    assert publish.main([str(dist), "--tag", "v0.1.0"]) == 0
    assert publish.main([str(dist), "--tag", "v9.0.0"]) == 2
    assert "expected v0.1.0" in capsys.readouterr().err
    shutil.rmtree(dist)
    (workspace / "code.py").write_text("2")
    dist = build(workspace)
    assert publish.main([str(dist), "--tag", "v0.1.0"]) == 2
    assert "changes in code.py" in capsys.readouterr().err


def test_a_damaged_release_is_not_published(workspace: Path) -> None:
    dist = build(workspace)
    with next(dist.glob("*int8.tar*")).open("ab") as stream:
        stream.write(b"1")
    assert publish.main([str(dist)]) == 2
