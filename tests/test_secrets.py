"""The search for secrets that ``make lint`` makes: it finds them, and takes no hash for one."""

from __future__ import annotations

import json
import random
import string
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BASELINE = ROOT / ".secrets.baseline"


def search(path: Path) -> subprocess.CompletedProcess[str]:
    hook = Path(sys.executable).with_name("detect-secrets-hook")
    assert hook.exists(), "detect-secrets is not installed; run `make setup`"
    command = [str(hook), "--baseline", str(BASELINE), path.name]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True)


def drawn(characters: str, length: int) -> str:
    return "".join(random.Random(1).choices(characters, k=length))


def test_the_baseline_excuses_nothing() -> None:
    assert json.loads(BASELINE.read_text(encoding="utf-8"))["results"] == {}


@pytest.mark.parametrize(
    "line",
    [
        "AKIA" + drawn(string.ascii_uppercase, 16),
        "key = 'ghp_" + drawn(string.ascii_letters + string.digits, 36) + "'",
        "-----BEGIN " + "RSA PRIVATE KEY-----",
        "pass" + f"word = '{drawn(string.ascii_letters, 12)}'",
        f"value = '{drawn('0123456789abcdef', 64)}'",
    ],
)
def test_secrets_are_found(line: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.py"
    path.write_text(line + "\n", encoding="utf-8")
    found = search(path)
    assert found.returncode == 1 and "settings.py:1" in found.stdout


def test_hashes_of_files_and_commits_are_none(tmp_path: Path) -> None:
    digest = drawn("0123456789abcdef", 64)
    path = tmp_path / "report.json"
    named = {"sha256": digest, "asset/gpt.safetensors": digest, "code": digest[:40]}
    path.write_text(json.dumps(named, indent=1), encoding="utf-8")
    found = search(path)
    assert found.returncode == 0, found.stdout
