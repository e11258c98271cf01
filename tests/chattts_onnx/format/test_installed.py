"""Bundles that pip installed are found by name, or alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chattts_onnx import InputError, cli, open_bundle
from chattts_onnx.format.installed import find_bundle, installed_bundles
from chattts_onnx.serve.settings import gather


def install(site: Path, bundle: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What pip leaves of a data wheel; importing its package fails, for nobody should."""
    package = site / f"data_{name}"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError")
    (package / "bundle").symlink_to(bundle)
    info = site / f"data_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: data-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[chattts_onnx.bundles]\n{name} = data_{name}\n")
    if str(site) not in sys.path:
        monkeypatch.syspath_prepend(str(site))
    return package / "bundle"


def test_the_one_that_is_installed_needs_no_name(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHATTTS_BUNDLE", raising=False)
    folder = install(tmp_path, bundle_path, "alone", monkeypatch)
    assert installed_bundles() == {"alone": folder}
    assert find_bundle() == find_bundle("alone") == folder
    assert open_bundle().say("hello", seed=1).size
    out = tmp_path / "out.wav"
    assert cli.main(["say", "hello", "-o", str(out), "--max-new-tokens", "4"]) == 0
    assert out.stat().st_size > 44
    assert gather([], {}, {}, None).bundles == {"alone": folder}
    # What is named goes before what is installed.
    monkeypatch.setenv("CHATTTS_BUNDLE", str(bundle_path))
    assert find_bundle() == bundle_path and find_bundle(tmp_path) == tmp_path


def test_two_have_to_be_told_apart(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHATTTS_BUNDLE", raising=False)
    for name in ("one", "two"):
        install(tmp_path, bundle_path, name, monkeypatch)
    with pytest.raises(InputError, match="installed are one, two"):
        find_bundle()
    assert find_bundle("two").parent.name == "data_two"


def test_nothing_installed_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHATTTS_BUNDLE", raising=False)
    with pytest.raises(InputError, match="pip install chattts-onnx-mini"):
        find_bundle()
