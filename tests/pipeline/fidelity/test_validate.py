from __future__ import annotations

import dataclasses
import shutil
import wave
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pipeline.bundles import derive_bundle
from pipeline.core.errors import GateError
from pipeline.core.strict import parse_strictly
from pipeline.fidelity.bundle_model import opened_bundle
from pipeline.fidelity.forcing import force_reference
from pipeline.fidelity.free import FreeRun
from pipeline.fidelity.models import Array, Spoken, SpokenPrompt
from pipeline.fidelity.validate import METRICS, Trial, validate
from pipeline.params import compose_params
from pipeline.quantization.config import Fp16Config
from pipeline.quantization.fp16.graph import convert_graph
from pipeline.report.gates import NOT_FINITE, GateConfig, enforce, judge
from pipeline.report.rows import Row, select
from tests.chattts_onnx import tiny_bundle
from tests.pipeline.fidelity.conftest import AUDIO
from tests.pipeline.stages.workspaces import add_noise

FREE = FreeRun(steps=12, min_steps=6, seed=3)
GATES = [
    GateConfig("kl_divergence", "max", 1e-3, {}),
    GateConfig("mel_l1", "max", 1e-3, {"component": "decoder+vocos"}),
]


def judged(
    reference: Path, variants: dict[str, Path], prompts: list[SpokenPrompt], samples: Path
) -> list[Row]:
    openers = {name: partial(opened_bundle, path, 1) for name, path in variants.items()}
    with opened_bundle(reference, 1) as model:
        return validate(model, openers, Trial(prompts, 3, FREE, AUDIO, samples, sample_count=2))


def value(rows: list[Row], variant: str, metric: str, **conditions: str) -> float:
    (found,) = select(rows, metric, variant, **conditions)
    return float(found["value"])


@pytest.fixture(scope="module")
def rows(
    bundle_folder: Path,
    prompts: list[SpokenPrompt],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[Row], Path]:
    folder = tmp_path_factory.mktemp("variants")
    variants = {
        "same": bundle_folder,
        "bad_gpt": add_noise(bundle_folder, folder / "bad_gpt", "gpt", 0.3),
        "bad_vocos": add_noise(bundle_folder, folder / "bad_vocos", "vocos", 0.3),
    }
    return judged(bundle_folder, variants, prompts, folder / "samples"), folder


def test_every_metric_has_rows_with_its_conditions(rows: tuple[list[Row], Path]) -> None:
    found = rows[0]
    assert {row["metric"] for row in found} == set(METRICS)
    for row in found:
        extra = set(row) - {"variant", "metric", "value", "unit", "min", "max"}
        assert extra == set(METRICS[row["metric"]].conditions)


def test_an_exact_variant_is_exact(rows: tuple[list[Row], Path]) -> None:
    found = rows[0]
    assert value(found, "same", "kl_divergence", head="all") < 1e-9
    assert value(found, "same", "top1_agreement", head="all") == 1.0
    assert value(found, "same", "hidden_cosine") == pytest.approx(1.0)
    assert value(found, "same", "mel_l1", component="decoder+vocos") < 1e-4
    assert value(found, "same", "identical_codes") == 1.0
    assert value(found, "same", "kl_divergence", head="text") < 1e-9
    assert value(found, "same", "code_agreement", component="dvae_encode") == 1.0


def test_the_damaged_gpt_is_stopped_and_named(rows: tuple[list[Row], Path]) -> None:
    found = rows[0]
    results = judge(found, {"same": GATES, "bad_gpt": GATES}, "conf")
    with pytest.raises(GateError, match=r"bad_gpt: kl_divergence is .*expected ≤ 0\.001") as e:
        enforce(results, "report", "conf")
    assert "same:" not in str(e.value)
    # The decoder sees the reference's hidden states, so a damaged GPT leaves its figures alone.
    assert value(found, "bad_gpt", "mel_l1", component="decoder+vocos") < 1e-4


