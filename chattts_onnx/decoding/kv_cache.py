"""The KV cache: one buffer that the graph reads as ``past`` and writes as ``present``."""

from __future__ import annotations

import contextlib
import mmap
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ..errors import InputError
from ..format.manifest import ModelInfo

# Python maps anonymous memory as shared by default, which counts against shared memory limits
# (64 MiB in a container) and reserves it at once.
_PRIVATE: dict[str, int] = (
    {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)}
    if hasattr(mmap, "MAP_PRIVATE")
    else {}
)


class KVCache:
    """Keys and values of ``slots`` sequences of up to ``max_length`` tokens.

    Every layer has a key and a value buffer [slots, kv_heads, max_length, head_dim].  A batch of
    neighbouring slots is a contiguous slice of each, so binding it copies nothing.

    On CPU the buffers lie in one anonymous mapping whose pages the system commits when they are
    first written: a cache made for 2048 steps costs only what the utterance fills.  Huge pages are
    declined, since with them each head would commit 2 MiB at its first token.
    """

    def __init__(
        self, model: ModelInfo, slots: int, max_length: int, device: str = "cpu", device_id: int = 0
    ) -> None:
        if slots < 1 or max_length < 1:
            raise InputError(
                f"a KV cache of {slots} slots of {max_length} tokens was asked for; expected both "
                "to be at least 1."
            )
        self.layers = model.num_hidden_layers
        self.shape = (slots, model.num_key_value_heads, max_length, model.head_dim)
        self.dtype = np.dtype(model.kv_dtype)
        self.device = device
        self.device_id = device_id
        self.slot_bytes = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        self._device_values: list[ort.OrtValue] = []
        if device == "cpu":
            self._array = self._map()
            base, stride = self._array.ctypes.data, slots * self.slot_bytes
            self._pointers = [base + i * stride for i in range(2 * self.layers)]
        else:
            self._device_values = [
                ort.OrtValue.ortvalue_from_shape_and_type(
                    list(self.shape), self.dtype.type, device, device_id
                )
                for _ in range(2 * self.layers)
            ]
            self._pointers = [value.data_ptr() for value in self._device_values]

    @property
    def slots(self) -> int:
        """How many sequences fit."""
        return self.shape[0]

    @property
    def max_length(self) -> int:
        """How many tokens a sequence may have."""
        return self.shape[2]

    @property
    def nbytes(self) -> int:
        """Bytes reserved (on CPU committed only as they are filled)."""
        return 2 * self.layers * self.slots * self.slot_bytes

    @property
    def movable(self) -> bool:
        """Whether :meth:`move` works: the host can reach the memory."""
        return self.device == "cpu"

    def layer(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """One layer's key and value on CPU, each [slots, kv_heads, max_length, head_dim]."""
        return self._array[index, 0], self._array[index, 1]

    def bind(self, binding: ort.IOBinding, first: int, count: int) -> None:
        """Bind slots ``first`` to ``first + count`` as both past and present."""
        shape = [count, *self.shape[1:]]
        for position, base in enumerate(self._pointers):
            layer, part = divmod(position, 2)
            name = f"{layer}.{'value' if part else 'key'}"
            pointer = base + first * self.slot_bytes
            place = (self.device, self.device_id, self.dtype.type, shape, pointer)
            binding.bind_input(f"past_key_values.{name}", *place)
            binding.bind_output(f"present.{name}", *place)

    def move(self, source: int, destination: int, length: int) -> None:
        """Copy the first ``length`` tokens of one slot over another (CPU only)."""
        self._array[:, :, destination, :, :length] = self._array[:, :, source, :, :length]

    def _map(self) -> npt.NDArray[Any]:
        try:
            region = mmap.mmap(-1, self.nbytes, **_PRIVATE)
        except (OSError, OverflowError) as error:
            raise InputError(
                f"the system refuses {self.nbytes} bytes for a KV cache of {self.slots} slots of "
                f"{self.max_length} tokens ({error}); ask for fewer slots or new tokens."
            ) from error
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            # A kernel built without huge pages has nothing to decline and says EINVAL.
            with contextlib.suppress(OSError):
                region.madvise(mmap.MADV_NOHUGEPAGE)
        flat = np.frombuffer(region, dtype=self.dtype)
        return flat.reshape(self.layers, 2, *self.shape)
