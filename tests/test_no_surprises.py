"""What the code never does: run what it reads, or ask the network without being told to."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chattts_onnx import tiny_bundle

ROOT = Path(__file__).parents[1]
PACKAGES = ("chattts_onnx", "pipeline", "drills", "mini", "triton_server")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}
BLOCK = """
import socket
def refuse(*_, **__):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
socket.getaddrinfo = refuse
"""


def calls(path: Path) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """Dotted names of what a file calls, with the keyword arguments."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: k.value for k in node.keywords if k.arg}


def is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_is_read_can_run_code(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not UNSAFE_MODULES & {name.partition(".")[0] for name in names}
    for name, keywords in calls(path):
        assert "trust_remote_code" not in keywords
        assert not is_true(keywords.get("allow_pickle")), name
        if name == "torch.load":
            assert is_true(keywords.get("weights_only")), "torch.load without weights_only"
        if name in ("yaml.load", "yaml.load_all"):
            loader = ast.unparse(keywords["Loader"])
            assert loader.rpartition(".")[2] in ("BaseLoader", "SafeLoader", "CSafeLoader")
        assert not name.startswith(("yaml.unsafe", "yaml.full"))


def test_every_file_is_looked_at() -> None:
    assert len(FILES) > 200


def test_speaking_asks_no_network(tmp_path: Path) -> None:
    """Opening a bundle, its voices and a whole utterance, with every connection refused."""
    tiny_bundle.build(tmp_path / "bundle")
    script = (
        f"{BLOCK}\nimport sys\nfrom chattts_onnx import open_bundle, write_wav\n"
        "bundle = open_bundle(sys.argv[1], threads=1)\n"
        "params = bundle.default_params().but(min_new_tokens=4, max_new_tokens=8)\n"
        "audio = bundle.say('hello world', 3, params=params, seed=1)\n"
        "write_wav(sys.argv[2], audio, bundle.sample_rate)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "bundle"), str(tmp_path / "a.wav")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.wav").is_file()


def test_a_seeded_checkpoint_asks_no_network(tmp_path: Path) -> None:
    script = (
        f"{BLOCK}\nimport sys\nfrom pathlib import Path\n"
        "from pipeline.checkpoint.build import build\n"
        "from pipeline.checkpoint.config import CheckpointConfig\n"
        "from pipeline.params import compose_params\n"
        "from pipeline.core.strict import parse_strictly\n"
        "values = compose_params(['experiment=smoke'])['checkpoint']\n"
        "build(parse_strictly(values, CheckpointConfig), 1, Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "checkpoint")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "checkpoint" / "checkpoint.json").is_file()


def test_the_refusal_works() -> None:
    script = f"{BLOCK}\nimport urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "the network was asked" in done.stderr


def test_hashes_are_compared_before_anything_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle with one changed byte is refused before ONNX Runtime or a tokenizer sees it."""
    from chattts_onnx import BundleError, open_bundle
    from chattts_onnx.graphs import sessions
    from chattts_onnx.text.tokenizer import TextTokenizer

    tiny_bundle.build(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_bytes(path.read_bytes().replace(b"hello", b"jello"))

    def parsed(*_: object, **__: object) -> None:
        raise AssertionError("parsed before it was checked")

    monkeypatch.setattr(sessions.ort, "InferenceSession", parsed)
    monkeypatch.setattr(TextTokenizer, "load", parsed)
    with pytest.raises(BundleError, match=r"tokenizer\.json has sha256"):
        open_bundle(tmp_path, threads=1)
