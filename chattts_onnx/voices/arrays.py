"""Binary files with numbers: ``.npy``, ``.npz``, ``.safetensors``; no pickle among them is read."""

from __future__ import annotations

import io
import lzma
import math
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.lib.format as npy
import numpy.typing as npt

from ..errors import VoiceError
from ..untrusted import brief, brief_text, parse_json, read_limited

# A voice of 768 numbers takes some 20 kB, a collection of a thousand 20 MB.
MAX_BYTES = 64 << 20
SUFFIXES = (".npy", ".npz", ".safetensors")
_NPY_KINDS = "iuf"
_MAX_NPY_HEADER = 1000
# BF16 is the upper half of a float32.
_SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
# What zipfile raises depends on where a file is damaged; an encrypted one is a RuntimeError.
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, OSError, EOFError)
Array = npt.NDArray[Any]


def read_array(path: Path, name: str | None) -> Array:
    """One array of a file: ``name``, or the only one.  ``ValueError`` on what is damaged."""
    data = read_limited(path, MAX_BYTES)
    if path.suffix.lower() == ".npy":
        return parse_npy(data)
    entries = _npz(data) if path.suffix.lower() == ".npz" else _safetensors(data)
    chosen = next(iter(entries)) if name is None and len(entries) == 1 else name
    if chosen is None or chosen not in entries:
        raise VoiceError(
            f"{path} holds the voices {brief_text(', '.join(entries))}; name one of them as "
            f"{path}#NAME (found {brief(name)})."
        )
    return entries[chosen]()


def array_names(path: Path) -> list[str]:
    """Names of the arrays in a file; ``ValueError`` on what is damaged."""
    if path.suffix.lower() == ".npy":
        return []
    data = read_limited(path, MAX_BYTES)
    return list(_npz(data) if path.suffix.lower() == ".npz" else _safetensors(data))


def parse_npy(data: bytes) -> Array:
    """The array of a ``.npy`` file of numbers; ``ValueError`` on anything else.

    :func:`numpy.load` would make room for whatever shape a file claims, and read a zip as well.
    """
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, columns_first, dtype = read_header(stream, max_header_size=_MAX_NPY_HEADER)
    # What NumPy raises depends on how it fails to parse the header as Python.
    except Exception as error:
        raise ValueError(f"its header is damaged ({type(error).__name__})") from error
    values = data[stream.tell() :]
    sizes = [int(size) for size in shape]
    if dtype.kind not in _NPY_KINDS or min(sizes, default=0) < 0:
        raise ValueError(f"it holds {brief(str(dtype))} of shape {brief(sizes)}, no row of numbers")
    if math.prod(sizes) * dtype.itemsize != len(values):
        raise ValueError(f"{len(values)} bytes follow a header of shape {brief(sizes)}")
    order: Literal["F", "C"] = "F" if columns_first else "C"
    return np.frombuffer(values, dtype).reshape(sizes, order=order)


def _npz(data: bytes) -> Mapping[str, Callable[[], Array]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise ValueError(f"it is no .npz archive ({brief_text(error)})") from error
    found = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    return {info.filename.removesuffix(".npy"): partial(_member, archive, info) for info in found}


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    try:
        with archive.open(info) as stream:
            data = stream.read(MAX_BYTES + 1)
    except _DAMAGED as error:
        raise ValueError(f"{brief(info.filename)} is damaged ({brief_text(error)})") from error
    if len(data) > MAX_BYTES:
        raise ValueError(f"{brief(info.filename)} unpacks to more than {MAX_BYTES} bytes")
    return parse_npy(data)


def _safetensors(data: bytes) -> Mapping[str, Callable[[], Array]]:
    """https://github.com/huggingface/safetensors#format: header length, JSON header, data."""
    start = 8 + int.from_bytes(data[:8], "little")
    if not 8 < start <= len(data):
        raise ValueError("its header is cut off, or it is no safetensors file")
    header = parse_json(data[8:start])
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    header.pop("__metadata__", None)
    return {name: partial(_tensor, data[start:], entry) for name, entry in header.items()}


def _tensor(data: bytes, entry: Any) -> Array:
    try:
        kind = _SAFETENSORS[entry["dtype"]]
        begin, end = entry["data_offsets"]
        if not 0 <= begin <= end <= len(data):
            raise ValueError("offsets")
        values = np.frombuffer(data[begin:end], kind).reshape(entry["shape"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{brief(entry)} is no tensor of {', '.join(_SAFETENSORS)}") from error
    return (values.astype(np.uint32) << 16).view(np.float32) if kind == "<u2" else values
