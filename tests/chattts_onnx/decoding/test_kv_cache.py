from __future__ import annotations

from dataclasses import replace

import numpy as np
import psutil
import pytest

from chattts_onnx import Bundle, InputError
from chattts_onnx.decoding.kv_cache import KVCache
from tests.chattts_onnx.tiny_bundle import MODEL


def test_slots_are_contiguous_and_typed() -> None:
    for dtype in ("float32", "float16"):
        cache = KVCache(replace(MODEL, kv_dtype=dtype), 3, 8)
        key, value = cache.layer(1)
        assert key.dtype == value.dtype == np.dtype(dtype)
        assert key.shape == (3, MODEL.num_key_value_heads, 8, MODEL.head_dim)
        assert key[2].ctypes.data - key[0].ctypes.data == 2 * cache.slot_bytes
        assert key[1:].flags.c_contiguous and not key.any()


def test_move_copies_what_is_filled() -> None:
    cache = KVCache(MODEL, 2, 8)
    for layer in range(MODEL.num_hidden_layers):
        for part in cache.layer(layer):
            part[1] = layer + 1
    cache.move(1, 0, 5)
    key, value = cache.layer(1)
    assert (key[0, :, :5] == 2).all() and (value[0, :, :5] == 2).all()
    assert not key[0, :, 5:].any()


def test_only_what_the_host_reaches_is_moved() -> None:
    cache = KVCache(MODEL, 2, 8)
    assert cache.movable
    cache.device = "cuda"
    assert not cache.movable


def test_untouched_pages_cost_nothing() -> None:
    process = psutil.Process()
    before = process.memory_info().rss
    cache = KVCache(replace(MODEL, num_hidden_layers=20, head_dim=64), 2, 50_000)
    assert cache.nbytes > 1e9
    cache.layer(19)[1][1, 0, 40_000] = 1
    assert process.memory_info().rss - before < 50e6


def test_a_step_writes_in_place_and_touches_only_its_token(bundle: Bundle) -> None:
    decoder = bundle.decoder(2, 16)
    decoder.lengths[0] = 5
    decoder.step(1)
    for layer in range(MODEL.num_hidden_layers):
        for part in decoder.cache.layer(layer):
            assert part[0, :, 5].all()
            part[0, :, 5] = 0
            assert not part.any()
    assert decoder.lengths.tolist() == [6, 0]


def test_refuses_nothing_to_hold() -> None:
    with pytest.raises(InputError, match="0 slots of 8 tokens was asked for"):
        KVCache(MODEL, 0, 8)
    with pytest.raises(InputError, match="2 slots of 0 tokens was asked for"):
        KVCache(MODEL, 2, 0)
    with pytest.raises(InputError, match="the system refuses"):
        KVCache(MODEL, 2**20, 2**28)
