"""The shared library: where it is, and its C interface (``native/src/api.h``)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_float, c_int, c_int32, c_size_t, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GenerationError, InputError
from .gpt import Gpt, Norm, Table
from .graph import Array
from .weights import Weight

ABI = 3
"""Version of the interface below; the library tells its own."""


class UnavailableError(Exception):
    """The library cannot be used here; the message says why."""


class Sizes(ctypes.Structure):
    """``Sizes`` of model.h."""

    _fields_ = [
        (name, c_int32)
        for name in (
            *("layers", "hidden", "heads", "kv_heads", "width", "inner", "codes"),
            *("audio_tokens", "text_tokens", "positions", "speaker_token", "int8_cache"),
        )
    ]


class _Source(ctypes.Structure):
    _fields_ = [
        *((name, c_int32) for name in ("form", "inputs", "outputs", "bits", "block")),
        ("input_zero", c_int32),
        ("input_scale", c_float),
        ("lower_scale", c_float),
        ("lower_zero", c_int32),
        ("half", c_int32),
        *((name, c_void_p) for name in ("weights", "scales", "zeros", "bias")),
    ]


class _Table(ctypes.Structure):
    _fields_ = [("rows", c_void_p), ("scales", c_void_p)]


class _LayerSource(ctypes.Structure):
    _fields_ = [
        *((name, c_void_p) for name in ("norm", "mlp_norm", "key_scales", "value_scales")),
        ("epsilon", c_float),
        ("mlp_epsilon", c_float),
        *((name, _Source) for name in ("qkv", "output", "gate_up", "down")),
    ]


Packed = ctypes.CFUNCTYPE(None, c_int32)
"""Called when a layer's source is not needed any more."""


class _ModelSource(ctypes.Structure):
    _fields_ = [
        ("sizes", Sizes),
        ("text", _Table),
        ("code", _Table),
        *((name, c_void_p) for name in ("cos", "sin", "norm")),
        ("epsilon", c_float),
        ("head", _Source),
        ("layers", POINTER(_LayerSource)),
        ("packed", Packed),
    ]


class Positions(ctypes.Structure):
    """``Positions`` of model.h."""

    _fields_ = [
        ("count", c_int32),
        ("selected_count", c_int32),
        *(
            (name, c_void_p)
            for name in ("slots", "places", "ids", "is_text", "speakers", "voices", "selected")
        ),
    ]


class Draws(ctypes.Structure):
    """``Draws`` of sampler.h."""

    _fields_ = [
        *((name, c_int32) for name in ("rows", "heads", "tokens", "window", "least", "end")),
        *(
            (name, c_void_p)
            for name in (
                *("logits", "history", "uniforms", "temperature", "top_p", "penalty", "top_k"),
                "forbid_end",
            )
        ),
    ]


_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "chattts_abi": (c_int, []),
    "chattts_instructions": (c_char_p, [c_char_p]),
    "chattts_model_new": (
        c_char_p,
        [POINTER(_ModelSource), c_char_p, c_int, c_int, POINTER(c_void_p)],
    ),
    "chattts_model_free": (None, [c_void_p]),
    "chattts_model_bytes": (c_size_t, [c_void_p]),
    "chattts_cache_new": (c_char_p, [c_void_p, c_int, c_int, POINTER(c_void_p)]),
    "chattts_cache_free": (None, [c_void_p]),
    "chattts_cache_move": (c_char_p, [c_void_p, c_int, c_int, c_int]),
    "chattts_run": (c_char_p, [c_void_p, c_void_p, POINTER(Positions), c_void_p, c_void_p]),
    "chattts_step": (
        c_char_p,
        [c_void_p, c_void_p, POINTER(Positions), POINTER(Draws), c_void_p, c_void_p, c_void_p],
    ),
    "chattts_sample": (c_char_p, [c_void_p, POINTER(Draws), c_void_p]),
}


@cache
def load() -> ctypes.CDLL:
    """The library of the package ``chattts-onnx-native``; raises :class:`UnavailableError`."""
    try:
        from chattts_onnx_native import library
    except ImportError:
        raise UnavailableError("the package chattts-onnx-native is not installed") from None
    path = library()
    if path is None:
        raise UnavailableError("chattts-onnx-native has no library for this machine")
    return open_library(path)


def open_library(path: Path) -> ctypes.CDLL:
    """Load a file and check that it has this module's interface."""
    try:
        found = ctypes.CDLL(str(path))
        functions = [getattr(found, name) for name in _FUNCTIONS]
    except (OSError, AttributeError) as error:
        raise UnavailableError(f"{path.name} cannot be loaded ({error})") from error
    for function, (result, arguments) in zip(functions, _FUNCTIONS.values(), strict=True):
        function.restype, function.argtypes = result, arguments
    if (abi := found.chattts_abi()) != ABI:
        raise UnavailableError(f"{path.name} has interface {abi}, this release needs {ABI}")
    return found


def instructions(library: ctypes.CDLL, wanted: str | None = None) -> str:
    """The fastest instruction set that it has for this machine, or ``wanted``."""
    name = library.chattts_instructions(wanted.encode() if wanted else None)
    if name is None:
        raise UnavailableError(f"this machine or the library has no {wanted}")
    return bytes(name).decode()


