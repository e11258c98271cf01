"""Formats and algorithms that the weight-only ablation compares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.quantization.weight_only.config import LayerFormat, WeightOnlyConfig

SEARCH = 16
USUAL_BLOCK = {8: 64, 4: 32}
OTHER_BLOCK = {8: 128, 4: 128}
DAMPINGS = (0.3, 0.1, 0.01)
PARTS = 4
"""Steps from all layers in 4 bits to all in 8."""


@dataclass(frozen=True)
class Case:
    """One way to store the weights of the GPT and the text head.

    Attributes:
        variant: ``w8`` or ``w4``.
        config: the variant's parameters, changed.
        mix: which layers have another format, where it is not that of the configuration.
    """

    variant: str
    config: WeightOnlyConfig
    mix: str = ""

    def conditions(self) -> dict[str, str | int | float]:
        """What tells this case from the others, as columns of a report."""
        config = self.config
        columns: dict[str, str | int | float] = {
            "algorithm": config.algorithm,
            "scale_search": config.scale_search,
            "zero_points": "none" if config.symmetric else "stored",
            "block_size": config.block_size,
            "accuracy_level": config.accuracy_level,
            "layers": self.mix or ("as configured" if config.overrides else "all alike"),
        }
        return columns | ({"damping": config.damping} if config.algorithm == "gptq" else {})


def mixes(w4: WeightOnlyConfig, layers: int) -> Iterator[Case]:
    """From all ``layers`` of the GPT in 4 bits to all in 8, the heads in 8: what fidelity costs.

    Layers in 8 bits lie evenly among the others; rounding, since on random weights GPTQ has next to
    nothing to learn from.
    """
    plain = replace(w4, overrides=[], algorithm="rtn", scale_search=SEARCH)
    for part in range(PARTS + 1):
        count = round(layers * part / PARTS)
        chosen = sorted({index * layers // count for index in range(count)}) if count else []
        match = ["gpt/head_code*", "text_head/*", *(f"gpt/layers.{index}.*" for index in chosen)]
        eight = LayerFormat(match, 8, 32, True, "rtn")
        yield Case("w4", replace(plain, overrides=[eight]), f"{count} of {layers} in 8 bits")


def cases(w8: WeightOnlyConfig, w4: WeightOnlyConfig) -> Iterator[Case]:
    """Every case; all but the named differences are those of the first of its variant."""
    for variant, given in (("w4", w4), ("w8", w8)):
        base = replace(
            given, overrides=[], algorithm="rtn", scale_search=SEARCH,
            block_size=USUAL_BLOCK[given.bits], accuracy_level=4,
        )  # fmt: skip
        yield Case(variant, base)
        if given.overrides:
            yield Case(variant, given)
        # 8 bits leave next to no error that an algorithm could lower
        if given.bits == 4:
            for damping in DAMPINGS:
                yield Case(variant, replace(base, algorithm="gptq", damping=damping))
        yield Case(variant, replace(base, scale_search=0))
        yield Case(variant, replace(base, symmetric=not base.symmetric))
        yield Case(variant, replace(base, block_size=OTHER_BLOCK[given.bits]))
        # the same weights with float activations: what rounding those to INT8 costs
        yield Case(variant, replace(base, accuracy_level=0))
