from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from pipeline.checkpoint import layout
from pipeline.checkpoint.config import CheckpointConfig
from pipeline.checkpoint.dims import load_dims
from pipeline.checkpoint.layout import required_shapes
from pipeline.checkpoint.local import verify
from pipeline.checkpoint.seeded import seeded_dims
from pipeline.checkpoint.tensors import ITEM_BITS, PARTIAL_SUFFIXES, open_tensors
from pipeline.core.errors import CheckpointError
from pipeline.core.strict import parse_strictly, read_yaml

ROOT = Path(__file__).resolve().parents[3]
PREFIXES = ROOT.parent / "shared" / "data" / "official_prefixes"


def write(path: Path, header: Any, data: bytes = b"") -> Path:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data)
    return path


def entry(shape: list[Any], begin: Any, end: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_reads_what_the_safetensors_library_writes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors: dict[str, NDArray[Any]] = {
        "b": rng.standard_normal((3, 5)).astype(np.float32),
        "a": rng.standard_normal(7).astype(np.float32),
        "scalar": np.array(2.5, np.float32),
        "empty": np.zeros((0, 4), np.float32),
        "flags": np.array([True, False, True]),
    }
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    file = open_tensors(tmp_path / "x.safetensors")
    assert set(file.names) == set(tensors)
    for name in ("a", "b", "scalar", "empty"):
        np.testing.assert_array_equal(file.array(name), tensors[name])
        assert file.array(name).flags.writeable
    assert file.check({"a": (7,), "b": (3, 5)}) == ["empty", "flags", "scalar"]
    assert "a" in file and "c" not in file


BAD_HEADERS = {
    "not JSON": (b"{'a': 1}", b"", r"valid JSON"),
    "not UTF-8": (b'{"\xff": 1}', b"", r"valid JSON"),
    "deep": (b"[" * 100_000, b"", r"valid JSON"),
    "a list": (b"[]", b"", r"type list, expected a JSON object"),
    "twice": (b'{"a": {}, "a": {}}', b"", r"stands twice"),
    "entry": ({"a": 3}, b"", r"tensor a: found entry 3"),
    "no dtype": ({"a": {"shape": [1], "data_offsets": [0, 4]}}, b"1234", r"type None, expected"),
    "odd dtype": ({"a": entry([1], 0, 4, "F31")}, b"1234", r"type 'F31', expected F32"),
    "list dtype": ({"a": entry([1], 0, 4, ["F32"])}, b"1234", r"expected F32"),
    "negative": ({"a": entry([-1], 0, 4)}, b"1234", r"shape \[-1\], expected a list of sizes"),
    "float axis": ({"a": entry([1.0], 0, 4)}, b"1234", r"expected a list of sizes"),
    "bool axis": ({"a": entry([True], 0, 4)}, b"1234", r"expected a list of sizes"),
    "huge axis": ({"a": entry([2**64], 0, 4)}, b"1234", r"expected a list of sizes"),
    "one offset": (
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}},
        b"1234",
        r"expected a begin and an end",
    ),
    "backwards": ({"a": entry([1], 4, 0)}, b"1234", r"-4 bytes of data"),
    "wrong length": ({"a": entry([2], 0, 4)}, b"1234", r"4 bytes of data at \[0, 4\], expected 8"),
    "overlap": (
        {"a": entry([2], 0, 8), "b": entry([2], 4, 12)},
        b"x" * 12,
        r"tensor b: found offset 4, expected 8; its data would overlap",
    ),
    "misaligned": (
        {"a": entry([2], 0, 8), "b": entry([1], 9, 13)},
        b"x" * 13,
        r"tensor b: found offset 9, expected 8; its data would leave a hole",
    ),
    "truncated": (
        {"a": entry([2], 0, 8), "b": entry([2], 8, 16)},
        b"x" * 15,
        r"tensor b: found \d+ bytes in the file, expected at least \d+; the file is truncated",
    ),
    "rest": ({"a": entry([1], 0, 4)}, b"x" * 6, r"2 bytes after its last tensor"),
}


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_a_bad_header_is_named(case: str, tmp_path: Path) -> None:
    header, data, message = BAD_HEADERS[case]
    path = write(tmp_path / "x.safetensors", header, data)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_tensors(path, label="Some.safetensors")
    assert str(caught.value).startswith("Some.safetensors: ")
    assert len(str(caught.value)) < 500


