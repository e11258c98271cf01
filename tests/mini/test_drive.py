from __future__ import annotations

from pathlib import Path

from mini.drive import STEPS, finished, next_round
from mini.features import FIRST_TAUGHT
from mini.speech import shard_path
from mini.workspace import save_state


def modules(work: Path) -> list[str]:
    return [step.module for step in next_round(work, 20.0)]


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_a_fresh_folder_begins_with_speech_and_the_dvae(tmp_path: Path) -> None:
    assert modules(tmp_path)[:3] == ["mini.synthesize", "mini.train_dvae", "mini.train_student"]


def test_a_trained_dvae_is_left_alone(tmp_path: Path) -> None:
    for name in ("dvae", "student"):
        save_state(tmp_path / "state" / f"{name}.pt", {"step": STEPS[name]})
    found = modules(tmp_path)
    assert "mini.train_dvae" not in found
    assert found[-2:] == ["mini.export", "mini.evaluate"]
    order = ["mini.extract", "mini.teach", "mini.train_gpt", "mini.train_decoder"]
    assert [name for name in found if name in order] == order


def test_every_round_adds_speech_and_codes(tmp_path: Path) -> None:
    for index in range(30):
        touch(shard_path(tmp_path, "train", index))
        touch(shard_path(tmp_path, "train", FIRST_TAUGHT + index, "features"))
    asked = {step.module: step.options for step in next_round(tmp_path, 20.0)}
    assert int(asked["mini.synthesize"][1]) > 30
    assert int(asked["mini.teach"][1]) > 30


def test_what_is_trained_to_its_end_is_left_out(tmp_path: Path) -> None:
    assert not finished(tmp_path)
    for name, count in STEPS.items():
        save_state(tmp_path / "state" / f"{name}.pt", {"step": count})
    assert finished(tmp_path)
    assert not [name for name in modules(tmp_path) if "train" in name]
