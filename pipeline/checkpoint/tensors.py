"""A strict reader of safetensors files.

Format: 8 bytes little-endian header length, a JSON header, the data; see
https://github.com/huggingface/safetensors#format. The header is checked here rather than by the
safetensors library because a damaged checkpoint has to give one message that names the file, the
tensor, what was found and what was expected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chattts_onnx.untrusted import brief, brief_text, parse_json, stand_in
from pipeline.checkpoint.layout import PICKLE_SUFFIXES
from pipeline.core.errors import CheckpointError

# the reference implementation's own limit
MAX_HEADER_BYTES = 100_000_000
ITEM_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "U16": 16, "I16": 16,
    "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
# how the types that are read lie in the file; BF16 is the upper half of an F32
STORED = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}
# what programs call a download that is under way
PARTIAL_SUFFIXES = (".incomplete", ".part", ".partial", ".crdownload", ".download", ".aria2")
_HEAD_BYTES = 512
PICKLE_REASON = (
    "loading a pickle can run any code that its author put inside; convert it to safetensors "
    "with `python -m pipeline.checkpoint.convert` and give that folder"
)


@dataclass(frozen=True)
class TensorEntry:
    """Where one tensor lies: ``begin`` and ``end`` count from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class TensorFile:
    """An opened safetensors file; data is read from disk on demand."""

    def __init__(self, path: Path, entries: dict[str, TensorEntry], label: str) -> None:
        self.path = path
        self.label = label
        self.entries = entries

    @property
    def names(self) -> list[str]:
        """Tensor names in the order of the data."""
        return sorted(self.entries, key=lambda name: self.entries[name].begin)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor by name."""
        return {name: entry.shape for name, entry in self.entries.items()}

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def shape(self, name: str, rank: int) -> tuple[int, ...]:
        """Return the shape of a tensor that must be there with ``rank`` axes."""
        entry = self._entry(name)
        if len(entry.shape) != rank:
            raise CheckpointError(
                f"{self.label}: tensor {name}: found shape {list(entry.shape)}, "
                f"expected {rank} axes"
            )
        return entry.shape

    def array(self, name: str) -> NDArray[np.float32]:
        """Return one tensor as a float32 array of its own memory.

        F16 and BF16 are widened exactly; F64 is rounded to the nearest float32.

        Raises:
            CheckpointError: the tensor is missing, of another type, or F64 beyond float32's range.
        """
        entry = self._entry(name)
        self._check_dtype(name, entry)
        with self.path.open("rb") as stream:
            stream.seek(entry.begin)
            data = np.fromfile(stream, dtype=STORED[entry.dtype], count=math.prod(entry.shape))
        if entry.dtype == "BF16":
            values = (data.astype(np.uint32) << 16).view(np.float32)
        else:
            with np.errstate(over="ignore"):
                values = data.astype(np.float32, copy=False)
        if entry.dtype == "F64" and (np.isinf(values) & np.isfinite(data)).any():
            raise CheckpointError(
                f"{self.label}: tensor {name}: found values beyond float32's range, expected "
                "weights that float32 can hold"
            )
        return values.reshape(entry.shape)

    def converted(self) -> dict[str, int]:
        """Count the tensors of each type that :meth:`array` converts."""
        types = [entry.dtype for entry in self.entries.values()]
        return {kind: types.count(kind) for kind in STORED if kind != "F32" and kind in types}

    def check(self, expected: Mapping[str, tuple[int, ...]]) -> list[str]:
        """Check that every expected tensor is there with its shape and a type that is read.

        Returns:
            The names of all other tensors, which are ignored.

        Raises:
            CheckpointError: naming the first tensor that is missing, misshapen or of another type.
        """
        for name, shape in expected.items():
            entry = self._entry(name, shape)
            if entry.shape != shape:
                raise CheckpointError(
                    f"{self.label}: tensor {name}: found shape {list(entry.shape)}, "
                    f"expected {list(shape)} as the other tensors and config.json demand"
                )
            self._check_dtype(name, entry)
        return sorted(set(self.entries) - set(expected))

    def _entry(self, name: str, shape: Iterable[int] | None = None) -> TensorEntry:
        entry = self.entries.get(name)
        if entry is None:
            wanted = "" if shape is None else f" with shape {list(shape)}"
            raise CheckpointError(
                f"{self.label}: tensor {name}: found nothing among {len(self.entries)} tensors, "
                f"expected it{wanted}; the file is not in the official layout"
            )
        return entry

    def _check_dtype(self, name: str, entry: TensorEntry) -> None:
        if entry.dtype not in STORED:
            raise CheckpointError(
                f"{self.label}: tensor {name}: found type {entry.dtype}, expected one of "
                f"{', '.join(STORED)}; quantized weights hold less than the pipeline needs, give "
                "those they were made from"
            )


def open_tensors(path: Path, label: str | None = None) -> TensorFile:
    """Open a safetensors file and check its header completely.

    Args:
        path: the file.
        label: how messages name the file; its path by default.

    Raises:
        CheckpointError: the file is missing, a pickle, truncated, or its header is invalid.
    """
    label = label or str(path)
    if not path.is_file():
        raise CheckpointError(f"{label}: found no file, expected a safetensors file")
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
        stream.seek(8)
        prefix = head[:8]
        _refuse_pickle(path, label, prefix, size)
        _refuse_stand_in(path, label, head, size)
        if len(prefix) < 8:
            raise CheckpointError(
                f"{label}: found {size} bytes, expected at least the 8 of a safetensors header "
                "length; the file is truncated, fetch it again"
            )
        length = int.from_bytes(prefix, "little")
        if length > MAX_HEADER_BYTES:
            raise CheckpointError(
                f"{label}: found a header length of {length}, expected at most "
                f"{MAX_HEADER_BYTES}; this is not a safetensors file"
            )
        header = stream.read(length)
    if len(header) < length:
        raise CheckpointError(
            f"{label}: found {len(header)} bytes of header, expected {length}; the file is "
            "truncated, fetch it again"
        )
    return TensorFile(path, _entries(label, _parse(label, header), 8 + length, size), label)


def _refuse_pickle(path: Path, label: str, prefix: bytes, size: int) -> None:
    """Raise :class:`CheckpointError` if the name or the first bytes are those of a pickle."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        found = f"a {path.suffix} file"
    elif prefix.startswith(b"PK\x03\x04"):
        found = "a zip archive (torch.save)"
    # a safetensors header length may begin with the same two bytes, but it fits into the file
    elif prefix[:1] == b"\x80" and int.from_bytes(prefix, "little") > size:
        found = "a pickle"
    else:
        return
    raise CheckpointError(f"{label}: found {found}, expected safetensors: {PICKLE_REASON}")


