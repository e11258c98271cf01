from __future__ import annotations

from mini import text
from mini.pieces import FEW, choose, longest_first
from mini.tokenizer import build_tokenizer

LEXICON = {
    "come": "kʌm", "welcome": "wɛlkəm", "person": "pɜɹsən", "personal": "pɜɹsənəl",
    "report": "ɹəpɔɹt", "reporter": "ɹəpɔɹtəɹ", "sport": "spɔɹt", "sports": "spɔɹts",
    "moment": "mOmənt", "momentum": "mOmɛntəm", "comment": "kɑmənt", "salesperson": "sAlzpɜɹsən",
}  # fmt: skip


def test_the_longest_piece_at_each_place_says_every_word_right() -> None:
    pieces = choose(LEXICON)
    for word, sounds in LEXICON.items():
        found = longest_first(word, pieces)
        assert found is not None
        assert "".join(pieces[piece] for piece in found) == sounds


def test_the_tokenizer_cuts_words_as_the_pieces_were_chosen() -> None:
    known = text.sounds()
    pieces = {piece: "".join(parts) for piece, parts in known.items()}
    for word in text.words()[:500]:
        assert build_tokenizer().encode(word, add_special_tokens=False).tokens == longest_first(
            word, pieces
        ), word


def test_most_words_are_said_in_pieces_of_few_sounds() -> None:
    sizes = {
        piece: sum(part[0].isdigit() for part in parts) for piece, parts in text.sounds().items()
    }
    short = [
        max(sizes.get(token, 1) for token in build_tokenizer().encode(word).tokens) <= FEW
        for word in text.words()[:2000]
    ]
    assert sum(short) >= 0.8 * len(short)
