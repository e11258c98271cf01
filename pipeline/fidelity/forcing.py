"""Teacher forcing: a variant predicts the same codes as the reference, step by step.

Sampling never yields the same codes twice once the logits differ a little, so models are compared
on the codes that the reference generated, each step seeing the reference's history.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.fidelity.metrics import Floats, cosine_similarity, kl_divergence, top1_agreement
from pipeline.fidelity.models import Array, Candidate, Spoken, SpokenPrompt, pad_left
from pipeline.report.metrics import Metric
from pipeline.report.rows import Row

TEXT_POSITIONS = 64
"""Hidden states a batch that the text head is judged on: its 21 178 logits each take memory."""

KL = Metric(
    name="kl_divergence", unit="nat", better="lower", best=0.0, conditions=("head",),
    title="KL", where={"head": "all"}, factor=1e3, shown="mnat", digits=".3g",
    headline="kl_mnat",
)  # fmt: skip
TOP1 = Metric(
    name="top1_agreement", unit="share", better="higher", best=1.0, conditions=("head",),
    title="top-1", where={"head": "all"}, factor=100.0, shown="%", digits=".2f",
    headline="top1",
)  # fmt: skip
COSINE = Metric(
    name="hidden_cosine", unit="cosine", better="higher", best=1.0, title="hidden cosine",
    digits=".5f",
)  # fmt: skip
WORST_COSINE = Metric(name="hidden_cosine_min", unit="cosine", better="higher", best=1.0)
METRICS = (KL, TOP1, COSINE, WORST_COSINE)


@dataclass(frozen=True)
class ForcedBatch:
    """A left-padded batch of prompts with codes to force and the reference's answers.

    Attributes:
        text_ids: int64 [B, S, num_vq].
        attention_mask: int64 [B, S], 1 at valid positions.
        speaker: float32 [B, hidden].
        codes: int64 [B, T, num_vq], zeros after each row's end.
        lengths: codes of each row, the end not counted.
        valid: bool [B, T], steps that count: those with a code and the one that ends the row.
        hidden: the reference's, [B, T, hidden].
        logits: the reference's, [B, T, num_vq, tokens].
        text_hidden: some of the valid hidden states, [n, hidden].
        text_logits: the reference's of the refine pass for those, [n, text tokens].
    """

    text_ids: Array
    attention_mask: Array
    speaker: Array
    codes: Array
    lengths: list[int]
    valid: Array
    hidden: Array
    logits: Array
    text_hidden: Array
    text_logits: Array


def force_reference(
    reference: Candidate, prompts: list[SpokenPrompt], spoken: list[Spoken]
) -> ForcedBatch:
    """Batch the reference's own generations and run it over them.

    The step after a finished row's last code counts too: it is where the end is predicted, and
    codes that stand after it cannot reach back.
    """
    text_ids, attention_mask = pad_left([prompt.ids for prompt in prompts])
    lengths = [len(item.codes) + int(item.finished) for item in spoken]
    codes = np.zeros((len(spoken), max(lengths), text_ids.shape[2]), dtype=np.int64)
    valid = np.zeros(codes.shape[:2], dtype=bool)
    for row, (item, length) in enumerate(zip(spoken, lengths, strict=True)):
        codes[row, : len(item.codes)] = item.codes
        valid[row, :length] = True
    speaker = np.stack([prompt.speaker for prompt in prompts]).astype(np.float32)
    hidden, logits = reference.forced(text_ids, attention_mask, codes, speaker)
    text_hidden = hidden[valid][:TEXT_POSITIONS]
    return ForcedBatch(
        text_ids=text_ids,
        attention_mask=attention_mask,
        speaker=speaker,
        codes=codes,
        lengths=[len(item.codes) for item in spoken],
        valid=valid,
        hidden=hidden,
        logits=logits,
        text_hidden=text_hidden,
        text_logits=reference.text_logits(text_hidden),
    )


def forced_rows(variant: str, model: Candidate, batches: list[ForcedBatch]) -> list[Row]:
    """Rows of :data:`METRICS` for ``variant`` over all valid steps of ``batches``."""
    divergences, agreements, cosines, text = [], [], [], []
    for batch in batches:
        hidden, logits = model.forced(
            batch.text_ids, batch.attention_mask, batch.codes, batch.speaker
        )
        keep = batch.valid
        divergences.append(kl_divergence(batch.logits[keep], logits[keep]))
        agreements.append(top1_agreement(batch.logits[keep], logits[keep]))
        cosines.append(cosine_similarity(batch.hidden[keep], hidden[keep]))
        text.append(model.text_logits(batch.text_hidden))
    cosine = np.concatenate(cosines)
    text_pair = np.concatenate([b.text_logits for b in batches]), np.concatenate(text)
    return [
        *_head_rows(KL, variant, np.concatenate(divergences), kl_divergence(*text_pair)),
        *_head_rows(TOP1, variant, np.concatenate(agreements), top1_agreement(*text_pair)),
        COSINE.row(variant, float(cosine.mean())),
        WORST_COSINE.row(variant, float(cosine.min())),
    ]


def _head_rows(metric: Metric, variant: str, values: Floats, text: Floats) -> list[Row]:
    """A row over all code heads, one for each, one of the text head.

    Args:
        metric: what was measured.
        variant: of whom.
        values: of the code heads, [steps, num_vq].
        text: of the text head, [positions].
    """
    single = {str(i): values[:, i] for i in range(values.shape[1])}
    heads = {"all": values, **single, "text": text}
    return [metric.row(variant, float(v.mean()), head=head) for head, v in heads.items()]
