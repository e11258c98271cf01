"""What normalisation did to a text, entry by entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

# What the passes around the number rules do; a number rule says it itself.
REASONS = {
    "lexicon": "a word of the lexicon has the speech that it gives",
    "erhua": "a 儿 that is no syllable of its own is left out (花儿 as 花)",
    "abbreviation": "an abbreviation is said in full",
    "initialism": "capitals that are no word are spelled",
    "url": "an address is read by its parts, a long one up to its host",
    "e-mail": "an address is read by its parts",
    "file name": "the dot of a file name is said",
    "symbol": "a sign is said by its name, or left out where it only sets words apart",
    "comparison": "a sign between letters or numbers compares them",
    "unknown symbol": "no rule knows the sign, so it is left out",
    "emoji": "a picture is left out, or named where the option asks for it",
    "character": "a character that looks like others is read as they are",
    "digit": "a digit of another script is a digit",
    "keycap": "a key is read as what is on it",
    "fraction": "one character is a fraction",
    "control character": "a character without a shape is left out",
    "prompt token": "a token that would change the model's prompt is left out",
    "pause": "a pause of a length that the author asks for",
    "voice": "what follows is for another voice",
    "element": "an element of HTML or SSML is markup; breaks and paragraphs become pauses",
    "comment": "a comment is not for listeners",
    "entity": "an entity of HTML is the character that it names",
    "thought": "what a language model thinks or asks its tools is not for listeners",
    "chat token": "a mark of a chat template sets turns apart",
    "citation": "a citation of a search is not for listeners",
    "formula": "a formula is read in words",
    "heading": "a heading is read with a pause after it",
    "list item": "an item is read with a pause after it, without its bullet",
    "quote": "the mark of a quotation is left out",
    "rule": "a line across the page is a pause",
    "table": "a table is read row by row",
    "link": "a link says its text",
    "image": "a picture says its description",
    "footnote": "the mark of a footnote is left out",
    "emphasis": "marks of emphasis are left out",
    "code": "code is read, or left out where the option asks for it",
    "code fence": "the fence of a block of code is left out",
}


@dataclass(frozen=True)
class Change:
    """One replacement: ``found`` was read by rule ``kind`` as ``spoken`` (empty: left out).

    ``why`` says in a sentence what the rule reads.
    """

    kind: str
    found: str
    spoken: str
    why: str = field(default="", compare=False)

    def __str__(self) -> str:
        spoken = repr(self.spoken) if self.spoken else "left out"
        return f"{self.kind}: {self.found!r} -> {spoken}"


@dataclass
class Report:
    """Every change to a text, in the order of the passes that made them."""

    changes: list[Change] = field(default_factory=list)

    def add(self, kind: str, found: str, spoken: str, why: str = "") -> str:
        """Note a change; returns ``spoken``.  What stays as it was is not noted."""
        if found != spoken:
            self.changes.append(Change(kind, found, spoken, why or REASONS.get(kind, "")))
        return spoken

    @property
    def dropped(self) -> list[Change]:
        """The changes that left something out."""
        return [change for change in self.changes if not change.spoken.strip()]

    def counts(self) -> dict[str, int]:
        """Number of changes of each kind."""
        return dict(Counter(change.kind for change in self.changes))

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)


@dataclass(frozen=True)
class Normalized:
    """A speakable ``text`` and the ``report`` of what was done to get it."""

    text: str
    report: Report

    def __str__(self) -> str:
        return self.text