class NativeModel:
    """Packed weights and the threads that run them; may be used from several threads, by turns."""

    def __init__(
        self,
        library: ctypes.CDLL,
        gpt: Gpt,
        sizes: Sizes,
        threads: int,
        spinning: bool = True,
        wanted: str | None = None,
        packed: Any = None,
    ) -> None:
        """Pack ``gpt``, whose arrays may go afterwards, but for the tables, which stay in their
        file; ``packed(layer)`` tells how far it is.
        """
        self.library, self.sizes, self.threads = library, sizes, threads
        self.instructions = instructions(library, wanted)
        self._tables = _Kept()
        self._handle = c_void_p()
        kept, tell = _Kept(), Packed(packed or (lambda layer: None))
        source = _model_source(gpt, sizes, kept, self._tables, tell)
        name = self.instructions.encode()
        reason = library.chattts_model_new(
            ctypes.byref(source), name, threads, int(spinning), ctypes.byref(self._handle)
        )
        if reason:
            raise UnavailableError(f"the library does not take {reason.decode()}")

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle:
            self.library.chattts_model_free(handle)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed weights."""
        return int(self.library.chattts_model_bytes(self._handle))

    def run(self, cache: NativeCache, positions: Positions, hidden: Array, logits: Array) -> None:
        """Run positions; ``hidden`` [selected, hidden] and ``logits`` are written in place."""
        reason = self.library.chattts_run(
            self._handle,
            cache.handle,
            ctypes.byref(positions),
            hidden.ctypes.data,
            logits.ctypes.data,
        )
        if reason:
            raise GenerationError(f"the step refuses {reason.decode()}.")

    def step(
        self, cache: NativeCache, positions: Positions, draws: Draws, results: Sequence[int]
    ) -> None:
        """Run positions and draw from their logits.

        ``results`` are the addresses of hidden, logits, and tokens int64 [selected, num_vq].
        """
        reason = self.library.chattts_step(
            self._handle, cache.handle, ctypes.byref(positions), ctypes.byref(draws), *results
        )
        if reason:
            raise GenerationError(f"the step refuses {reason.decode()}.")

    def sample(self, draws: Draws, tokens: Array) -> None:
        """Write ``tokens`` int64 [rows, heads]; -1 where the logits are not finite."""
        reason = self.library.chattts_sample(self._handle, ctypes.byref(draws), tokens.ctypes.data)
        if reason:
            raise GenerationError(f"the sampler refuses {reason.decode()}.")


class NativeCache:
    """Keys and values of ``slots`` sequences; pages are committed as they are filled."""

    movable = True

    def __init__(self, model: NativeModel, slots: int, max_length: int) -> None:
        if slots < 1 or max_length < 1:
            raise InputError(
                f"a KV cache of {slots} slots of {max_length} tokens was asked for; expected both "
                "to be at least 1."
            )
        self.slots, self.max_length = slots, max_length
        self._library = model.library
        self.handle = c_void_p()
        limit = 2**31 - 1
        reason = self._library.chattts_cache_new(
            model._handle, min(slots, limit), min(max_length, limit), ctypes.byref(self.handle)
        )
        if reason:
            raise InputError(
                f"no KV cache of {slots} slots of {max_length} tokens: {reason.decode()}; ask for "
                "fewer slots or new tokens."
            )

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            self._library.chattts_cache_free(self.handle)

    def move(self, source: int, destination: int, length: int) -> None:
        """Copy the first ``length`` tokens of one slot over another."""
        reason = self._library.chattts_cache_move(self.handle, source, destination, length)
        if reason:
            raise GenerationError(f"the cache refuses {reason.decode()}.")


class _Kept:
    """Arrays that C reads, kept while it does."""

    def __init__(self) -> None:
        self._arrays: list[Array] = []

    def pointer(self, array: Array | None) -> int | None:
        if array is None:
            return None
        # A file may hold them at any byte; what is in order is not copied.
        array = np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED"])
        self._arrays.append(array)
        return array.ctypes.data

    def weight(self, weight: Weight) -> _Source:
        numbers = (weight.form, weight.inputs, weight.outputs, weight.bits, weight.block)
        arrays = (weight.values, weight.scales, weight.zeros, weight.bias)
        return _Source(
            *map(int, numbers),
            weight.input_zero,
            weight.input_scale,
            weight.lower_scale,
            weight.lower_zero,
            int(weight.scales is not None and weight.scales.dtype == np.float16),
            *(self.pointer(array) for array in arrays),
        )

    def table(self, table: Table) -> _Table:
        return _Table(self.pointer(table.rows), self.pointer(table.scales))


def _model_source(gpt: Gpt, sizes: Sizes, kept: _Kept, tables: _Kept, packed: Any) -> _ModelSource:
    def gain(norm: Norm) -> int | None:
        return kept.pointer(norm.gain)

    layers = (_LayerSource * len(gpt.layers))(
        *(
            _LayerSource(
                gain(layer.norm),
                gain(layer.mlp_norm),
                kept.pointer(layer.key_scales),
                kept.pointer(layer.value_scales),
                layer.norm.epsilon,
                layer.mlp_norm.epsilon,
                *map(kept.weight, (layer.qkv, layer.output, layer.gate_up, layer.down)),
            )
            for layer in gpt.layers
        )
    )
    return _ModelSource(
        sizes,
        tables.table(gpt.text),
        tables.table(gpt.code),
        kept.pointer(gpt.cos),
        kept.pointer(gpt.sin),
        gain(gpt.norm),
        gpt.norm.epsilon,
        kept.weight(gpt.head),
        layers,
        packed,
    )
