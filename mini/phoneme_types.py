"""What is known of phonemes without the teacher's dictionaries."""

from __future__ import annotations

HAN = "\u4e00-\u9fff"
# a Mandarin character, an English word or a mark, and its phonemes
Piece = tuple[str, str]

# the teacher's phonemes, numbered from one; zero is silence at an end
PHONEMES = (
    ';:,.!?—…"()“” ̃ʣʥʦʨᵝꭧAIOQSTWYᵊabcdefhijklmnopqrstuvwxyzɑɐɒæβ'
    "ɔɕçɖðʤəɚɛɜɟɡɥɨɪʝɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃʈʧʊʋʌɣɤχʎʒʔˈˌːʰʲ↓→↗↘ᵻ"
)
PHONEME_IDS = {phoneme: index + 1 for index, phoneme in enumerate(PHONEMES)}
