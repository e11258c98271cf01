"""Cases of the ablation."""

from __future__ import annotations

from pipeline.quantization.config import Int8Config, RepairConfig
from pipeline.search.space import REPAIRS
from pipeline.studies.ablation import BASE, cases

CONFIG = Int8Config(
    "cpu-avx2", "mse", 99.99, ["MatMul"], ["*istft*", "gpt/*"], True, True,
    repairs=RepairConfig(bias_correction=["*"], blocks=["gpt/*"]),
)  # fmt: skip


def test_every_case_changes_one_thing_of_everything_quantized() -> None:
    """The first one changes nothing; all but a change to what is there already differ from it."""
    found = dict(cases(CONFIG))
    start = found[BASE]
    assert start.exclude_names == ["*istft*"]
    assert start.repairs == RepairConfig()
    assert set(dict(REPAIRS)) < set(found)
    same = [name for name, config in found.items() if config == start]
    assert same == [BASE, "calibrator mse"]
    assert len({str(config) for config in found.values()}) == len(found) - 1
