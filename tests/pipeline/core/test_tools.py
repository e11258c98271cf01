from __future__ import annotations

import re
import tomllib
from importlib import metadata
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from pipeline.core import tools
from pipeline.core.errors import ConfigError
from pipeline.core.tools import check_tools, installed_version

ROOT = Path(__file__).resolve().parents[3]
_DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, BUILD = _DECLARED["project"], _DECLARED["build-system"]
LOCKED = "\n".join(
    path.read_text(encoding="utf-8") for path in (ROOT / "requirements").glob("*.txt")
)
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
    assert f"{name}=={PINS[name]}" in PROJECT["optional-dependencies"]["build"]
    pattern = rf"^{re.escape(name)}(?:-gpu)?(?:\[cuda,cudnn\])?==([^\s;]+)"
    assert set(re.findall(pattern, LOCKED, re.MULTILINE | re.IGNORECASE)) == {PINS[name]}


def test_locked_versions_are_the_declared_ones() -> None:
    extras = PROJECT["optional-dependencies"]
    known = {line.lower().split(" ")[0] for line in LOCKED.splitlines()}
    pins = [pin.split(" ")[0] for extra in extras.values() for pin in extra]
    declared = {re.sub(r"\[.*\]", "", pin).lower().replace("_", "-") for pin in pins}
    assert declared <= known


HASHED = ("build", "cpu", "gpu", "lock", "pipeline", "serve")
LOCKS = [
    *(f"requirements/{name}.txt" for name in HASHED),
    "peer/requirements.txt",
    "triton_server/requirements.txt",
    "triton_server/server.txt",
]


def locked(name: str) -> dict[str, str]:
    """Package -> version of a lock."""
    text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_a_lock_has_its_hashes(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.partition("make lock\n")[2].strip())
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==\S+( ; .+)? \\\n    --hash=sha256:[0-9a-f]{64}", entry), entry


def test_locks_agree() -> None:
    whole = locked("lock") | locked("cpu") | locked("gpu")
    # CMake and its like build packages, and are in no other lock.
    whole = locked("build") | whole
    for name in HASHED:
        assert locked(name).items() <= whole.items(), name
    # A lock is installed without looking at what its packages need.
    assert {"fastapi", "tokenizers", "uvicorn"} <= set(locked("serve"))
    assert not {"torch", "onnx", "dvc", "mlflow"} & set(locked("serve"))
    assert {"dvc", "onnx", "sympy"} <= set(locked("pipeline"))
    assert "torch" not in whole


def test_torch_finds_what_it_needs_in_the_lock() -> None:
    needs = [Requirement(text) for text in requires("torch") or []]
    plain = {
        str(n) for n in needs if n.marker is None and not re.match("nvidia|triton|cuda", n.name)
    }
    given = (ROOT / "requirements/torch.in").read_text(encoding="utf-8").splitlines()
    assert {line for line in given if not line.startswith("#")} == {p.lower() for p in plain}


def test_the_build_backend_is_the_locked_one() -> None:
    assert BUILD["requires"] == [f"setuptools=={locked('lock')['setuptools']}"]


def test_what_documentation_installs_is_what_there_is() -> None:
    """``pip install`` lines name this distribution with its extras, or one that it builds."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    found = [
        (name, extras)
        for page in pages
        for line in re.findall(r"pip install (.*)", page.read_text(encoding="utf-8"))
        for name, extras in re.findall(r"(?<![\w/])(chattts[\w-]*)(?:\[([\w,]+)\])?", line)
    ]
    assert found
    built = {PROJECT["name"], f"{PROJECT['name']}-native", *data_wheels()}
    for name, extras in found:
        assert name in built, name
        assert set(filter(None, extras.split(","))) <= set(PROJECT["optional-dependencies"])


def data_wheels() -> set[str]:
    """Distributions that ``pipeline.release.wheel`` writes: one of a checkpoint's bundle."""
    names = (path.stem.replace("_", "-") for path in (ROOT / "conf/checkpoint").glob("*.yaml"))
    return {f"chattts-onnx-{name}" for name in names}
