from __future__ import annotations

from pathlib import Path

from mini.drive import STEPS, finished, next_round
from mini.workspace import save_state


def modules(work: Path) -> list[str]:
    return [step.module for step in next_round(work, 20.0)]


def test_a_fresh_folder_begins_with_speech_and_the_dvae(tmp_path: Path) -> None:
    assert modules(tmp_path) == ["mini.synthesize", "mini.train_dvae"]


def test_a_frozen_dvae_is_left_alone(tmp_path: Path) -> None:
    save_state(tmp_path / "state" / "dvae.pt", {"step": 7})
    (tmp_path / "features").mkdir()
    found = modules(tmp_path)
    assert "mini.train_dvae" not in found
    assert found[-2:] == ["mini.export", "mini.evaluate"]
    assert found.index("mini.extract") < found.index("mini.train_gpt")
    assert found.index("mini.train_gpt") < found.index("mini.train_decoder")


def test_what_is_trained_to_its_end_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    assert not finished(tmp_path)
    for name, count in STEPS.items():
        save_state(tmp_path / "state" / f"{name}.pt", {"step": count})
    assert finished(tmp_path)
    assert not [name for name in modules(tmp_path) if "train" in name]
