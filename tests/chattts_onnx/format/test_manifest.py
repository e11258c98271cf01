from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from chattts_onnx import BundleError, InputError, Manifest, open_bundle
from chattts_onnx.format.manifest import LARGEST, ModelInfo


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def test_written_manifest_reads_back_the_same(bundle_path: Path) -> None:
    manifest = Manifest.load(bundle_path)
    value = json.loads((bundle_path / "manifest.json").read_text(encoding="utf-8"))
    assert Manifest.from_dict(json.loads(json.dumps(manifest.to_dict())), bundle_path) == manifest
    assert next(iter(value)) == "format_version"
    on_disk = {p.relative_to(bundle_path).as_posix() for p in bundle_path.rglob("*") if p.is_file()}
    assert set(manifest.files) == on_disk - {"manifest.json"}
    assert manifest.model.end_token == manifest.model.num_audio_tokens - 1


def test_changed_byte_is_found(own: Path) -> None:
    path = own / "gpt.onnx.data"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BundleError, match=r"gpt\.onnx\.data has sha256"):
        Manifest.load(own)
    Manifest.load(own, verify=False)


def test_truncated_and_missing_files_are_found(own: Path) -> None:
    path = own / "vocos.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"vocos\.onnx has \d+ bytes, expected"):
        Manifest.load(own)
    path.unlink()
    with pytest.raises(BundleError, match=r"vocos\.onnx is missing"):
        Manifest.load(own)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../secret", "..\\secret"])
def test_names_that_lead_outside_are_refused(own: Path, name: str) -> None:
    (own.parent / "secret").write_text("x")
    edit(own, lambda v: v["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}))
    with pytest.raises(BundleError, match="outside the bundle"):
        Manifest.load(own)


def test_link_that_leads_outside_is_refused(own: Path) -> None:
    target = own.parent / "decoder.onnx"
    (own / "decoder.onnx").rename(target)
    (own / "decoder.onnx").symlink_to(target)
    with pytest.raises(BundleError, match="link that leads outside"):
        Manifest.load(own)


def test_other_format_versions_are_refused(own: Path) -> None:
    edit(own, lambda v: v.update(format_version=2))
    with pytest.raises(BundleError, match="format_version is 2, this release reads 1"):
        open_bundle(own)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.pop("model"),
        lambda v: v["model"].pop("hidden_size"),
        lambda v: v["model"].update(kv_dtype="float8"),
        lambda v: v["graphs"]["gpt"].pop("inputs"),
        lambda v: v.update(files=[]),
        lambda v: v["files"]["gpt.onnx"].pop("sha256"),
        lambda v: v.update(graphs="gpt"),
        lambda v: v["model"].update(hidden_size="32"),
        lambda v: v["model"].update(num_vq=True),
        lambda v: v["model"].update(head_dim=2**40),
        lambda v: v["model"]["receptive_field"].update(vocos=-1),
        lambda v: v["tokens"].update({"[Stts]": float("inf")}),
        lambda v: v["files"]["gpt.onnx"].update(bytes="many"),
        lambda v: v["files"]["gpt.onnx"].update(bytes=-1),
        lambda v: v["files"]["gpt.onnx"].update(bytes=True),
        lambda v: v["files"]["gpt.onnx"].update(sha256=None),
        lambda v: v["files"]["gpt.onnx"].update(sha256=7),
    ],
)
def test_malformed_manifest_is_one_clear_error(own: Path, change: Callable[[Any], Any]) -> None:
    edit(own, change)
    with pytest.raises(BundleError, match=r"manifest\.json: malformed \("):
        Manifest.load(own)


def test_graphs_must_be_listed_with_files_and_interface(own: Path) -> None:
    edit(own, lambda v: v["files"].pop("gpt.onnx.data"))
    with pytest.raises(BundleError, match=r"'gpt' needs 'gpt\.onnx\.data'"):
        Manifest.load(own)
    edit(own, lambda v: v["graphs"].pop("gpt"))
    with pytest.raises(BundleError, match="no graph 'gpt'"):
        Manifest.load(own)


def test_interface_of_the_graph_must_match(own: Path) -> None:
    edit(own, lambda v: v["graphs"]["vocos"]["inputs"][0].update(name="melody"))
    bundle = open_bundle(own, threads=1)
    with pytest.raises(BundleError, match="inputs differ from the manifest"):
        bundle.session("vocos")


def test_no_bundle_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not found"):
        open_bundle(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="not valid JSON"):
        open_bundle(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(BundleError, match="expected a JSON object"):
        open_bundle(tmp_path)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, "loop"])
def test_names_that_no_disk_takes_are_refused(own: Path, name: str) -> None:
    (own / "loop").symlink_to("loop")
    edit(own, lambda v: v["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}))
    with pytest.raises(BundleError, match=r"no usable file name|is missing"):
        Manifest.load(own)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, " " * (17 << 20)])
def test_text_that_python_chokes_on_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match="not valid JSON"):
        open_bundle(tmp_path)


@pytest.mark.parametrize("value", ["0.5", None, [], True, float("nan")])
def test_odd_generation_settings_are_refused(own: Path, value: object) -> None:
    edit(own, lambda v: v["generation"]["code"].update(temperature=value))
    with pytest.raises(InputError, match="temperature is"):
        open_bundle(own, threads=1).default_params("code")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_vq", 2**31 - 1),
        ("sample_rate", 1),
        ("sample_rate", 10**9),
        ("num_hidden_layers", 10**6),
        ("max_position_embeddings", 2**30),
        ("hidden_size", 2**30),
    ],
)
def test_sizes_of_no_model_are_refused(own: Path, name: str, value: int) -> None:
    edit(own, lambda v: v["model"].update({name: value}))
    with pytest.raises(BundleError, match=f"{name} is {value}"):
        open_bundle(own)


def test_every_size_of_a_model_has_a_bound() -> None:
    sizes = {field.name for field in fields(ModelInfo) if field.type == "int"}
    assert sizes <= set(LARGEST)


def rewrite(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def exchange(path: Path, data: bytes) -> None:
    fresh = path.with_name("fresh")
    fresh.write_bytes(data)
    fresh.replace(path)


@pytest.mark.parametrize("change", [rewrite, exchange])
@pytest.mark.parametrize("name", ["text_head.onnx", "text_head.onnx.data"])
def test_a_graph_is_verified_when_it_is_opened(
    own: Path, name: str, change: Callable[[Path, bytes], None]
) -> None:
    hidden = [[0.0] * Manifest.load(own, verify=False).model.hidden_size]
    data = (own / name).read_bytes()
    opened, unverified = open_bundle(own), open_bundle(own, verify=False)
    change(own / name, bytes([*data[:-1], data[-1] ^ 1]))
    with pytest.raises(BundleError, match=rf"{name} has sha256"):
        opened.text_logits(hidden)
    # The same bytes again are what was verified.
    change(own / name, data)
    expected = opened.text_logits(hidden)
    assert (unverified.text_logits(hidden) == expected).all()
    (own / name).unlink()
    assert (opened.text_logits(hidden) == expected).all()


def test_a_bundle_that_is_gone_is_named_when_a_graph_is_opened(own: Path) -> None:
    opened = open_bundle(own)
    shutil.rmtree(own)
    with pytest.raises(BundleError, match="missing"):
        opened.text_logits([[0.0] * opened.model.hidden_size])


@pytest.mark.parametrize("folder", [5, b"bundle", ["a"], 1.5])
def test_what_is_no_path_is_refused(folder: Any) -> None:
    with pytest.raises(InputError, match="expected a folder"):
        open_bundle(folder)
