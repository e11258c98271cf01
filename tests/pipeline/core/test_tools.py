from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from pipeline.core import tools
from pipeline.core.errors import ConfigError
from pipeline.core.tools import check_tools, installed_version

ROOT = Path(__file__).resolve().parents[3]
PINS = yaml.safe_load((ROOT / "conf/tools/default.yaml").read_text(encoding="utf-8"))


def test_a_local_build_counts_as_its_version() -> None:
    version = metadata.version("torch").partition("+")[0]
    assert installed_version("torch") == version
    assert installed_version("no-such-distribution") is None


def test_the_gpu_build_counts_as_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "onnxruntime-gpu":
            return "1.31.1"
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tools.metadata, "version", version)
    check_tools({"onnxruntime": "1.31.1"})


def test_every_difference_is_named() -> None:
    numpy = metadata.version("numpy")
    with pytest.raises(ConfigError) as caught:
        check_tools({"numpy": "0.1", "onnx": metadata.version("onnx"), "absent": "1"})
    message = str(caught.value)
    assert f"tools.numpy: found {numpy}, expected 0.1" in message
    assert "tools.absent: found no such package, expected 1" in message
    assert "tools.onnx:" not in message


def test_this_environment_is_the_pinned_one() -> None:
    check_tools(PINS)


@pytest.mark.parametrize("name", sorted(PINS))
def test_pins_are_the_same_everywhere(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"{name}=={PINS[name]}" in project["optional-dependencies"]["build"]
    locked = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "requirements").glob("*.txt")
    )
    pattern = rf"^{re.escape(name)}(?:-gpu\[cuda,cudnn\])?==(.+)$"
    assert set(re.findall(pattern, locked, re.MULTILINE | re.IGNORECASE)) == {PINS[name]}


def test_locked_versions_are_the_declared_ones() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    locked = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "requirements").glob("*.txt")
    )
    known = {line.lower().replace("_", "-") for line in locked.splitlines()}
    pins = [pin for extra in extras.values() for pin in extra]
    declared = {re.sub(r"\[.*\]", "", pin).lower().replace("_", "-") for pin in pins}
    assert declared <= known
