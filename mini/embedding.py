"""Text embeddings that know how tokens sound.

A Mandarin character's embedding is the sum of its initial, final and tone, an English word's that
of its phonemes, each at its place; every token has something of its own beside it.  So all
characters of a syllable learn together, and a character never heard speaks too.  The checkpoint
holds the sums, in the official form.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mini import text
from mini.text import PLACES
from mini.tokenizer import vocabulary

# what a token that sounds has of its own, against what its sounds give
OWN = 0.35


@cache
def sounds() -> tuple[Tensor, int]:
    """Return which sounds each token is the sum of, int64 [tokens, places], and how many there
    are; zero is no sound."""
    tokens = vocabulary()
    numbers: dict[str, int] = {}
    table = torch.zeros(len(tokens), PLACES, dtype=torch.int64)
    for token, parts in text.sounds().items():
        found = [numbers.setdefault(part, len(numbers) + 1) for part in parts]
        table[tokens[token], : len(found)] = torch.tensor(found)
    return table, len(numbers) + 1


class TextEmbedding(nn.Module):
    """Embeddings [tokens, hidden] as sums, see the module."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        places, count = sounds()
        self.own = nn.Parameter(torch.randn(len(places), hidden) * hidden**-0.5)
        with torch.no_grad():
            self.own[places[:, 0] > 0] *= OWN
        self.parts = nn.Parameter(torch.randn(count, hidden) * hidden**-0.5 * 0.5)
        known = places > 0
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("flat", places[known], persistent=False)
        begins = known.sum(1).cumsum(0) - known.sum(1)
        self.register_buffer("begins", begins, persistent=False)
        self.places: Tensor
        self.flat: Tensor
        self.begins: Tensor

    def forward(self, ids: Tensor) -> Tensor:
        """Return the embeddings [..., hidden] of token ids [...]."""
        places = self.places[ids]
        sound = (self.parts[places] * (places > 0).unsqueeze(-1)).sum(-2)
        return self.own[ids] + sound

    def table(self) -> Tensor:
        """Return all of them [tokens, hidden]."""
        return self.own + F.embedding_bag(self.flat, self.parts, self.begins, mode="sum")