def _refuse_stand_in(path: Path, label: str, head: bytes, size: int) -> None:
    """Raise :class:`CheckpointError` for what downloads leave in place of a file."""
    found = stand_in(head)
    if found is None and size and not head.strip(b"\0"):
        found = "zeros, the room made for a download that never came; fetch it again"
    for suffix in PARTIAL_SUFFIXES:
        if found is None and path.with_name(path.name + suffix).exists():
            found = f"{path.name}{suffix} beside it, a download under way; let it finish"
    if found is not None:
        raise CheckpointError(f"{label}: found {found} ({size} bytes); expected safetensors")


def _parse(label: str, header: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a name stands twice")
        return result

    try:
        value = parse_json(header.decode("utf-8"), object_pairs_hook=unique)
    except ValueError as error:
        raise CheckpointError(
            f"{label}: found a header that is not valid JSON ({error}), expected a safetensors "
            "header; the file is damaged, fetch it again"
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{label}: found a header of type {type(value).__name__}, expected a JSON object"
        )
    value.pop("__metadata__", None)
    return value


def _entries(label: str, header: dict[str, Any], start: int, size: int) -> dict[str, TensorEntry]:
    entries = {name: _entry(label, name, item, start) for name, item in header.items()}
    position = start
    for name in sorted(entries, key=lambda key: (entries[key].begin, entries[key].end)):
        entry = entries[name]
        if entry.begin != position:
            kind = "overlap" if entry.begin < position else "leave a hole"
            raise CheckpointError(
                f"{label}: tensor {brief_text(name)}: found offset {entry.begin - start}, expected "
                f"{position - start}; its data would {kind}, the file is damaged"
            )
        if entry.end > size:
            raise CheckpointError(
                f"{label}: tensor {brief_text(name)}: found {size} bytes in the file, expected at "
                "least "
                f"{entry.end}; the file is truncated, fetch it again"
            )
        position = entry.end
    if position != size:
        raise CheckpointError(
            f"{label}: found {size} bytes, expected {position}; the file has "
            f"{size - position} bytes after its last tensor"
        )
    return entries


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _entry(label: str, name: str, item: Any, start: int) -> TensorEntry:
    def fail(what: str, found: object, expected: str) -> CheckpointError:
        return CheckpointError(
            f"{label}: tensor {brief_text(name)}: found {what} {brief(found)}, expected "
            f"{expected}; "
            "the file is damaged"
        )

    if not isinstance(item, dict):
        raise fail("entry", item, "an object with dtype, shape and data_offsets")
    dtype, shape, offsets = item.get("dtype"), item.get("shape"), item.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in ITEM_BITS:
        raise fail("type", dtype, "F32")
    if not isinstance(shape, list) or not all(_is_count(axis) for axis in shape):
        raise fail("shape", shape, "a list of sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise fail("data_offsets", offsets, "a begin and an end")
    begin, end = offsets
    needed = math.prod(shape) * ITEM_BITS[dtype]
    if (end - begin) * 8 != needed:
        raise fail(
            f"{end - begin} bytes of data at", offsets, f"{needed // 8} for {dtype} {brief(shape)}"
        )
    return TensorEntry(dtype, tuple(shape), start + begin, start + end)
