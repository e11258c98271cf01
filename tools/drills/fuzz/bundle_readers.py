"""Readers of bundles and of the archives they come in."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path
from random import Random

import onnx

from chattts_onnx.archive.folder import extract_archive
from chattts_onnx.archive.sums import Sums
from chattts_onnx.bundle import open_bundle
from chattts_onnx.decoding.kv_cache import KVCache
from chattts_onnx.format.manifest import MANIFEST_NAME, Manifest
from chattts_onnx.graphs.sessions import SessionConfig, choose_providers, open_session
from tests.chattts_onnx import tiny_bundle
from tools.drills.fuzz.binary_mutations import mutate_tar
from tools.drills.fuzz.json_mutations import mutate_json
from tools.drills.fuzz.mutations import TEXT, mutate_bytes, mutate_text
from tools.drills.fuzz.reader import Prepared, reader

_CPU = "CPUExecutionProvider"
_PLACES = ("../secret.bin", "/etc/hostname", "other.bin", "link.bin", ".", "", "vocos.onnx.data")


@reader("manifest", "`manifest.json`, and opening its bundle", mutate_json)
def _manifest(folder: Path) -> Prepared:
    tiny_bundle.build(folder / "bundle")
    bundle = folder / "bundle"
    path = bundle / MANIFEST_NAME

    def read(_: Path) -> None:
        opened = open_bundle(bundle, [_CPU], threads=1)
        for name in opened.manifest.generation:
            opened.default_params(name)
        opened.manifest.token("[Stts]")
        opened.speaker(1)
        KVCache(opened.model, 1, 8)

    return Prepared.of_file(path, [path.read_bytes()], read)


def mutate_graph(data: bytes, random: Random) -> bytes:
    """Where external data lies, its offset and length; else shapes, or any byte."""
    try:
        model = onnx.ModelProto.FromString(data)
    except Exception:  # protobuf's DecodeError has no common base with Python's own
        return mutate_bytes(data, random)
    tensors = [tensor for tensor in model.graph.initializer if tensor.external_data]
    tensors = tensors or list(model.graph.initializer)
    if not tensors or random.random() < 0.3:
        return mutate_bytes(data, random)
    tensor = random.choice(tensors)
    kind = random.randrange(4)
    if kind == 0:
        tensor.dims[:] = [random.choice((0, 1, -1, 2**31, 2**62)) for _ in tensor.dims]
    elif kind == 1 and tensor.external_data:
        entry = random.choice(tensor.external_data)
        entry.key = random.choice(("location", "offset", "length", "checksum", "x"))
        entry.value = random.choice(("-1", "0", "1", str(2**63), *_PLACES, *TEXT))
    else:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        del tensor.external_data[:]
        place = random.choice((*_PLACES, *TEXT))
        tensor.external_data.add(key="location", value=place)
    try:
        return model.SerializeToString()
    except ValueError:
        return data


@reader("graph", "ONNX graphs, whose external data may point anywhere", mutate_graph)
def _graph(folder: Path) -> Prepared:
    """The vocoder's graph, with and without external data; secrets lie beside and above it."""
    tiny_bundle.build(folder / "bundle")
    bundle = folder / "bundle"
    path = bundle / "vocos.onnx"
    (folder / "secret.bin").write_bytes(b"secret" * 10_000)
    (bundle / "other.bin").write_bytes(bytes(60_000))
    (bundle / "link.bin").symlink_to(folder / "secret.bin")
    outside, embedded = onnx.load(path, load_external_data=False), onnx.load(path)
    graph = Manifest.load(bundle).graphs["vocos"]
    config = SessionConfig(choose_providers([_CPU]), 1)
    seeds = (outside.SerializeToString(), embedded.SerializeToString())
    return Prepared.of_file(path, seeds, lambda path: open_session(path, graph, config))


@reader(
    "archive",
    "release archives, unpacked: links, `..`, wrong sizes",
    *[mutate_tar] * 2,
    mutate_bytes,
)
def _archive(folder: Path) -> Prepared:
    # Alone, so that whatever else appears there was left by what reads.
    folder = folder / "alone"
    folder.mkdir()
    path, target = folder / "a.tar", folder / "out"
    source = folder / "bundle"
    tiny_bundle.build(source)
    manifest = json.loads((source / MANIFEST_NAME).read_bytes())
    # Few files of few bytes, since they are of no interest to what reads an archive.
    shutil.rmtree(source / "voices")
    for name in [name for name in manifest["files"] if name.startswith("voices/")]:
        del manifest["files"][name]
    for name in manifest["files"]:
        (source / name).write_bytes(name.encode())
    Manifest.from_dict(manifest, source).write(source)
    sums = f"{hashlib.sha256(b'{}').hexdigest()}  x.json\n".encode()

    def read(path: Path) -> None:
        try:
            extract_archive([path], target)
        finally:
            shutil.rmtree(target, ignore_errors=True)
            stray = {entry.name for entry in folder.iterdir()} - {"a.tar", "bundle"}
            assert not stray, f"left behind or written outside: {stray}"

    files = {entry.name: entry.read_bytes() for entry in sorted(source.iterdir())}
    whole = {MANIFEST_NAME: files.pop(MANIFEST_NAME), **files}
    seeds = (_tar(whole), _tar({"SHA256SUMS": sums, "x.json": b"{}"}))
    return Prepared.of_file(path, seeds, read)


def _tar(files: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"bundle/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


@reader("checksums", "`SHA256SUMS`", mutate_text)
def _sums(folder: Path) -> Prepared:
    lines = [
        f"{digit * 64}  tiny-int8.tar{part}"
        for digit, part in zip("abc", ("", ".001", ".002"), strict=True)
    ]

    def read(data: bytes) -> None:
        sums = Sums.parse(data, "SHA256SUMS")
        for archive in sums.archives():
            sums.parts(archive)
        sums.choose("int8")

    return Prepared(("\n".join(lines).encode(), lines[0].encode()), read)
