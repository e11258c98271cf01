"""Export all graphs of a checkpoint and check them against their modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import Progress
from torch import Tensor

from pipeline.export import decoders, gpt
from pipeline.export.common import GraphSpec, export_graph, save_model
from pipeline.export.config import ExportConfig
from pipeline.export.parity import ParityRow, check_parity, resize
from pipeline.reference.load import Modules


@dataclass(frozen=True)
class ExportResult:
    """Node count of each graph, and its parity at each optimization level."""

    nodes: dict[str, int]
    parity: list[ParityRow]


def export_all(modules: Modules, config: ExportConfig, folder: Path, seed: int) -> ExportResult:
    """Write the plain FP32 graphs into ``folder``.

    Raises:
        ExportError: a graph can't be exported, is invalid, or differs from its module.
    """
    specs = [gpt.spec(modules.gpt), *decoders.specs(modules)]
    rows: list[ParityRow] = []
    nodes = {}
    with Progress() as progress:
        task = progress.add_task("export", total=len(specs))
        for spec in specs:
            progress.update(task, description=f"export {spec.name}")
            model = export_graph(spec, config.opset)
            save_model(model, folder, spec.name)
            nodes[spec.name] = model.graph.num_nodes()
            del model
            cases = draw_cases(spec, modules.dims.num_text_tokens, config.parity_cases, seed)
            rows += check_parity(folder / f"{spec.name}.onnx", spec, cases, config.tolerance)
            progress.advance(task)
    return ExportResult(nodes, rows)


def draw_cases(
    spec: GraphSpec, num_text_tokens: int, count: int, seed: int
) -> list[Mapping[str, Tensor]]:
    """Draw ``count`` inputs of random shapes; the GPT's first is text with an empty cache."""
    generator = torch.Generator().manual_seed(seed)

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    cases: list[Mapping[str, Tensor]] = []
    for index in range(count):
        past = 0 if index == 0 else pick(1, 40)
        sequence = pick(2, 30) if index == 0 else 1
        sizes = {
            "batch": pick(1, 4),
            "sequence": sequence,
            "past": past,
            "total": past + sequence,
            "selected": pick(1, 4),
            "steps": pick(2, 60),
            "frames": 2 * pick(2, 60),
            "samples": pick(2048, 12000),
        }
        case = resize(spec, sizes, generator)
        if spec.name == gpt.NAME:
            case = _gpt_case(case, past, generator)
            if past == 0:
                case["input_ids"] = case["input_ids"] % num_text_tokens
        cases.append(case)
    return cases


def _gpt_case(case: dict[str, Tensor], past: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Make a drawn case meaningful: left padding, positions, and an index within the rows."""
    batch, sequence = case["text_mask"].shape
    total = past + sequence
    padding = torch.randint(0, max(1, total // 2), (batch, 1), generator=generator)
    mask = (torch.arange(total) >= padding).to(torch.int64)
    positions = (mask.cumsum(-1) - 1).clamp_min(0)[:, past:]
    rows = torch.arange(batch * sequence).view(batch, sequence)
    # the last column is never padding; padding's own results mean nothing
    index = rows[:, -1][torch.arange(len(case["logits_index"])) % batch]
    text = torch.full((batch, sequence), past == 0)
    case |= {"attention_mask": mask, "position_ids": positions.contiguous()}
    return {**case, "logits_index": index, "text_mask": text}
