"""The voices that a bundle knows: by seed, by name, from files."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from ..errors import VoiceError
from ..text.core.language import Spoken
from ..untrusted import brief, brief_text, read_limited
from . import files
from . import vectors as voices
from .mixing import mix, parse_mix
from .vectors import Speaker, SpeakerStatistics, Voice

STATISTICS = "statistics.txt"
_KINDS = (".json", ".csv", ".tsv", ".npy", ".npz", ".safetensors", ".txt")
# 768 FP16 numbers, twice, take 900 characters.
_MAX_STATISTICS_BYTES = 1 << 20
# Of any generator; longer ones are no seeds.
_MAX_SEED_DIGITS = 100
# Of a voice that a client names; a text form of 768 numbers takes some 800 characters.
_LARGEST_SEED, _LONGEST_VOICE = 2**32 - 1, 8192
_NAME = re.compile(r"[^\W\d][\w-]*")


class VoiceShelf:
    """Voices of ``hidden_size`` numbers; ``folder`` holds the named ones and may be absent."""

    def __init__(self, folder: Path, hidden_size: int) -> None:
        self.folder = folder
        self.hidden_size = hidden_size

    @property
    def names(self) -> dict[str, Path]:
        """Named voices with their files: those the bundle came with and those saved since."""
        found = sorted(self.folder.glob("*.*")) if self.folder.is_dir() else []
        return {f.stem: f for f in found if f.suffix.lower() in _KINDS and f.name != STATISTICS}

    def vector(self, voice: Voice) -> Speaker:
        """Speaker vector [hidden] of a seed, name, file, text form, mix of them, or vector.

        Raises :class:`VoiceError` naming what there is when nothing fits.
        """
        if isinstance(voice, int) or (isinstance(voice, str) and voice.isdecimal()):
            if isinstance(voice, str) and len(voice) > _MAX_SEED_DIGITS:
                raise VoiceError(f"a seed of {len(voice)} digits; expected {_MAX_SEED_DIGITS}.")
            return voices.random_speaker(int(voice), self.hidden_size, self.statistics)
        if not isinstance(voice, (str, Path)):
            return voices.check_speaker(voice, self.hidden_size, "the voice")
        if isinstance(voice, str) and voices.is_text_form(voice):
            return voices.decode_speaker(voice, self.hidden_size)
        path, _, name = str(voice).partition("#")
        names = self.names
        there = _is_file(Path(path))
        if path in names and not there:
            path = str(names[path])
        elif not there:
            mixed = mix(str(voice), self.vector)
            if mixed is not None:
                return mixed
            raise VoiceError(
                f"no voice {brief(path)}: expected a seed, a file, or one of this bundle's voices "
                f"({brief_text(', '.join(names)) or 'it has none'})."
            )
        return voices.load_speaker(path, self.hidden_size, name or None)

    def language(self, voice: Voice | None) -> Spoken | None:
        """The language that a voice's JSON notes (``"language": "en"``), for texts without letters.

        None for a voice that is no name or file, notes none, or is mixed of several languages.
        """
        if not isinstance(voice, (str, Path)):
            return None
        path = self.names.get(str(voice), Path(voice))
        if path.suffix.lower() == ".json" and _is_file(path):
            return files.noted_language(path)
        try:
            terms = parse_mix(str(voice))
        except VoiceError:
            return None
        spoken = {self.language(name) for name, _ in terms or () if name != str(voice)}
        return spoken.pop() if len(spoken) == 1 else None

    def shared(self, voice: str | int | None) -> Speaker | None:
        """Speaker vector [hidden] of a seed, name or text form that a client sent; None for none.

        Raises :class:`VoiceError`.  Files are not read, so that no client can probe the machine.
        """
        if voice is None or voice == "":
            return None
        if isinstance(voice, int) or voice.isdecimal():
            number = int(voice) if len(str(voice)) <= 10 else _LARGEST_SEED + 1
            if not 0 <= number <= _LARGEST_SEED:
                raise VoiceError(f"a voice's seed is a whole number of 0 to {_LARGEST_SEED}.")
            return self.vector(number)
        if voice in self.names:
            return self.vector(self.names[voice])
        # As ``is_text_form``, of voices of any size: no file's name is in the way here.
        if 16 < len(voice) <= _LONGEST_VOICE and voices.is_text_form(voice * 4):
            return voices.decode_speaker(voice, self.hidden_size)
        if (mixed := mix(voice, self._shared_part)) is not None:
            return mixed
        listed = ", ".join(self.names) or "it has none"
        raise VoiceError(f"no such voice; expected a seed, a text form, or a name ({listed}).")

    def _shared_part(self, name: str) -> Speaker:
        found = self.shared(name)
        if found is None:
            raise VoiceError(
                "a mix has a voice without a name; expected one such as joe(2)+ava(1)."
            )
        return found

    def save(self, name: str, voice: Voice) -> Path:
        """Save a voice under a name in the bundle's folder; returns its file.

        Raises :class:`VoiceError` when the name is taken or is no plain file name.
        """
        if not _NAME.fullmatch(name) or name == Path(STATISTICS).stem:
            raise VoiceError(
                f"{brief(name)} is no name for a voice; expected a letter, then letters, digits, "
                "_ or -."
            )
        if name in self.names:
            raise VoiceError(f"this bundle has a voice {name!r} already; choose another name.")
        seed = {"seed": int(str(voice))} if str(voice).isdecimal() else {}
        vector = self.vector(voice)
        self.folder.mkdir(exist_ok=True)
        target = self.folder / f"{name}.json"
        voices.save_speaker(target, vector, self.hidden_size, name=name, **seed)
        return target

    @cached_property
    def statistics(self) -> SpeakerStatistics | None:
        """Mean and deviation of the checkpoint's speakers, None where the bundle has none."""
        source = self.folder / STATISTICS
        if not source.is_file():
            return None
        try:
            text = read_limited(source, _MAX_STATISTICS_BYTES).decode()
        except (OSError, ValueError) as error:
            raise VoiceError(f"{source} cannot be read: {error}.") from error
        return SpeakerStatistics.from_text(text, self.hidden_size)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than any file's
        return False