def test_a_file_shorter_than_its_header_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(CheckpointError, match="found no file"):
        open_tensors(path)
    path.write_bytes(b"\x10\0\0")
    with pytest.raises(CheckpointError, match=r"found 3 bytes.*truncated"):
        open_tensors(path)
    path.write_bytes((64).to_bytes(8, "little") + b'{"a":')
    with pytest.raises(CheckpointError, match=r"found 5 bytes of header, expected 64"):
        open_tensors(path)
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        open_tensors(path)


def test_pickles_are_refused_by_name_and_by_content(tmp_path: Path) -> None:
    state = {"weight": torch.zeros(3)}
    torch.save(state, tmp_path / "Decoder.pt")
    torch.save(state, tmp_path / "zip.safetensors")
    torch.save(state, tmp_path / "old.safetensors", _use_new_zipfile_serialization=False)
    for protocol in (2, 3, 4, 5):
        (tmp_path / f"p{protocol}.safetensors").write_bytes(pickle.dumps([1], protocol))
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(CheckpointError, match=r"can run any code.*convert it to safetensors"):
            open_tensors(path)


def test_a_header_length_that_looks_like_a_pickle_is_read(tmp_path: Path) -> None:
    header = json.dumps({"a": entry([1], 0, 4)}).encode().ljust(0x10280)
    path = write(tmp_path / "x.safetensors", header, b"1234")
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert open_tensors(path).names == ["a"]


def test_half_precision_is_widened_exactly(tmp_path: Path) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    brains = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int16).view(torch.bfloat16)
    tensors = {"half": torch.from_numpy(halves), "brain": brains, "single": torch.ones(2)}
    save_torch(tensors, tmp_path / "x")
    file = open_tensors(tmp_path / "x")
    for name, tensor in tensors.items():
        found = file.array(name)
        assert found.dtype == np.float32 and found.flags.writeable
        np.testing.assert_array_equal(found, tensor.float().numpy())
    assert file.check({name: tuple(tensor.shape) for name, tensor in tensors.items()}) == []
    assert file.converted() == {"F16": 1, "BF16": 1}


def test_double_precision_is_rounded_to_the_nearest_and_never_to_infinity(tmp_path: Path) -> None:
    values = np.array([1 / 3, 1e-50, -2.0, np.inf, 3e38])
    save_file({"a": values, "b": np.array([1e39])}, tmp_path / "x")
    file = open_tensors(tmp_path / "x", "F")
    np.testing.assert_array_equal(file.array("a"), values.astype(np.float32))
    assert file.converted() == {"F64": 2}
    with pytest.raises(CheckpointError, match=r"F: tensor b: found values beyond float32's range"):
        file.array("b")


@pytest.mark.parametrize("kind", ["I8", "U8", "F8_E4M3", "F8_E5M2", "I64", "BOOL", "C64"])
def test_needed_tensors_of_other_types_are_refused(kind: str, tmp_path: Path) -> None:
    size = 2 * ITEM_BITS[kind] // 8
    file = open_tensors(write(tmp_path / "x", {"a": entry([2], 0, size, kind)}, bytes(size)), "F")
    assert file.names == ["a"]
    with pytest.raises(CheckpointError, match=rf"F: tensor a: found type {kind}, expected one of"):
        file.check({"a": (2,)})
    with pytest.raises(CheckpointError, match=rf"F: tensor a: found type {kind}, expected one of"):
        file.array("a")


STAND_INS = {
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "git-lfs"),
    "page": (b"\r\n<!DOCTYPE html><html><head><title>Sign in", "web page"),
    "old page": (b"<HTML><BODY>404 Not Found</BODY></HTML>", "web page"),
    "storage": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "web page"),
    "answer": (b'{"error":"Repository not found"}', "server's error"),
    "words": (b"Invalid username or password.", "server's error"),
    "zeros": (bytes(4000), "zeros"),
}


@pytest.mark.parametrize("case", STAND_INS)
def test_what_downloads_leave_in_place_of_a_file_is_named(case: str, tmp_path: Path) -> None:
    content, message = STAND_INS[case]
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"F: found .*{message}"):
        open_tensors(tmp_path / "x", label="F")


@pytest.mark.parametrize("suffix", PARTIAL_SUFFIXES)
def test_half_a_download_is_named(suffix: str, damaged: Path) -> None:
    path = damaged / layout.VOCOS
    other = path.with_name(path.name + suffix)
    other.write_bytes(b"x")
    with pytest.raises(CheckpointError, match=f"{re.escape(other.name)} beside it"):
        load_dims(damaged)
    path.unlink()
    with pytest.raises(CheckpointError, match=f"only {re.escape(other.name)}.*not finished"):
        load_dims(damaged)


