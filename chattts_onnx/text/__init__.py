"""From a user's text to token ids: normalisation, clean-up, prompts, tokenizer."""

from .cleanup import clean_text
from .lexicon import Lexicon
from .normalize import normalize
from .options import TextOptions
from .pieces import Piece, piece_limit, split_pieces
from .prompts import Prompt, code_prompt, left_pad, refine_prompt, style_prompt
from .report import Change, Normalized, Report
from .tokenizer import TextTokenizer

__all__ = [
    "Change",
    "Lexicon",
    "Normalized",
    "Piece",
    "Prompt",
    "Report",
    "TextOptions",
    "TextTokenizer",
    "clean_text",
    "code_prompt",
    "left_pad",
    "normalize",
    "piece_limit",
    "refine_prompt",
    "split_pieces",
    "style_prompt",
]
