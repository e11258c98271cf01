"""Speaker vectors: drawn by seed, read from the forms that ChatTTS users share, written back."""

from __future__ import annotations

import lzma
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, VoiceError
from ..untrusted import brief, brief_text, parse_json
from . import arrays, base16384, tables
from . import files as voice_files
from . import sheets as voice_sheets

Speaker = npt.NDArray[np.float32]
Voice = str | Path | int | npt.ArrayLike

_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
# A vector of 768 halves takes 1.5 kB; a text that unpacks to far more is no voice.
_MAX_BYTES = 1 << 20
_TEXT_FORM = re.compile("[\u4e00-\u8dff]{8}")


class SpeakerStatistics:
    """Mean and standard deviation [hidden] of a checkpoint's speakers, for random voices."""

    def __init__(self, std: Speaker, mean: Speaker) -> None:
        self.std = std
        self.mean = mean

    @classmethod
    def from_text(cls, text: str, hidden_size: int) -> SpeakerStatistics:
        """From base16384 of 2 * hidden FP16 numbers, standard deviations first."""
        try:
            data = base16384.decode(text.strip())
        except InputError as error:
            raise VoiceError(f"speaker statistics: {error}") from error
        if len(data) != 4 * hidden_size:
            raise VoiceError(
                f"speaker statistics hold {len(data)} bytes; expected {4 * hidden_size}: standard "
                f"deviation and mean of {hidden_size} FP16 numbers each."
            )
        std, mean = np.frombuffer(data, dtype="<f2").astype(np.float32).reshape(2, hidden_size)
        return cls(std, mean)


def random_speaker(
    seed: int, hidden_size: int, statistics: SpeakerStatistics | None = None
) -> Speaker:
    """A voice [hidden] of its own for each seed: standard normal, times std plus mean if given."""
    if seed < 0:
        raise VoiceError(f"the voice seed is {seed}; expected a whole number of at least 0.")
    vector = np.random.default_rng(seed).standard_normal(hidden_size)
    if statistics is not None:
        vector = vector * statistics.std + statistics.mean
    return vector.astype(np.float32)


def encode_speaker(vector: npt.ArrayLike) -> str:
    """Text form of a voice: FP16, raw LZMA2, base16384."""
    values = np.asarray(vector, dtype=np.float32)
    if values.ndim != 1 or not np.isfinite(values).all() or np.abs(values).max(initial=0) > 65504:
        raise VoiceError("a voice is one row of finite numbers that fit FP16.")
    packed = lzma.compress(values.astype("<f2").tobytes(), lzma.FORMAT_RAW, filters=_FILTERS)
    return base16384.encode(packed)


def decode_speaker(text: str, hidden_size: int) -> Speaker:
    """Voice [hidden] from its text form; :class:`VoiceError` on damage or another length."""
    if len(text) > _MAX_BYTES:
        raise VoiceError(f"the voice text has {len(text)} characters, far more than a voice.")
    try:
        packed = base16384.decode(voice_files.tidy_text_form(text))
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
        data = unpacker.decompress(packed, max_length=_MAX_BYTES)
    except (InputError, lzma.LZMAError) as error:
        raise VoiceError(f"the voice text cannot be read ({error}); copy it whole.") from error
    if len(data) % 2:
        raise VoiceError(f"the voice text holds {len(data)} bytes, not a row of FP16 numbers.")
    return check_speaker(np.frombuffer(data, dtype="<f2"), hidden_size, "the voice text")


