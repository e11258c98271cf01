"""What a bundle's checkpoint can do, and what somebody asks of it that it cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .manifest import Manifest

LANGUAGES = {"zh": "Mandarin", "en": "English", "mixed": "both languages in one sentence"}
"""Languages by their codes; ``mixed`` is Latin words within a Mandarin sentence."""

OPTIONS = ("breaks", "clone", "laugh", "oral", "refine", "speed")
"""What may act: ``[uv_break]`` and the like, samples, laughter, colloquial speech, the refine
pass, the tempo."""


class AbilityWarning(UserWarning):
    """A bundle is asked for what its checkpoint cannot do."""


_TAGS = {
    "breaks": re.compile(r"\[(?:uv_break|v_break|lbreak|llbreak)\]"),
    "laugh": re.compile(r"\[laugh(?:_\d)?\]"),
    "oral": re.compile(r"\[oral_\d\]"),
    "speed": re.compile(r"\[speed_\d\]"),
}
_ANY_TAG = re.compile(r"\[[a-z_]+\d?\]|\[(?:pause|voice):[^\[\]]*\]")
_HAN = re.compile("[\u3400-\u9fff]")
_LATIN = re.compile("[A-Za-z]{2,}")
_SENTENCE = re.compile("[。！？.!?\n]+")


@dataclass(frozen=True)
class Abilities:
    """What a checkpoint can do: ``domain`` is a sentence on what it was trained to say."""

    domain: str
    languages: tuple[str, ...]
    options: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Manifest) -> Abilities | None:
        """Those that a bundle tells, None where it tells of none."""
        found = manifest.checkpoint.get("abilities")
        if not isinstance(found, Mapping):
            return None
        return cls(
            str(found.get("domain", "")),
            tuple(str(name) for name in found.get("languages", ())),
            tuple(str(name) for name in found.get("options", ())),
        )

    def missing_languages(self, text: str) -> list[str]:
        """Languages of ``text`` that it does not speak, as codes."""
        found = set()
        for sentence in _SENTENCE.split(_ANY_TAG.sub(" ", text)):
            chinese, latin = _HAN.search(sentence), _LATIN.search(sentence)
            if chinese or latin:
                found.add("mixed" if chinese and latin else "zh" if chinese else "en")
        return [name for name in LANGUAGES if name in found and name not in self.languages]

    def missing_options(self, text: str, asked: Mapping[str, Any]) -> list[str]:
        """Options, of ``asked`` (the keyword options of ``say``) and of the tags in ``text``, that
        have no effect."""
        prompt = str(asked.get("refine_prompt") or "")
        found = {name for name, tag in _TAGS.items() if tag.search(text) or tag.search(prompt)}
        given = {name for name, value in asked.items() if value is not None}
        found |= given & {"speed", "oral", "laugh"}
        if asked.get("sample") is not None:
            found.add("clone")
        refining = any(asked.get(name) for name in ("refine", "refine_prompt"))
        if "break_" in given or refining or not asked.get("skip_refine", True):
            found.add("refine")
        return [name for name in OPTIONS if name in found and name not in self.options]


def has_random_weights(checkpoint: Mapping[str, Any]) -> bool:
    """True where a checkpoint, as a manifest describes it, was drawn from a seed, not trained."""
    kind, source = str(checkpoint.get("kind", "")), str(checkpoint.get("source", ""))
    return kind.startswith("seeded") or source.startswith("seed:")


def shortfalls(manifest: Manifest, text: str, asked: Mapping[str, Any]) -> list[str]:
    """What a bundle is asked for and cannot do, a sentence each; nothing where it does not tell.

    Args:
        manifest: the bundle's.
        text: what is to be spoken, tags included.
        asked: keyword options of ``say``.
    """
    abilities = Abilities.of(manifest)
    if abilities is None:
        return []
    name = manifest.checkpoint.get("name", manifest.variant)
    return [
        *(
            f"the checkpoint {name} was not trained on {LANGUAGES[language]}; it knows: "
            f"{abilities.domain}"
            for language in abilities.missing_languages(text)
        ),
        *(
            f"{option} has no effect: the checkpoint {name} was not trained for it"
            for option in abilities.missing_options(text, asked)
        ),
    ]
