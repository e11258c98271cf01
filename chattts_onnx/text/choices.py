"""The values that the options of text normalisation may take."""

from __future__ import annotations

from typing import Literal

Language = Literal["auto", "zh", "en"]
Numbers = Literal["auto", "digits", "cardinal"]
Erhua = Literal["merge", "keep"]
EmojiRule = Literal["drop", "name"]
Markup = Literal["auto", "plain", "ssml", "markdown"]
Code = Literal["read", "skip"]
Backend = Literal["auto", "rules", "wetext"]