def test_the_damaged_vocoder_is_stopped_and_named(rows: tuple[list[Row], Path]) -> None:
    found = rows[0]
    with pytest.raises(GateError, match=r"bad_vocos: mel_l1 \(component decoder\+vocos\)"):
        enforce(judge(found, {"bad_vocos": GATES}, "conf"), "report", "conf")
    assert value(found, "bad_vocos", "kl_divergence", head="all") < 1e-9
    assert value(found, "bad_vocos", "mel_l1", component="decoder") < 1e-5
    assert value(found, "bad_vocos", "snr_db", component="vocos") < 40


def test_samples_can_be_played(rows: tuple[list[Row], Path]) -> None:
    samples = rows[1] / "samples"
    assert {path.name for path in samples.iterdir()} == {
        "reference", "same", "bad_gpt", "bad_vocos",
    }  # fmt: skip
    for folder in samples.iterdir():
        assert [path.name for path in sorted(folder.iterdir())] == ["00.wav", "01.wav"]
    with wave.open(str(samples / "reference" / "00.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (AUDIO.sample_rate, 1)
        assert file.getnframes() >= (2 * FREE.min_steps - 1) * AUDIO.hop_length


def test_batches_are_left_padded_and_padding_does_not_count(
    bundle_folder: Path, prompts: list[SpokenPrompt]
) -> None:
    """Forcing in one ragged batch answers what forcing each row alone answers."""
    with opened_bundle(bundle_folder, 1) as model:
        spoken = FREE.speak_all(model, prompts)
        batch = force_reference(model, prompts, spoken)
        assert batch.attention_mask.sum(axis=1).tolist() == [len(p.ids) for p in prompts]
        assert (batch.attention_mask[:, -1] == 1).all()
        assert len(set(batch.attention_mask.sum(axis=1))) > 1
        for row, (prompt, item) in enumerate(zip(prompts, spoken, strict=True)):
            alone = force_reference(model, [prompt], [item])
            keep = batch.valid[row]
            np.testing.assert_allclose(batch.hidden[row][keep], alone.hidden[0], atol=2e-5)
            np.testing.assert_allclose(batch.logits[row][keep], alone.logits[0], atol=2e-5)


class Echo:
    """Answers logits that say which codes it was given."""

    def forced(
        self, text_ids: Array, attention_mask: Array, codes: Array, speaker: Array | None
    ) -> tuple[Array, Array]:
        return codes.astype(float), np.eye(10)[codes]

    def text_logits(self, hidden: Array) -> Array:
        return hidden


def test_the_step_that_ends_a_row_counts(prompts: list[SpokenPrompt]) -> None:
    def item(steps: int, finished: bool) -> Spoken:
        return Spoken(np.ones((steps, 3), np.int64), np.zeros((steps, 2)), finished)

    batch = force_reference(
        cast(Any, Echo()), prompts[:3], [item(4, True), item(5, False), item(2, True)]
    )
    assert batch.valid.sum(axis=1).tolist() == [5, 5, 3]
    assert batch.codes[2, :, 0].tolist() == [1, 1, 0, 0, 0]
    assert batch.lengths == [4, 5, 2]


def test_a_variant_that_cannot_speak_is_a_row_and_not_a_crash(
    bundle_folder: Path, prompts: list[SpokenPrompt], tmp_path: Path
) -> None:
    import shutil

    from chattts_onnx.format.manifest import Manifest

    broken = tmp_path / "broken"
    shutil.copytree(bundle_folder, broken)
    data = broken / "gpt.onnx.data"
    values = np.fromfile(data, dtype="<f4")
    values[np.abs(values) > 0.01] = np.nan
    values.tofile(data)
    Manifest.load(broken, verify=False).write(broken)
    found = judged(bundle_folder, {"broken": broken}, prompts[:2], tmp_path / "samples")
    assert {row["metric"] for row in found if row["variant"] == "broken"} == {NOT_FINITE.name}
    with pytest.raises(GateError, match=r"broken: not_finite \(graph gpt, output hidden"):
        enforce(judge(found, {"broken": GATES[:1]}, "conf"), "report", "conf")


def test_placement_counts_nodes(
    bundle_folder: Path, prompts: list[SpokenPrompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATTTS_STEP", "ort")
    with opened_bundle(bundle_folder, 1) as model:
        model.speak(prompts[0], 4, 2, 0)
        placement = model.placement()
    assert placement["providers"] == ["CPUExecutionProvider"]
    assert placement["step"] == "ort (it was asked for)"
    assert sum(placement["nodes"]["gpt"]["CPUExecutionProvider"].values()) > 10


def test_speaking_takes_the_ids_and_not_the_text(
    bundle_folder: Path, prompts: list[SpokenPrompt]
) -> None:
    """A text that the runtime would normalise gives what its ids give."""
    with opened_bundle(bundle_folder, 1) as model:
        plain = FREE.speak_all(model, prompts[:1])[0]
        other = dataclasses.replace(prompts[0], text="123 km/h, 12:30")
        np.testing.assert_array_equal(FREE.speak_all(model, [other])[0].codes, plain.codes)


GAIN = 100.0


def strained(source: Path, target: Path) -> Path:
    """A copy whose vocoder scales its input up and down again: nothing to FP32, much to FP16."""
    shutil.copytree(source, target)
    path = target / "vocos.onnx"
    model = onnx.load(path)
    (target / "vocos.onnx.data").unlink(missing_ok=True)
    factors = {"up": GAIN, "down": 1 / GAIN}
    order = ["up"] * 3 + ["down"] * 3
    names = ["mel", *(f"mel_{i}" for i in range(len(order)))]
    for node in model.graph.node:
        node.input[:] = [names[-1] if name == "mel" else name for name in node.input]
    for name, factor in factors.items():
        model.graph.initializer.append(numpy_helper.from_array(np.float32([factor]), name))
    steps = [
        helper.make_node("Mul", [a, factor], [b], name=f"scale_{b}")
        for a, b, factor in zip(names, names[1:], order, strict=False)
    ]
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*steps, *rest])
    onnx.save(model, path, save_as_external_data=True, location="vocos.onnx.data")
    derive_bundle(target, target, "fp32")
    return target


def test_an_overflow_that_the_fp16_stage_did_not_see_is_stopped_and_named(
    bundle_folder: Path, prompts: list[SpokenPrompt], tmp_path: Path
) -> None:
    """Inputs of the stage are quiet; speech drives the same nodes beyond what FP16 holds."""
    full, half = strained(bundle_folder, tmp_path / "fp32"), tmp_path / "fp16"
    half.mkdir()
    config = parse_strictly(compose_params([])["precision"]["fp16"], Fp16Config)
    quiet = {"mel": np.full((1, tiny_bundle.MELS, 12), 1e-4, dtype=np.float32)}
    result = convert_graph(full / "vocos.onnx", [quiet], config, half / "vocos.onnx")
    assert not any(entry.node.startswith("scale_") for entry in result.kept)
    derive_bundle(full, half, "fp16")
    found = judged(full, {"fp32": full, "fp16": half}, prompts, tmp_path / "samples")
    with pytest.raises(GateError, match=r"fp16: not_finite \(graph vocos, output waveform"):
        enforce(judge(found, {}, "conf"), "report", "conf")
    assert value(found, "fp32", "kl_divergence", head="all") < 1e-9
    # The CPU's own arithmetic hides it: without the check it would have passed.
    hidden = np.random.default_rng(0).standard_normal((1, 9, tiny_bundle.HIDDEN))
    with opened_bundle(half, 1) as model:
        assert np.isfinite(model.decode_hidden(hidden)).all()
