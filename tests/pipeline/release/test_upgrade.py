"""One command changes a tool's version everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.core.tools import installed_version
from pipeline.release import upgrade
from tests.pipeline.release.conftest import ROOT


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for name in (upgrade.CONF.as_posix(), *upgrade.PINS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", yaml.safe_load((ROOT / upgrade.CONF).read_text()))
def test_one_command_changes_a_version_everywhere(sources: Path, name: str) -> None:
    before = installed_version(name)
    assert before is not None
    changed = upgrade.upgrade(sources, name, "99.1.0")
    assert "conf/tools/default.yaml" in changed and "pyproject.toml" in changed
    text = "".join((sources / place).read_text() for place in changed)
    assert f"{name}=={before}" not in text
    assert yaml.safe_load((sources / upgrade.CONF).read_text())[name] == "99.1.0"
    others = (sources / upgrade.CONF).read_text().count("99.1.0")
    assert others == 1
    assert upgrade.upgrade(sources, name, "99.1.0") == []


def test_both_builds_of_onnxruntime_are_changed_together(sources: Path) -> None:
    upgrade.upgrade(sources, "onnxruntime", "99.1.0")
    assert "onnxruntime==99.1.0" in (sources / "requirements/cpu.in").read_text()
    assert "]==99.1.0" in (sources / "requirements/gpu.in").read_text()


@pytest.mark.parametrize(("name", "version"), [("numpi", "1.0"), ("numpy", "latest")])
def test_an_unknown_tool_or_version_is_refused(
    sources: Path, monkeypatch: pytest.MonkeyPatch, name: str, version: str
) -> None:
    monkeypatch.chdir(sources)
    assert upgrade.main([name, version]) == 2