@pytest.mark.parametrize("name", [layout.GPT_CONFIG, layout.TOKENIZER])
def test_a_pointer_in_place_of_json_is_named(name: str, damaged: Path) -> None:
    (damaged / name).write_bytes(STAND_INS["pointer"][0])
    with pytest.raises(CheckpointError, match=f"{re.escape(name)}: found .*git-lfs"):
        verify(damaged)


def test_needed_tensors_must_be_there_with_their_shape(tmp_path: Path) -> None:
    header = {"a": entry([2], 0, 8), "b": entry([2, 1], 8, 16)}
    file = open_tensors(write(tmp_path / "x", header, b"x" * 16), label="F")
    with pytest.raises(CheckpointError, match=r"F: tensor b: found shape \[2, 1\], expected \[2\]"):
        file.check({"b": (2,)})
    with pytest.raises(CheckpointError, match=r"tensor c: found nothing.*shape \[4\]"):
        file.check({"c": (4,)})
    with pytest.raises(CheckpointError, match=r"tensor b: found shape \[2, 1\], expected 3 axes"):
        file.shape("b", 3)
    assert file.check({"b": (2, 1)}) == ["a"]


VALID = json.dumps({"a": entry([2], 0, 8), "b": entry([1, 3], 8, 20)}).encode()
VALID_FILE = len(VALID).to_bytes(8, "little") + VALID + bytes(20)


@given(
    st.lists(st.tuples(st.integers(0, len(VALID_FILE) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(VALID_FILE)),
)
@example([], len(VALID_FILE))
def test_random_damage_gives_only_checkpoint_errors(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], length: int
) -> None:
    content = bytearray(VALID_FILE)
    for position, value in changes:
        content[position] = value
    path = tmp_path_factory.getbasetemp() / "damage.safetensors"
    path.write_bytes(content[:length])
    try:
        file = open_tensors(path)
        for name in file.names:
            file.array(name)
    except CheckpointError as error:
        assert "damage.safetensors" in str(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "F16", "I64", "F4"]) | json_values,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | json_values,
        "data_offsets": st.lists(st.integers(-4, 40), min_size=2, max_size=2) | json_values,
    },
)


@given(st.dictionaries(st.text(max_size=5), entries | json_values, max_size=3), st.integers(0, 48))
def test_random_headers_give_only_checkpoint_errors(
    tmp_path_factory: pytest.TempPathFactory, header: dict[str, Any], size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.safetensors"
    write(path, header, bytes(size))
    try:
        file = open_tensors(path)
    except CheckpointError:
        return
    assert sum(item.end - item.begin for item in file.entries.values()) == size


@pytest.mark.skipif(not PREFIXES.is_dir(), reason="official files are not at hand")
@pytest.mark.parametrize(("name", "size"), [("Decoder", 103_694_920), ("DVAE", 60_359_112)])
def test_official_prefixes_are_truncated_files_of_the_expected_layout(
    name: str, size: int, tmp_path: Path
) -> None:
    prefix = (PREFIXES / f"{name}.part").read_bytes()
    with pytest.raises(CheckpointError, match=rf"found {len(prefix)} bytes.*the file is truncated"):
        open_tensors(PREFIXES / f"{name}.part")
    whole = tmp_path / f"{name}.safetensors"
    with whole.open("wb") as stream:
        stream.write(prefix)
        stream.truncate(size)
    file = open_tensors(whole)
    assert np.abs(file.array("coef")).min() > 0
    values = read_yaml(ROOT / "conf" / "checkpoint" / "seeded_full.yaml")
    seeded = parse_strictly(values, CheckpointConfig).seeded
    assert seeded is not None
    expected = required_shapes(seeded_dims(seeded))[f"asset/{name}.safetensors"]
    extras = file.check(expected)
    assert all(extra.startswith("preprocessor_mel.") for extra in extras)


def test_extra_tensors_of_any_type_do_not_matter(
    damaged: Path, rewrite: Callable[[Path, Any], None]
) -> None:
    def add(header: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        header["steps"] = entry([1], len(data), len(data) + 8, "I64")
        return header, data + bytes(8)

    path = damaged / "asset" / "Vocos.safetensors"
    rewrite(path, add)
    assert "steps" in open_tensors(path)
