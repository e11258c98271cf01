from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chattts_onnx import open_bundle
from chattts_onnx.bundle import Bundle
from chattts_onnx.decoding.decoder import Decoder
from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.text import Prompt
from pipeline.core.sentences import Sentence
from pipeline.fidelity.models import Array, SpokenPrompt
from pipeline.fidelity.reference_model import ReferenceModel
from pipeline.fidelity.reference_speech import ReferenceLoop


class BundleStepper:
    """A bundle's GPT as the loop wants it, for one row."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def prefill(
        self, text_ids: Array, attention_mask: Array, speaker: Array | None = None
    ) -> tuple[Decoder, Array, Array]:
        decoder = self.bundle.decoder(1, 128)
        ids = text_ids[0][attention_mask[0] > 0]
        prompt = Prompt(ids, np.ones(len(ids), dtype=np.bool_))
        assert speaker is not None
        return decoder, *decoder.prefill(0, [prompt], speaker)

    def step(self, state: Any, codes: Array) -> tuple[Array, Array]:
        state.input_ids[:1, 0] = codes
        state.text_mask[:1] = False
        hidden, logits = state.step(1)
        return hidden.copy(), logits.copy()


@pytest.mark.parametrize("seed", [0, 7])
def test_draws_exactly_what_the_runtime_draws(
    bundle_folder: Path, prompts: list[SpokenPrompt], seed: int
) -> None:
    bundle = open_bundle(bundle_folder, threads=1)
    params = GenerationParams(max_new_tokens=40, min_new_tokens=3, temperature=0.8)
    prompt = prompts[1]
    loop = ReferenceLoop(BundleStepper(bundle), [prompt.ids], prompt.speaker[None], params, [seed])
    (ours,) = loop.run()
    theirs: Any = bundle.generate(
        prompt.text, prompt.speaker, params=params, seed=seed, normalize=False
    )
    np.testing.assert_array_equal(ours.codes, theirs.codes)
    np.testing.assert_allclose(ours.hidden, theirs.hidden, atol=1e-6)
    assert ours.finished == theirs.finished


def sentence(text: str, seed: int) -> Sentence:
    return Sentence(text, "zh", seed, (), "a test", "CC0-1.0")


def test_a_batch_of_ragged_prompts_equals_its_rows(tiny_checkpoint: Path) -> None:
    model = ReferenceModel.load(tiny_checkpoint)
    prompts = [
        model.prompt(sentence(text, i)) for i, text in enumerate(["好", "今天天气不错，走吧。"])
    ]
    params = GenerationParams(max_new_tokens=12, min_new_tokens=6)
    speakers = np.stack([prompt.speaker for prompt in prompts])
    ids = [prompt.ids for prompt in prompts]
    together = ReferenceLoop(model.reference, ids, speakers, params, [1, 2]).run()
    for row, seed in enumerate([1, 2]):
        alone = ReferenceLoop(
            model.reference, [ids[row]], speakers[row : row + 1], params, [seed]
        ).run()
        np.testing.assert_array_equal(together[row].codes, alone[0].codes)
        np.testing.assert_allclose(together[row].hidden, alone[0].hidden, atol=1e-5)


def test_what_was_spoken_is_what_forcing_sees(tiny_checkpoint: Path) -> None:
    model = ReferenceModel.load(tiny_checkpoint)
    prompt = model.prompt(sentence("早上好", 4))
    spoken = model.speak(prompt, steps=10, min_steps=10, seed=0)
    assert spoken.codes.shape == (10, 4)
    mask = np.ones((1, len(prompt.ids)), dtype=np.int64)
    hidden, logits = model.forced(prompt.ids[None], mask, spoken.codes[None], prompt.speaker[None])
    np.testing.assert_allclose(hidden[0], spoken.hidden, atol=1e-5)
    assert logits.shape[:3] == (1, 10, 4)


def test_parts_and_whole_agree(tiny_checkpoint: Path) -> None:
    model = ReferenceModel.load(tiny_checkpoint)
    random = np.random.default_rng(0)
    hidden = random.standard_normal((1, 5, 24)).astype(np.float32)
    codes = random.integers(0, 27, (1, 5, 4))
    for whole, mel in (
        (model.decode_hidden(hidden), model.decoder_mel(hidden)),
        (model.decode_codes(codes), model.dvae_mel(codes)),
    ):
        np.testing.assert_allclose(model.vocode(mel), whole, atol=1e-5)


def test_an_end_at_once_is_not_for_this_loop(
    bundle_folder: Path, prompts: list[SpokenPrompt]
) -> None:
    stepper = BundleStepper(open_bundle(bundle_folder, threads=1))
    with pytest.raises(ValueError, match="min_new_tokens is 0"):
        ReferenceLoop(stepper, [prompts[0].ids], prompts[0].speaker[None], GenerationParams(), [0])
