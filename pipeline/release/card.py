"""The model card of a release: every figure in it comes from a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chattts_onnx.format.abilities import LANGUAGES, OPTIONS, Abilities
from chattts_onnx.format.manifest import Manifest
from pipeline.graphs.products import ARITHMETIC, BYTES, product_table
from pipeline.headline import PLAIN_COLUMNS, SPEECH_COLUMNS
from pipeline.release.licences import CODE_LICENCE, Weights
from pipeline.report.gates import gates_table
from pipeline.report.measured import Measured
from pipeline.report.metrics import metrics_table
from pipeline.report.rows import Rows, select, variants_of
from pipeline.report.write import markdown_table


def model_card(
    name: str,
    bundles: Mapping[str, Manifest],
    measured: Measured,
    weights: Weights,
    files: Mapping[str, Sequence[tuple[str, int]]],
) -> str:
    """The card as Markdown with the header that model hubs read.

    Args:
        name: of the release, such as ``chattts-onnx-0.1.0-mini``.
        bundles: manifest of each released variant.
        measured: rows of the reports.
        weights: licence of the weights.
        files: name and bytes of each archive (or its parts), by variant.
    """
    abilities = Abilities.of(next(iter(bundles.values()))) if bundles else None
    parts = [
        _header(weights, abilities),
        f"# {name}",
        _warning(weights),
        _what(bundles, measured),
        _abilities(abilities),
        "\n\n".join(["## How good and how fast", *measured.busy, _table(bundles, measured)]),
        _arithmetic(measured),
        _speech(bundles, measured),
        _machine(measured),
        "## Gates\n\n" + gates_table([g for v in bundles for g in measured.gates_of(v)]),
        "## Limits\n\n" + _limits(measured),
        "## Licences\n\n" + _licences(weights),
        "## Files\n\n" + _files(files),
        _use(name, bundles),
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _header(weights: Weights, abilities: Abilities | None) -> str:
    licence = "other" if weights.refusal else "apache-2.0"
    lines = ["library_name: onnxruntime", "pipeline_tag: text-to-speech", f"license: {licence}"]
    if weights.refusal:
        lines.append(f'license_name: "{weights.licence or "unknown"}"')
    known = abilities.languages if abilities else ("zh", "en")
    languages = ", ".join(name for name in known if name != "mixed")
    return "\n".join(
        ["---", *lines, f"language: [{languages}]", "tags: [onnx, tts, chattts]", "---"]
    )


def _warning(weights: Weights) -> str:
    if weights.non_commercial:
        return (
            f"> **Not for commercial use.** The weights are under {weights.licence}, and so are "
            "these bundles."
        )
    if weights.refusal:
        return f"> **Licence unclear**: {weights.refusal}. Ask its owner before passing it on."
    return ""


def _abilities(abilities: Abilities | None) -> str:
    if abilities is None:
        return ""
    languages = ", ".join(LANGUAGES.get(name, name) for name in abilities.languages)
    lines = [f"- {abilities.domain}", f"- languages: {languages}"]
    for title, acts in (("act", True), ("have no effect", False)):
        if names := [name for name in OPTIONS if (name in abilities.options) == acts]:
            lines.append(f"- options that {title}: {', '.join(names)}")
    return "## What it can do\n\n" + "\n".join(lines)


def _what(bundles: Mapping[str, Manifest], measured: Measured) -> str:
    checkpoint = measured.checkpoint
    model = next(iter(bundles.values())).model if bundles else None
    lines = [
        "ONNX bundles of a ChatTTS checkpoint: text to speech by ONNX Runtime alone, without "
        "PyTorch. Each is checked against the FP32 PyTorch reference of the same weights.",
        "",
        f"- checkpoint: `{checkpoint.get('name')}` ({checkpoint.get('kind')}), from "
        f"`{checkpoint.get('source')}`, revision `{checkpoint.get('revision')}`",
    ]
    if measured.random_weights:
        lines.append(
            "- **random weights**: the figures say how fast the bundles are and how near to the "
            "reference; they speak no words"
        )
    if model:
        lines.append(
            f"- GPT of {model.num_hidden_layers} layers of {model.hidden_size}, {model.num_vq} "
            f"codes a step, {model.sample_rate:,} Hz, "
            f"{model.max_position_embeddings:,} positions"
        )
    return "\n".join(lines)


def _shown(bundles: Mapping[str, Manifest], rows: Rows) -> list[str]:
    measured = variants_of(rows)
    return [variant for variant in ("reference", *bundles) if variant in measured]


def _table(bundles: Mapping[str, Manifest], measured: Measured) -> str:
    table = metrics_table(measured.rows, PLAIN_COLUMNS, _shown(bundles, measured.rows))
    note = (
        "`reference` is eager FP32 PyTorch. Steps/s are those of batch 1 (real time is 46.875); "
        "RTF is seconds of work for a second of audio; KL in thousandths of a nat, top-1 is the "
        "share of steps with the same most likely code, both over all code books and under "
        "teacher forcing; mel L1 is of the decoded audio."
    )
    return f"{table}\n\n{note}"


def _arithmetic(measured: Measured) -> str:
    if not any(row["metric"] == BYTES for row in measured.rows):
        return ""
    return (
        f"## {ARITHMETIC}\n\n{product_table(measured.rows)}\n\nShares of the weights that products "
        "read, and of the time that they take in ONNX Runtime. Static: integers with ranges from "
        "calibration; dynamic: activations rounded at run time, a scale a block; on CUDA those "
        "products are of floats."
    )


def _speech(bundles: Mapping[str, Manifest], measured: Measured) -> str:
    rows = [row for metric in SPEECH_COLUMNS for row in select(measured.rows, metric.name)]
    if not rows:
        return ""
    table = metrics_table(rows, SPEECH_COLUMNS, _shown(bundles, rows))
    return (
        f"## What a listener notices\n\n{table}\n\nHeard by machines: a speech recogniser and a "
        "network trained on people's scores (DNSMOS P.808), not by people. Intervals are in "
        "`reports/speech.md`."
    )


def _machine(measured: Measured) -> str:
    machine = measured.machine
    isa = ", ".join(machine.get("isa") or [])
    versions = ", ".join(f"{name} {found}" for name, found in sorted(measured.versions.items()))
    return (
        f"Measured on {machine.get('cpu')}, {machine.get('cores')} cores"
        f"{f' ({isa})' if isa else ''}, {machine.get('os')}, Python {machine.get('python')}; "
        f"{versions}. Speed differs between machines; `chattts-onnx doctor` says what yours has."
    )


def _limits(measured: Measured) -> str:
    lines = [
        "- Codes are sampled; there is no greedy mode, so the same text sounds different with "
        "another seed.",
        "- `fp16` is for GPUs: on a CPU its values are cast at run time.",
        "- `int8` quantizes activations with ranges of the calibration sentences; text far from "
        "them may lose more than the figures say.",
        "- Kernels differ between processors: on another instruction set figures of quality move "
        "a little and those of speed a lot.",
    ]
    if measured.random_weights:
        lines.insert(0, "- Random weights: what comes out is no speech.")
    if "speech" not in measured.names:
        lines.append("- Intelligibility was not measured for this release.")
    return "\n".join(lines)


def _licences(weights: Weights) -> str:
    return (
        f"- code: {CODE_LICENCE}\n- weights: {weights.licence or 'not stated'}; a bundle carries "
        "the licence of the weights it was made from"
    )


def _files(files: Mapping[str, Sequence[tuple[str, int]]]) -> str:
    lines = [
        [f"`{name}`", variant, f"{size / 1e6:,.1f} MB"]
        for variant, entries in files.items()
        for name, size in entries
    ]
    table = markdown_table(["file", "holds", "size"], lines) if lines else "No archives."
    return (
        f"{table}\n\n`SHA256SUMS` has the hash of every file, `sbom.cdx.json` what they need and "
        "were made with, `provenance.json` commit, parameters and checkpoint."
    )


def _use(name: str, bundles: Mapping[str, Manifest]) -> str:
    variant = "int8" if "int8" in bundles else next(iter(bundles), "int8")
    return f"""## Use

```console
$ chattts-onnx fetch {name}-{variant}.tar -o {variant}
$ chattts-onnx say "Hello there." -b {variant} -o hello.wav --voice 7
```"""
