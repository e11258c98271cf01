"""What ``reports/validation.md`` says beside the tables, and its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.report.figure import Panel, draw_panels
from pipeline.report.gates import GateResult, gates_section, verdict_line
from pipeline.report.rows import select
from pipeline.report.write import markdown_table

NOTES = """\
- Teacher forcing: reference and variant predict the codes that the reference generated, over
  left-padded batches. `kl_divergence` is KL(reference ‖ variant) in nats, `top1_agreement` the
  share of steps with the same most likely code, for each head, over the heads of the codes (`all`)
  and for the refine pass's head on the reference's hidden states (`text`). `hidden_cosine` is the
  mean over steps, `hidden_cosine_min` the worst one.
- Decoding: `decoder` and `dvae_decode` compare mels, `vocos` gets the reference's mel, and
  `decoder+vocos` and `dvae_decode+vocos` are whole paths from hidden states or codes to audio.
  `mel_l1` is in natural-log units; a waveform's log-mel is taken where there is no mel.
  `code_agreement` is the share of equal codes when both encode the reference's audio.
- Free generation: every model speaks by itself with the same seeds. One code that differs changes
  all that follow, so `identical_codes` is 1 for an exact variant and says little of others. The
  results are in `samples/`."""

RANDOM = (
    "**Random weights**: the checkpoint is seeded. The figures show how closely variants follow "
    "the reference; they say nothing of speech, and the samples are noise."
)


def sections(context: Mapping[str, Any], results: Sequence[GateResult]) -> list[str]:
    """Markdown blocks of ``reports/validation.md``."""
    blocks = [RANDOM] if context["checkpoint"].get("weights") == "random" else []
    return [
        verdict_line(results),
        *blocks,
        gates_section(results),
        f"## Placement\n\n{placement_table(context['placement'])}",
        f"## How it is measured\n\n{NOTES}",
    ]


def placement_table(placement: Mapping[str, Any]) -> str:
    """What ran the GPT's steps, and which provider how many nodes of each graph; the JSON has them
    by operator."""
    lines = [[variant, "gpt, steps", entry["step"]] for variant, entry in placement.items()]
    lines += [
        [variant, graph, ", ".join(f"{name} {sum(ops.values())}" for name, ops in ran.items())]
        for variant, entry in placement.items()
        for graph, ran in entry["nodes"].items()
    ]
    return markdown_table(["variant", "graph", "nodes by provider"], lines)


def draw_validation(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw ``reports/validation.png``."""

    distances = [{**row, "value": 1.0 - row["value"]} for row in select(rows, "hidden_cosine_min")]
    spectral = select(rows, "log_spectral_distance")
    panels = [
        Panel("KL(reference ‖ variant)", select(rows, "kl_divergence"), "head", True, "lower"),
        Panel("same most likely code", select(rows, "top1_agreement"), "head", False, "higher"),
        Panel("1 - hidden cosine, worst step", distances, log=True, better="lower"),
        Panel("log-mel distance", select(rows, "mel_l1"), "component", True, "lower"),
        Panel("log-spectral distance", spectral, group="component", better="lower"),
        Panel("signal to noise", select(rows, "snr_db"), group="component", better="higher"),
    ]
    draw_panels(path, "Variants against the FP32 reference", panels)
