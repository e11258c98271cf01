"""What a bundle says about itself: ``manifest.json``, read, checked and written.

A bundle is a folder that runs by itself.  The manifest names every file with its size and sha256,
every graph with its inputs and outputs, and the numbers of the model that the runtime needs, so
that nothing about a checkpoint is a constant in the code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from ..atomic_files import write_file
from ..errors import BundleError
from ..untrusted import brief, brief_text, parse_json, read_limited
from .files import FileInfo, hash_files, verify_files

FORMAT_VERSION = 1
KV_DTYPES = ("float32", "float16", "int8")
MANIFEST_NAME = "manifest.json"
# That of a bundle has some 30 kB.
MAX_MANIFEST_BYTES = 16 << 20
REQUIRED_GRAPHS = ("gpt", "decoder", "vocos")
# Beyond these lies no size of a model, only trouble for those who make room or count for them.
LARGEST = {
    "hidden_size": 1 << 16,
    "num_hidden_layers": 1 << 10,
    "num_attention_heads": 1 << 12,
    "num_key_value_heads": 1 << 12,
    "head_dim": 1 << 12,
    "intermediate_size": 1 << 18,
    "num_vq": 1 << 6,
    "num_audio_tokens": 1 << 20,
    "num_text_tokens": 1 << 22,
    "max_position_embeddings": 1 << 20,
    "sample_rate": 768_000,
    "hop_length": 1 << 16,
    "num_mels": 1 << 12,
}
_LARGEST_REACH = 1 << 16
_LEAST_RATE = 1000

_T = TypeVar("_T")


@dataclass(frozen=True)
class TensorInfo:
    """One graph input or output; ``shape`` holds integers and names of dynamic dimensions."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class GraphInfo:
    """One ONNX file of a bundle, its external data (if any) and its interface."""

    file: str
    data: str | None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


@dataclass(frozen=True)
class ReceptiveField:
    """How far one output looks to each side, in mel frames (2 frames = 1 step)."""

    decoder: int
    vocos: int
    istft: int

    @property
    def frames(self) -> int:
        """Mel frames of context each side that make a windowed decode equal the whole one."""
        return self.decoder + self.vocos + self.istft

    @property
    def steps(self) -> int:
        """The same in generation steps, rounded up."""
        return -(-self.frames // 2)


@dataclass(frozen=True)
class ModelInfo:
    """Sizes of the model, as read from the checkpoint; ``kv_dtype`` is a numpy type name."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    num_vq: int
    num_audio_tokens: int
    num_text_tokens: int
    max_position_embeddings: int
    sample_rate: int
    hop_length: int
    num_mels: int
    kv_dtype: str
    receptive_field: ReceptiveField

    @property
    def end_token(self) -> int:
        """The audio code that ends an utterance: the last of the ``num_audio_tokens``."""
        return self.num_audio_tokens - 1

    @property
    def samples_per_step(self) -> int:
        """Audio samples of one generation step (two mel frames)."""
        return 2 * self.hop_length

    def samples(self, steps: int) -> int:
        """Length in samples of an utterance of ``steps`` steps: ``(2 * steps - 1) * hop``."""
        return max(0, 2 * steps - 1) * self.hop_length


@dataclass(frozen=True)
class Manifest:
    """The content of ``manifest.json``.

    ``checkpoint`` and ``tools`` are records for people; ``generation`` holds the defaults of the
    passes ``code`` and ``refine``; ``tokens`` maps each control token to its id; ``notes`` is free
    for the variant's maker (quantization target, excluded nodes).
    """

    variant: str
    checkpoint: Mapping[str, Any]
    tools: Mapping[str, str]
    model: ModelInfo
    graphs: Mapping[str, GraphInfo]
    generation: Mapping[str, Mapping[str, float]]
    tokens: Mapping[str, int]
    files: Mapping[str, FileInfo] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    @classmethod
    def load(cls, folder: Path | str, verify: bool = True) -> Manifest:
        """Read ``folder/manifest.json``; with ``verify`` check size and sha256 of every file.

        Raises :class:`BundleError` when the folder is no bundle, is damaged, or has a format
        version that this release does not read.
        """
        root = Path(folder)
        manifest = cls.from_dict(_read_json(root / MANIFEST_NAME), root)
        manifest._check_graph_files(root)
        if verify:
            verify_files(root, manifest.files)
        return manifest

    @classmethod
    def from_dict(cls, value: Any, root: Path) -> Manifest:
        """Build from parsed JSON; ``root`` is only named in error messages."""
        where = root / MANIFEST_NAME
        if not isinstance(value, dict):
            raise BundleError(f"{where}: expected a JSON object, found {type(value).__name__}.")
        version = value.get("format_version")
        if version != FORMAT_VERSION:
            raise BundleError(
                f"{where}: format_version is {brief(version)}, this release reads "
                f"{FORMAT_VERSION}. "
                "Install the chattts_onnx release the bundle was made for, or rebuild the bundle."
            )
        try:
            graphs = {name: _graph(entry) for name, entry in value["graphs"].items()}
            return cls(
                variant=str(value["variant"]),
                checkpoint=dict(value["checkpoint"]),
                tools=dict(value["tools"]),
                model=_model(value["model"]),
                graphs=graphs,
                generation={k: dict(v) for k, v in value["generation"].items()},
                tokens={k: int(v) for k, v in value["tokens"].items()},
                files={k: _file(v) for k, v in value["files"].items()},
                notes=dict(value.get("notes", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BundleError(
                f"{where}: malformed ({type(error).__name__}: {brief_text(error)}). Rebuild the "
                "bundle."
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, ``format_version`` first."""
        value = asdict(self)
        return {"format_version": value.pop("format_version"), **value}

    def write(self, folder: Path | str) -> Manifest:
        """Hash every file of ``folder``, write ``manifest.json`` in one rename, return the result.

        Raises :class:`BundleError` when a graph of the manifest is not in the folder.
        """
        root = Path(folder)
        complete = replace(self, files=hash_files(root, skip=MANIFEST_NAME))
        complete._check_graph_files(root)
        text = json.dumps(complete.to_dict(), indent=2, ensure_ascii=False) + "\n"
        write_file(root / MANIFEST_NAME, text.encode())
        return complete

    def graph(self, name: str) -> GraphInfo:
        """The entry of one graph, or :class:`BundleError` naming those there are."""
        if name not in self.graphs:
            raise BundleError(
                f"this bundle has no graph {name!r} (it has {brief(sorted(self.graphs))}). "
                "Rebuild it with the current pipeline."
            )
        return self.graphs[name]

    def token(self, name: str) -> int:
        """The id of a control token such as ``[Stts]``, or :class:`BundleError`."""
        if name not in self.tokens:
            raise BundleError(
                f"the bundle's tokenizer has no control token {name}; the prompt needs it. "
                "Use the tokenizer of a ChatTTS checkpoint."
            )
        return self.tokens[name]

    def _check_graph_files(self, root: Path) -> None:
        for name in REQUIRED_GRAPHS:
            self.graph(name)
        for name, graph in self.graphs.items():
            if not graph.inputs or not graph.outputs:
                raise BundleError(f"{root}: graph {brief(name)} lists no inputs or no outputs.")
            for file in (graph.file, graph.data):
                if file is not None and file not in self.files:
                    raise BundleError(
                        f"{root}: graph {brief(name)} needs {brief(file)}, which is not among the "
                        "bundle's "
                        "files. Copy or build the bundle again."
                    )


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise BundleError(
            f"{path} not found. Expected a bundle folder (manifest.json with the graphs beside "
            "it), such as bundles/int8; build one with `make repro` or download one."
        )
    try:
        return parse_json(read_limited(path, MAX_MANIFEST_BYTES))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} is not valid JSON ({error}). Copy the bundle again.") from error


