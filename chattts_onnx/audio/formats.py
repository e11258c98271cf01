"""Formats of sound that are written: names, suffixes, and what libsndfile calls them."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError

FORMATS = ("wav", "raw", "flac", "mp3", "opus")
# Container and encoding.
SOUNDFILE = {"flac": ("FLAC", "PCM_16"), "mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS")}
SUFFIXES = {
    ".wav": "wav", ".wave": "wav", ".raw": "raw", ".pcm": "raw", ".flac": "flac", ".mp3": "mp3",
    ".opus": "opus", ".ogg": "opus", ".oga": "opus",
}  # fmt: skip
# What players take for something else than is made here.
_FOREIGN = {
    ".aac", ".aif", ".aiff", ".amr", ".ape", ".au", ".caf", ".m4a", ".m4b", ".mka", ".mkv", ".mov",
    ".mp2", ".mp4", ".spx", ".w64", ".weba", ".webm", ".wma", ".wv",
}  # fmt: skip


def choose_format(output: str, wanted: str | None) -> str:
    """The format of a file's suffix; where it has none the one asked for, else WAV (``-``: raw).

    Raises :class:`InputError` where the suffix means another format, since players go by it, and
    for one that means nothing where none was asked for.
    """
    if output == "-":
        return wanted or "raw"
    suffix = Path(output).suffix.lower()
    found = SUFFIXES.get(suffix)
    unclear = suffix in _FOREIGN or wanted is None
    if suffix and (unclear if found is None else wanted not in (None, found)):
        reason = f"means {found}, not {wanted}" if found else "is no format that is made here"
        raise InputError(
            f"{output}: the suffix {suffix} {reason}; expected one of {', '.join(SUFFIXES)}."
        )
    return found or wanted or "wav"
