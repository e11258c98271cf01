"""Which phonemes free generation says, ``python -m mini.phoneme_errors``.

The linear map that was trained along (:mod:`mini.gpt_model`) names the phoneme of every step of
what the GPT says by itself; they are compared with those of the held-out sentence.  It takes a
second a sentence and no judge, and tells whether the GPT reads its text or goes on from what it
has said.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.hearing.scoring import edit_distance
from chattts_onnx.text.prompts import code_prompt
from chattts_onnx.text.tokenizer import TextTokenizer
from mini import text
from mini.batches import Examples, pack
from mini.evaluate import MAX_STEPS
from mini.export import write_checkpoint
from mini.features import Features, read_features
from mini.generate import generate
from mini.gpt_model import Batch, TrainableGpt
from mini.phoneme_types import PHONEMES
from mini.sizes import mini_dims
from mini.train_decoder import load_gpt
from mini.trainer import averaged_weights, trained_hours
from mini.workspace import work_folder
from pipeline.checkpoint import layout
from pipeline.reference.model import Reference, load_reference

NAMES = "\0" + PHONEMES
NO_SOUND = set("\0 ˈˌː" + ';:,.!?—…"()“”')


def said(numbers: Sequence[int] | NDArray[np.generic]) -> list[str]:
    """Return the sounds in a row of phoneme numbers, each once, without marks and stress."""
    names = [NAMES[int(number)] for number in numbers]
    changes = [name for index, name in enumerate(names) if index == 0 or name != names[index - 1]]
    return [name for name in changes if name not in NO_SOUND]


def named(gpt: TrainableGpt, batch: Batch) -> list[str]:
    """Return the sounds that the GPT names along the codes of one sequence."""
    with torch.no_grad():
        _, _, halfway = gpt.hidden(batch)
        scores = gpt.sound_head(torch.nn.functional.rms_norm(halfway, halfway.shape[-1:]))
    return said(scores.argmax(-1).numpy())


def spoken_batch(
    gpt: TrainableGpt, item: Features, prompt: NDArray[np.int64], codes: NDArray[np.int64]
) -> Batch:
    """Return the sequence of a prompt and what was said, without anything to learn."""
    example = Examples(gpt.dims, np.random.default_rng(0)).plain(item)
    ids = np.concatenate([prompt, codes])[None]
    mask = np.arange(ids.shape[1])[None] < len(prompt)
    rows = torch.arange(len(prompt) - 1, ids.shape[1])
    nothing = torch.zeros(0)
    return Batch(
        torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(example.speaker[None]),
        rows, *[nothing] * 6,
    )  # fmt: skip


def phoneme_errors(
    gpt: TrainableGpt, reference: Reference, tokenizer: TextTokenizer, items: Sequence[Features]
) -> dict[str, float]:
    """Return the share of sounds that are wrong when it speaks freely, and over true codes."""
    counts = np.zeros(3)
    examples = Examples(gpt.dims, np.random.default_rng(0))
    for item in items:
        example, line = examples.plain(item), text.as_spoken(item.text)
        prompt = code_prompt(tokenizer, line, gpt.dims.num_vq, speaker=True).ids
        params = GenerationParams(max_new_tokens=MAX_STEPS)
        spoken = generate(reference, tokenizer, [line], example.speaker, params, 0)[0]
        wanted = said(item.phoneme_at)
        found = named(gpt, spoken_batch(gpt, item, prompt, spoken.codes))
        forced = named(gpt, pack([example], gpt.dims, None))
        print(f"{line}\n  wanted {''.join(wanted)}\n  said   {''.join(found)}", flush=True)
        counts += edit_distance(wanted, found), edit_distance(wanted, forced), len(wanted)
    return {"free": float(counts[0] / counts[2]), "forced": float(counts[1] / counts[2])}


def main() -> None:
    """Compare, print and note the figures in ``curves.jsonl``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--sentences", type=int, default=5, help="of each language")
    parser.add_argument("--skip", type=int, default=0, help="held-out sentences to leave out first")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    work = work_folder(arguments.work)
    gpt = load_gpt(mini_dims(), averaged_weights(work, "gpt"))
    heldout = [item for shard in read_features(work, "heldout") for item in shard]
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(work, Path(folder))
        reference = load_reference(Path(folder))
        tokenizer = TextTokenizer.load(Path(folder) / layout.TOKENIZER)
        for language in text.LANGUAGES:
            items = [item for item in heldout if item.language == language]
            items = items[arguments.skip : arguments.skip + arguments.sentences]
            figures[language] = phoneme_errors(gpt, reference, tokenizer, items)
    print({key: {k: round(v, 3) for k, v in value.items()} for key, value in figures.items()})
    line = {"time": round(time.time()), "name": "phonemes", **trained_hours(work), **figures}
    with (work / "curves.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