def load_speaker(path: Path | str, hidden_size: int, name: str | None = None) -> Speaker:
    """Voice [hidden] from a file of numbers or of the text form.

    ``.npy``, ``.npz`` and ``.safetensors`` hold arrays.  JSON holds a list, an object with
    ``tensor`` (numbers or the text form), a collection of named ones, what pandas writes, or a
    speaker of Speech-AI-Forge.  CSV may be a spreadsheet's or pandas' export: with BOM, header,
    index, quotes, commas, semicolons or tabs, in one row or one number a line, or a whole voice in
    a cell of each row.  The text form may be quoted, wrapped or assigned to a name.  ``name`` picks
    one of a collection, array or sheet.
    Text of any suffix is taken for what it holds; pickles are refused with the way to convert them.
    """
    source = Path(path)
    if not source.is_file():
        raise VoiceError(
            f"{source} not found; expected a .npy, .json, .csv, .xlsx or text voice file."
        )
    suffix = source.suffix.lower()
    try:
        if suffix in arrays.SUFFIXES:
            return check_speaker(arrays.read_array(source, name), hidden_size, str(source))
        if suffix in voice_sheets.SUFFIXES:
            numbers = voice_sheets.read_sheet(source, hidden_size, name)
            return check_speaker(numbers, hidden_size, str(source))
        return _from_text(voice_files.read_text(source), source, hidden_size, name)
    except (ValueError, OSError, InputError) as error:
        raise VoiceError(f"{source} cannot be read as a voice: {brief_text(error)}") from error


def _from_text(text: str, source: Path, hidden_size: int, name: str | None) -> Speaker:
    table = source.suffix.lower() in (".csv", ".tsv")
    whole = tables.whole_voices(text) if table else {}
    # Between brackets numpy prints numbers with spaces between them.
    opens = ("{", "[") if "," in text else ("{",)
    if whole or source.suffix.lower() == ".json" or text.lstrip().startswith(opens):
        picked = voice_files.pick(whole or parse_json(text), name, source)
        if isinstance(picked, str) and not picked.lstrip().startswith("["):
            return decode_speaker(picked, hidden_size)
        values = parse_json(picked) if isinstance(picked, str) else picked
        return check_speaker(values, hidden_size, str(source))
    if table or not _TEXT_FORM.search(voice_files.tidy_text_form(text)):
        numbers = tables.parse_csv(text, hidden_size)
        return check_speaker(numbers, hidden_size, str(source))
    return decode_speaker(text, hidden_size)


def save_speaker(
    path: Path | str, vector: npt.ArrayLike, hidden_size: int, **details: Any
) -> Speaker:
    """Write a voice as ``.json``, ``.csv``, ``.npy`` or text form and return what was written.

    ``details`` (name, seed, ...) go into JSON.  Raises :class:`VoiceError` on a vector that is no
    voice or a file that cannot be written.
    """
    values = check_speaker(vector, hidden_size, "the voice")
    target = Path(path)
    voice_files.write_voice(target, values, encode_speaker(values), details)
    return load_speaker(target, hidden_size)


def is_text_form(value: str) -> bool:
    """Whether a string can only be a voice's text form: long, and base16384 throughout."""
    text = voice_files.tidy_text_form(value)
    return len(text) > 60 and all(
        0x4E00 <= ord(c) < 0x4E00 + (1 << 14) or 0x3D00 < ord(c) <= 0x3D06 for c in text
    )


def check_speaker(values: Any, hidden_size: int, where: str) -> Speaker:
    """``values`` as float32 [hidden]; :class:`VoiceError` naming ``where`` on anything else."""
    try:
        with np.errstate(over="ignore"):  # infinity has a message of its own below
            vector = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise VoiceError(f"{where} is not a row of numbers: {brief_text(error)}") from error
    if vector.ndim > 1 and vector.size == max(vector.shape):
        vector = vector.reshape(-1)
    if vector.shape != (hidden_size,):
        raise VoiceError(
            f"{where} has shape {brief(list(vector.shape))}; this checkpoint's voices have "
            f"{hidden_size} numbers. Use a voice made for it."
        )
    if not np.isfinite(vector).all():
        raise VoiceError(f"{where} holds NaN or infinity.")
    if not vector.any():
        raise VoiceError(f"{where} is all zeros, which means no speaker; leave the voice out.")
    return vector
