"""OpenVINO's decoding step as an engine of the benchmark: ``python -m peer.openvino_step``.

The GPT of a bundle's sizes with random weights, built of OpenVINO's own operators in the form that
its CPU plugin fuses: weights of 8 or 4 bits that are decompressed where they are multiplied,
rotations, scaled dot products over keys and values that are the model's state (INT8). What such a
step costs does not depend on the numbers. Needs ``openvino`` and numpy alone.

Speaks the protocol of :mod:`peer.worker`; ``path`` is a bundle's folder, whose manifest names the
sizes; ``kind`` is ``openvino-int8`` or ``openvino-int4``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op
from openvino.op.util import Variable, VariableInfo

from peer.worker import Timing, main, timed_steps

GROUP = 32
"""Inputs that share a scale of 4-bit weights."""


class StepEngine:
    """One model, and its state."""

    def __init__(self, sizes: dict[str, Any], bits: int, threads: int, seed: int) -> None:
        self.bits, self.threads, self.sizes = bits, threads, sizes
        self._random = np.random.default_rng(seed)
        self._states: list[Any] = []
        self._packed: list[Any] = []
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "KV_CACHE_PRECISION": "u8",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP,
        }
        self._model = ov.Core().compile_model(self._build(), "CPU", settings)
        self._request = self._model.create_infer_request()

    def describe(self) -> dict[str, Any]:
        """Engine, provider and threads; what it would take on disk is not measured."""
        version = ov.get_version().split("-")[0]
        engine = f"OpenVINO {version}, INT{self.bits} weights"
        return {"engine": engine, "provider": "cpu", "threads": self.threads, "size_bytes": 0}

    def decode(self, batch: int, length: int, steps: int, swept: int = 0) -> Timing:
        """``steps`` steps without sampling after ``length`` positions; see the benchmark's."""
        self._request.reset_state()
        self._run(batch, 0, length)
        return timed_steps(lambda step: self._run(batch, length + step, 1), steps, swept)

    def _run(self, batch: int, first: int, count: int) -> None:
        hidden = self.sizes["hidden_size"]
        places = np.broadcast_to(np.arange(first, first + count, dtype=np.int64), (batch, count))
        feeds = {
            "x": np.ones((batch, count, hidden), np.float32),
            "places": places,
            "beams": np.arange(batch, dtype=np.int32),
        }
        self._request.infer(feeds)

    def _build(self) -> Any:
        s = self.sizes
        x = op.parameter([-1, -1, s["hidden_size"]], np.float32, name="x")
        places = op.parameter([-1, -1], np.int64, name="places")
        beams = op.parameter([-1], np.int32, name="beams")
        for node in (x, places, beams):
            node.output(0).set_names({node.get_friendly_name()})
        angles = self._angles(places)
        total = x
        for layer in range(s["num_hidden_layers"]):
            total = op.add(total, self._attention(self._norm(total), angles, beams, layer))
            total = op.add(total, self._mlp(self._norm(total)))
        outputs = s["num_vq"] * s["num_audio_tokens"]
        last = op.gather(self._norm(total), op.constant([-1], np.int64), op.constant(1))
        result = op.result(self._product(last, s["hidden_size"], outputs))
        return ov.Model([result], self._states, [x, places, beams], "step")

    def _angles(self, places: Any) -> tuple[Any, Any]:
        half = self.sizes["head_dim"] // 2
        rates = (1e4 ** (-np.arange(half) / half)).astype(np.float32)[None, None, None]
        place = op.unsqueeze(op.convert(places, "f32"), op.constant([1, 3], np.int64))
        angle = op.multiply(place, op.constant(rates))
        both = op.concat([angle, angle], -1)
        return op.cos(both), op.sin(both)

    def _norm(self, x: Any) -> Any:
        square = op.power(x, op.constant(np.float32(2)))
        mean = op.reduce_mean(square, op.constant([-1], np.int64), keep_dims=True)
        root = op.sqrt(op.add(mean, op.constant(np.float32(1e-6))))
        gain = op.constant(np.ones((1, 1, self.sizes["hidden_size"]), np.float32))
        return op.multiply(gain, op.divide(x, root))

    def _product(self, x: Any, inputs: int, outputs: int) -> Any:
        if self.bits == 8:
            values = self._random.integers(-127, 128, (outputs, inputs), dtype=np.int8)
            scales = np.full((outputs, 1), 1e-3, np.float16)
            weight = op.multiply(op.convert(op.constant(values), "f16"), op.constant(scales))
        else:
            shape = [outputs, inputs // GROUP, GROUP]
            packed = self._random.integers(0, 256, outputs * inputs // 2, dtype=np.uint8)
            self._packed.append(packed)  # a tensor of 4 bits is a view
            tensor = ov.Tensor(packed, shape, ov.Type.i4)
            scales = np.full((outputs, inputs // GROUP, 1), 1e-2, np.float16)
            weight = op.multiply(op.convert(op.constant(tensor), "f16"), op.constant(scales))
            weight = op.reshape(weight, op.constant([outputs, inputs], np.int64), False)
        return op.matmul(x, op.convert(weight, "f32"), False, True)

    def _mlp(self, x: Any) -> Any:
        hidden = self.sizes["hidden_size"]
        inner = 4 * hidden
        gate, up = (self._product(x, hidden, inner) for _ in range(2))
        return self._product(op.multiply(op.swish(gate), up), inner, hidden)

    def _attention(self, x: Any, angles: tuple[Any, Any], beams: Any, layer: int) -> Any:
        s = self.sizes
        width = s["num_attention_heads"] * s["head_dim"]
        query, key, value = (self._heads(self._product(x, s["hidden_size"], width)) for _ in "qkv")
        query, key = self._rotate(query, angles), self._rotate(key, angles)
        key, value = (
            self._remember(part, beams, f"{name}{layer}")
            for part, name in ((key, "key"), (value, "value"))
        )
        # without a mask: what a prompt gives is never looked at, and a step reads all there is
        context = op.scaled_dot_product_attention(query, key, value, causal=False)
        order = op.transpose(context, op.constant([0, 2, 1, 3], np.int64))
        flat = op.reshape(order, op.constant([0, 0, width], np.int64), True)
        return self._product(flat, width, s["hidden_size"])

    def _heads(self, x: Any) -> Any:
        shape = [0, 0, self.sizes["num_attention_heads"], self.sizes["head_dim"]]
        parts = op.reshape(x, op.constant(shape, np.int64), True)
        return op.transpose(parts, op.constant([0, 2, 1, 3], np.int64))

    def _rotate(self, x: Any, angles: tuple[Any, Any]) -> Any:
        cos, sin = angles
        low, high = op.split(x, op.constant(3, np.int64), 2).outputs()
        turned = op.concat([op.multiply(high, op.constant(np.float32(-1))), low], -1)
        return op.add(op.multiply(x, cos), op.multiply(turned, sin))

    def _remember(self, part: Any, beams: Any, name: str) -> Any:
        heads, width = self.sizes["num_attention_heads"], self.sizes["head_dim"]
        info = VariableInfo()
        info.data_shape = ov.PartialShape([-1, heads, -1, width])
        info.data_type, info.variable_id = ov.Type.f32, name
        variable = Variable(info)
        batch = op.gather(op.shape_of(part), op.constant([0], np.int64), op.constant(0, np.int64))
        rest = op.constant([heads, 0, width], np.int64)
        start = op.broadcast(op.constant(np.float32(0)), op.concat([batch, rest], 0))
        past = op.gather(op.read_value(start, variable), beams, op.constant(0, np.int64))
        whole = op.concat([past, part], 2)
        self._states.append(op.assign(whole, variable))
        return whole


def open_engine(spec: dict[str, Any]) -> StepEngine:
    """Open the engine that the harness describes."""
    manifest = json.loads((Path(spec["path"]) / "manifest.json").read_text(encoding="utf-8"))
    bits = int(str(spec["kind"]).removeprefix("openvino-int"))
    return StepEngine(manifest["model"], bits, int(spec["threads"]), int(spec["seed"]))


if __name__ == "__main__":
    main(open_engine)
