"""Parameters of the speech stage."""

from __future__ import annotations

from dataclasses import dataclass

from chattts_onnx.hearing.listener import ListenerConfig
from pipeline.core.errors import ConfigError
from pipeline.report.gates import GateConfig

LANGUAGES = ("en", "zh", "mixed")


@dataclass(frozen=True)
class RandomWeightsConfig:
    """What a checkpoint that cannot speak has to do, so that the stage still runs.

    Attributes:
        count: sentences.
        min_steps: codes before which the end token is not allowed.
        max_steps: codes at which it is stopped.
    """

    count: int
    min_steps: int
    max_steps: int


@dataclass(frozen=True)
class PageConfig:
    """Bounds of the listening page: sentences, and bytes of the whole file."""

    sentences: int
    max_bytes: int


@dataclass(frozen=True)
class SpeechConfig:
    """How variants are judged by what they say.

    Attributes:
        speaks: whether the checkpoint was trained to; random weights are judged by no gate.
        variants: bundles to judge, names of folders under ``bundles/``; the first is the baseline
            of every difference.
        sentences: held-out sentences (JSONL), relative to the workspace.
        teacher: what the judges say of the checkpoint's teacher over the same sentences (JSONL);
            null where there is none.
        languages: which of them to take; an English-only listener hears nothing else.
        count: how many of these, from the top.
        takes: utterances of each sentence, each with a seed of its own.
        voices: the bundle's voices to use in turn; empty takes each sentence's random voice.
        control: whether the baseline speaks everything a second time with other seeds, which
            shows how much chance alone changes.
        max_steps: codes at which an utterance is stopped and counts as failed.
        batch: sentences generated at once.
        threads: CPU threads; 0 takes the machine's cores.
        resamples: of the bootstrap.
        listener: who writes down what is heard.
        random: what is done instead where the checkpoint does not speak.
        page: bounds of the listening page.
        gates: limits for each variant.
        tools: versions of the judges' packages, which have to be installed.
    """

    speaks: bool
    variants: list[str]
    sentences: str
    teacher: str | None
    languages: list[str]
    count: int
    takes: int
    voices: list[str]
    control: bool
    max_steps: int
    batch: int
    threads: int
    resamples: int
    listener: ListenerConfig
    random: RandomWeightsConfig
    page: PageConfig
    gates: dict[str, list[GateConfig]]
    tools: dict[str, str]

    def __post_init__(self) -> None:
        if not self.variants:
            raise ConfigError("variants is empty, expected at least one bundle's name.")
        unknown = sorted(set(self.languages) - set(LANGUAGES))
        if unknown or not self.languages:
            found = ", ".join(unknown) or "none"
            raise ConfigError(f"languages: found {found}, expected some of {', '.join(LANGUAGES)}.")
        for name in ("count", "takes", "max_steps", "batch", "resamples"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more.")

    @property
    def baseline(self) -> str:
        """The variant that the others are compared with."""
        return self.variants[0]
