"""From a user's text to token ids: normalisation, clean-up, prompts, tokenizer."""

from .cleanup import clean_text
from .core.lexicon import Lexicon
from .core.options import TextOptions
from .core.report import Change, Normalized, Report
from .normalize import normalize
from .pieces import Piece, Said, bundle_reading, piece_limit, sentences_apart, split_pieces
from .prompts import Prompt, code_prompt, left_pad, refine_prompt, style_prompt
from .tokenizer import TextTokenizer

__all__ = [
    "Change",
    "Lexicon",
    "Normalized",
    "Piece",
    "Prompt",
    "Report",
    "Said",
    "TextOptions",
    "TextTokenizer",
    "bundle_reading",
    "clean_text",
    "code_prompt",
    "left_pad",
    "normalize",
    "piece_limit",
    "refine_prompt",
    "sentences_apart",
    "split_pieces",
    "style_prompt",
]
