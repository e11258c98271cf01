"""How close a quantized graph is to the FP32 bundle, part by part.

The FP32 bundle speaks some sentences once; every candidate is forced over its codes and decodes its
hidden states, so that only what was changed is measured.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from chattts_onnx.bundle import Bundle, open_bundle
from chattts_onnx.speech.requests import make_prompt
from pipeline.core.errors import ConfigError
from pipeline.core.sentences import load_sentences
from pipeline.fidelity.audio import Decoded, component_row, decode_reference, waveform_metrics
from pipeline.fidelity.bundle_model import BundleModel
from pipeline.fidelity.forcing import ForcedBatch, force_reference, forced_rows
from pipeline.fidelity.free import FreeRun
from pipeline.fidelity.metrics import mel_l1
from pipeline.fidelity.models import Array, AudioFormat, Spoken, SpokenPrompt
from pipeline.quantization.calibration.recorder import PROVIDERS
from pipeline.report.rows import Row
from pipeline.search.config import SearchConfig

GPT, TEXT_HEAD, ENCODE = "gpt", "text_head", "dvae_encode"
COMPONENTS = (
    GPT, TEXT_HEAD, "decoder", "vocos", "decoder+vocos", "dvae_decode", "dvae_decode+vocos", ENCODE,
)  # fmt: skip
"""Parts that are judged apart, in the order in which a search takes them."""

BATCH = 4


def graphs_of(component: str) -> tuple[str, ...]:
    """Graphs whose errors the rows of ``component`` hold."""
    return tuple(component.split("+"))


def component_of(row: Row) -> str:
    """The component that a row of the validation report speaks of."""
    if "component" in row:
        return str(row["component"])
    return TEXT_HEAD if row.get("head") == "text" else GPT


@dataclass(frozen=True)
class Judge:
    """The FP32 bundle's own answers, with which candidates are compared.

    Attributes:
        source: the FP32 bundle.
        batches: what it spoke, with hidden states and logits.
        decoded: what it made of that.
        audio: how waveforms are compared.
        threads: of each session.
    """

    source: Path
    batches: list[ForcedBatch]
    decoded: list[Decoded]
    audio: AudioFormat
    threads: int

    @classmethod
    def open(cls, source: Path, workspace: Path, config: SearchConfig, seed: int) -> Judge:
        """Let the FP32 bundle ``source`` speak.

        Raises:
            ConfigError: the sentences are missing, malformed or too few.
            BundleError: the bundle is missing or damaged.
        """
        bundle = open_bundle(source, PROVIDERS, config.threads, verify=False)
        model = BundleModel(bundle)
        prompts, spoken = speak_sentences(bundle, workspace, config, seed)
        batches = [
            force_reference(model, prompts[i : i + BATCH], spoken[i : i + BATCH])
            for i in range(0, len(prompts), BATCH)
        ]
        info = bundle.model
        audio = AudioFormat(
            info.sample_rate, info.hop_length, 2 * info.hop_length * info.receptive_field.istft,
            info.num_mels,
        )  # fmt: skip
        return cls(source, batches, decode_reference(model, batches), audio, config.threads)

    def rows(self, folder: Path, components: Collection[str], variant: str = "int8") -> list[Row]:
        """Rows as the validation report's, of some components of the bundle in ``folder``."""
        model = BundleModel(open_bundle(folder, PROVIDERS, self.threads, verify=False))
        rows: list[Row] = []
        if GPT in components or TEXT_HEAD in components:
            forced = forced_rows(variant, model, self.batches)
            rows += [row for row in forced if component_of(row) in components]
        for component in components:
            if component not in (GPT, TEXT_HEAD):
                rows += self._decoded_rows(variant, model, component)
        return rows

    def _decoded_rows(self, variant: str, model: BundleModel, component: str) -> list[Row]:
        found: dict[str, list[float]] = {}
        for theirs in self.decoded:
            for metric, value in self._compare(model, component, theirs).items():
                found.setdefault(metric, []).append(value)
        return [
            component_row(variant, metric, values, component) for metric, values in found.items()
        ]

    def _compare(self, model: BundleModel, component: str, theirs: Decoded) -> dict[str, float]:
        if component == ENCODE:
            codes = model.encode(theirs.waveforms["decoder+vocos"][None])
            return {"code_agreement": float((codes == theirs.encoded).mean())}
        if component == "decoder":
            return {"mel_l1": mel_l1(theirs.mels[component], model.decoder_mel(theirs.hidden))}
        if component == "dvae_decode":
            return {"mel_l1": mel_l1(theirs.mels[component], model.dvae_mel(theirs.codes))}
        heard = _waveform(model, component, theirs)
        return waveform_metrics(theirs.waveforms[component], heard, self.audio)


def speak_sentences(
    bundle: Bundle, workspace: Path, config: SearchConfig, seed: int
) -> tuple[list[SpokenPrompt], list[Spoken]]:
    """The prompts of ``config``, and what ``bundle`` says to them.

    Raises:
        ConfigError: the sentences are missing, malformed or too few.
    """
    sentences = load_sentences(workspace / config.sentences, config.prompts)
    prompts = []
    for sentence in sentences[: config.prompts]:
        speaker = bundle.speaker(sentence.voice_seed)
        if speaker is None:
            raise ConfigError(f"{config.sentences}: found a sentence without voice_seed")
        prompt = make_prompt(bundle, sentence.text, None, True)
        prompts.append(SpokenPrompt(sentence.text, prompt.ids, speaker))
    run = FreeRun(config.steps, config.min_steps, seed)
    return prompts, run.speak_all(BundleModel(bundle), prompts)


def _waveform(model: BundleModel, component: str, theirs: Decoded) -> Array:
    if component == "vocos":
        return model.vocode(theirs.mels["decoder"])[0]
    if component == "decoder+vocos":
        return model.decode_hidden(theirs.hidden)[0]
    return model.decode_codes(theirs.codes)[0]
