"""Parameters of the ``checkpoint`` group: where the weights come from."""

from __future__ import annotations

from dataclasses import dataclass, field

from chattts_onnx.format.abilities import LANGUAGES, OPTIONS
from pipeline.checkpoint.outliers import OutliersConfig
from pipeline.core.errors import ConfigError, require_one_of

KINDS = ("hub", "local", "seeded")
VOCABULARIES = ("compact", "official")


@dataclass(frozen=True)
class PinnedFile:
    """What a downloaded file must be; ``bytes`` is None where only the hash is published."""

    sha256: str
    bytes: int | None = None


@dataclass(frozen=True)
class BlocksConfig:
    """One ConvNeXt stack of the Decoder, the DVAE or Vocos.

    ``bottleneck`` is the width between the two input convolutions; Vocos has none and leaves it 0.
    """

    hidden: int
    intermediate: int
    num_layers: int
    bottleneck: int = 0


@dataclass(frozen=True)
class SeededConfig:
    """Sizes of a checkpoint of deterministic random weights.

    ``vocabulary`` is ``compact`` (GB2312 level 1) or ``official`` (21178 entries at the official
    ids). ``embed_tokens`` is the number of rows of the GPT's unused embedding. ``dvae_dim`` is the
    channel count of one mel frame inside the DVAE; its quantizer is twice as wide. ``head_dim`` is
    a head's width where it is not ``hidden_size`` over the heads.
    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float
    num_vq: int
    vq_groups: int
    vq_levels: list[int]
    vocabulary: str
    embed_tokens: int
    num_mels: int
    n_fft: int
    dvae_dim: int
    decoder: BlocksConfig
    dvae_decoder: BlocksConfig
    dvae_encoder: BlocksConfig
    vocos: BlocksConfig
    head_dim: int | None = None

    def __post_init__(self) -> None:
        multiples = {
            "hidden_size": (
                (self.hidden_size, self.num_attention_heads, "num_attention_heads")
                if self.head_dim is None else (self.hidden_size, 2, "two frames a step")
            ),
            "num_attention_heads": (
                self.num_attention_heads, self.num_key_value_heads, "num_key_value_heads",
            ),
            "num_vq": (self.num_vq, self.vq_groups, "vq_groups"),
            "n_fft": (self.n_fft, 4, "four hops a window"),
        }  # fmt: skip
        for name, (total, part, reason) in multiples.items():
            if part < 1 or total < 1 or total % part:
                raise ConfigError(
                    f"{name}: found {total}, expected a positive multiple of {part} ({reason})"
                )
        if (self.head_dim or self.hidden_size // self.num_attention_heads) % 2:
            raise ConfigError(
                f"hidden_size: found {self.hidden_size}, expected an even size for each of the "
                f"{self.num_attention_heads} heads"
            )
        if len(set(self.vq_levels)) != 1 or self.vq_levels[0] < 2:
            raise ConfigError(
                f"vq_levels: found {self.vq_levels}, expected the same level, at least 2, on "
                "every axis"
            )
        require_one_of("vocabulary", self.vocabulary, VOCABULARIES)


@dataclass(frozen=True)
class SentencesConfig:
    """What a checkpoint can say.

    Attributes:
        calibration: file of sentences to calibrate on, relative to the workspace.
        heldout: file of sentences to judge by.
        timed: text of the sentence that is timed.
        tuning: file of sentences to choose settings by, apart from both.
        tuning_prompts: how many of them a choice is made by.
        teacher: file of what the judges said of whom it learned from; None where there is none.
    """

    calibration: str
    heldout: str
    timed: str
    tuning: str = "calibration_data/tuning.jsonl"
    tuning_prompts: int = 16
    teacher: str | None = None


@dataclass(frozen=True)
class AbilitiesConfig:
    """What a checkpoint can do; bundles carry it (:mod:`chattts_onnx.format.abilities`).

    Attributes:
        domain: a sentence on what it was trained to say.
        languages: of ``zh``, ``en`` and ``mixed`` (both in one sentence).
        options: those of :data:`chattts_onnx.format.abilities.OPTIONS` that act.
    """

    domain: str
    languages: list[str]
    options: list[str]

    def __post_init__(self) -> None:
        for name, found, known in (
            ("languages", self.languages, LANGUAGES), ("options", self.options, OPTIONS),
        ):  # fmt: skip
            if unknown := sorted(set(found) - set(known)):
                raise ConfigError(
                    f"abilities.{name}: found {', '.join(unknown)}, expected some of "
                    f"{', '.join(known)}"
                )


@dataclass(frozen=True)
class CheckpointConfig:
    """A checkpoint and its origin.

    ``kind`` is one of :data:`KINDS`. ``hub`` reads ``repo``, ``revision`` and ``files``, and takes
    the files from ``path`` instead of the network where it is set; ``local`` reads ``path``;
    ``seeded`` reads ``seeded``. ``fingerprint`` is the content hash of ``path`` as computed by
    :func:`pipeline.checkpoint.record.fingerprint`; it lets DVC notice that a folder outside the
    workspace changed. ``lora`` is a folder of PEFT whose adapter is merged into the GPT, and
    ``lora_fingerprint`` its content. ``speaks``, ``sentences`` and ``voices`` are for other groups,
    which take them over when ``conf/`` is composed: whether speech is worth judging, by which text,
    and in which of the checkpoint's own voices. ``sentences_apart`` says that the model knows
    single sentences only; bundles note it, so that their texts are spoken sentence by sentence;
    they note ``abilities`` too. ``outliers`` changes the weights of a ``local`` or ``seeded``
    checkpoint, see :mod:`pipeline.checkpoint.outliers`.
    """

    name: str
    kind: str
    license: str
    speaks: bool = False
    sentences: SentencesConfig | None = None
    abilities: AbilitiesConfig | None = None
    voices: list[str] = field(default_factory=list)
    sentences_apart: bool = False
    repo: str | None = None
    revision: str | None = None
    files: dict[str, PinnedFile] = field(default_factory=dict)
    path: str | None = None
    fingerprint: str | None = None
    lora: str | None = None
    lora_fingerprint: str | None = None
    seeded: SeededConfig | None = None
    outliers: OutliersConfig | None = None

    def __post_init__(self) -> None:
        require_one_of("kind", self.kind, KINDS)
        needed = {"hub": ("repo", "revision", "files"), "local": ("path",), "seeded": ("seeded",)}
        for name in needed[self.kind]:
            if not getattr(self, name):
                raise ConfigError(f"{name}: found nothing, expected it for kind {self.kind}")
        if self.outliers is not None and self.kind == "hub":
            raise ConfigError("outliers: found it for kind hub, whose files are pinned by hash")