def _build(kind: type[_T], value: Mapping[str, Any]) -> _T:
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: item for key, item in value.items() if key in names})


def _graph(value: Mapping[str, Any]) -> GraphInfo:
    return GraphInfo(
        file=str(value["file"]),
        data=None if value.get("data") is None else str(value["data"]),
        inputs=tuple(_tensor(entry) for entry in value["inputs"]),
        outputs=tuple(_tensor(entry) for entry in value["outputs"]),
    )


def _tensor(value: Mapping[str, Any]) -> TensorInfo:
    return TensorInfo(str(value["name"]), str(value["dtype"]), tuple(value["shape"]))


def _file(value: Mapping[str, Any]) -> FileInfo:
    info = _build(FileInfo, value)
    if not isinstance(info.sha256, str) or not _is_whole(info.bytes, 0):
        raise ValueError(f"{brief(value)} is no hash with a size")
    return info


def _is_whole(value: object, least: int, most: int = 1 << 62) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _model(value: Mapping[str, Any]) -> ModelInfo:
    field_ = _build(ReceptiveField, value["receptive_field"])
    model = _build(ModelInfo, {**value, "receptive_field": field_})
    sizes = {f.name: getattr(model, f.name) for f in fields(model) if f.type == "int"}
    reach = {f.name: getattr(field_, f.name) for f in fields(field_)}
    for least, group in ((1, sizes), (0, reach)):
        for name, size in group.items():
            low = _LEAST_RATE if name == "sample_rate" else least
            most = LARGEST.get(name, _LARGEST_REACH)
            if not _is_whole(size, low, most):
                raise ValueError(f"{name} is {brief(size)}, no whole number of {low} to {most}")
    if model.kv_dtype not in KV_DTYPES:
        raise ValueError(f"kv_dtype {brief(model.kv_dtype)} is none of {', '.join(KV_DTYPES)}")
    return model
