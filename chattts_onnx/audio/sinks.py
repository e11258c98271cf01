"""Where speech goes while it is made: files that grow, standard output, a player."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from ..atomic_files import commit, followed, is_special, scratch_path
from ..errors import InputError
from .formats import SOUNDFILE
from .wav import UNKNOWN_SIZE, to_pcm, wav_header

Floats = npt.NDArray[np.float32]

# Players that take raw 16-bit PCM on standard input; the first that is installed is used.
PLAYERS = (
    "aplay -q -t raw -f S16_LE -c 1 -r {rate}",
    "paplay --raw --format=s16le --channels=1 --rate={rate}",
    "ffplay -nodisp -autoexit -loglevel error -f s16le -ar {rate} -ch_layout mono -i -",
    "play -q -t raw -e signed -b 16 -c 1 -r {rate} -",
)


class Sink(Protocol):
    """Takes chunks in order; ``close`` finishes, ``abort`` leaves nothing behind."""

    def write(self, chunk: Floats) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


def open_sink(output: str, form: str, sample_rate: int, *, float32: bool = False) -> Sink:
    """A sink for a file name, or ``-`` for standard output.

    Raises :class:`InputError` when the format needs soundfile and it is missing, or cannot hold
    the sample rate.
    """
    if float32 and form not in ("wav", "raw"):
        raise InputError(f"{form} holds no float samples; leave --float32 out or choose wav.")
    if form in SOUNDFILE:
        return SoundfileSink(output, form, sample_rate)
    return PcmSink(output, sample_rate, header=form == "wav", float32=float32)


class PcmSink:
    """WAV or headless PCM.  A file appears in one rename when it is complete."""

    def __init__(self, output: str, sample_rate: int, *, header: bool, float32: bool) -> None:
        self._rate, self._header, self._float32 = sample_rate, header, float32
        self._written = 0
        self._place = _Place(output)
        if self._place.live:
            # A pipe is read while it is written.
            self._stream = self._place.open_live()
        else:
            self._stream = self._place.open_scratch()
        if header:
            self._stream.write(wav_header(UNKNOWN_SIZE, sample_rate, float32))

    def write(self, chunk: Floats) -> None:
        data = to_pcm(chunk, self._float32)
        self._written += len(data)
        self._stream.write(data)
        if self._place.live:
            self._stream.flush()

    def close(self) -> None:
        if self._place.live:
            self._stream.flush()
            self._place.close_live(self._stream)
            return
        if self._header:
            self._stream.seek(0)
            self._stream.write(wav_header(self._written, self._rate, self._float32))
        self._stream.close()
        self._place.finish()

    def abort(self) -> None:
        # On a full disk, closing tries once more to write what is buffered.
        with contextlib.suppress(OSError):
            self._place.close_live(self._stream)
        self._place.discard()


class SoundfileSink:
    """FLAC, MP3 or Opus by way of soundfile; what is no file gets it when it is complete."""

    def __init__(self, output: str, form: str, sample_rate: int) -> None:
        try:
            import soundfile
        except (ImportError, OSError) as error:
            raise InputError(
                f"{form} needs soundfile. Install chattts-onnx[audio], or choose wav."
            ) from error
        self._place = _Place(output)
        self._disk = _WatchedFile(self._place.open_scratch())
        container, encoding = SOUNDFILE[form]
        try:
            self._file: Any = soundfile.SoundFile(
                self._disk, "w", sample_rate, 1, encoding, format=container
            )
        except (RuntimeError, ValueError, TypeError) as error:
            self._discard()
            self._disk.check()
            raise InputError(
                f"{output} cannot be written as {form} at {sample_rate} Hz: {error}"
            ) from error

    def write(self, chunk: Floats) -> None:
        try:
            self._file.write(np.clip(chunk, -1.0, 1.0))
        finally:
            self._disk.check()

    def close(self) -> None:
        try:
            self._file.close()
        finally:
            self._disk.check()
        self._disk.stream.close()
        self._place.finish()

    def abort(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._file.close()
        self._discard()

    def _discard(self) -> None:
        # On a full disk, closing tries once more to write what is buffered.
        with contextlib.suppress(OSError):
            self._disk.stream.close()
        self._place.discard()


class _Place:
    """Where an output goes: a file, replaced when all is there, or what is written through."""

    def __init__(self, output: str) -> None:
        self._output = output
        self.live = output == "-" or is_special(Path(output))
        self._target = None if self.live else followed(Path(output))
        self._scratch: Path | None = None

    def open_live(self) -> IO[bytes]:
        if self._output == "-":
            return sys.stdout.buffer
        return self._named(lambda: Path(self._output).open("wb"))

    def close_live(self, stream: IO[bytes]) -> None:
        if self._output != "-":
            stream.close()

    def open_scratch(self) -> IO[bytes]:
        if self._target is None:
            handle, name = tempfile.mkstemp()
            self._scratch = Path(name)
            return os.fdopen(handle, "wb")
        self._scratch = scratch = scratch_path(self._target)
        return self._named(lambda: scratch.open("wb"))

    def finish(self) -> None:
        """The closed scratch file becomes the output."""
        assert self._scratch is not None
        if self._target is not None:
            commit(self._scratch, self._target)
            return
        try:
            sink = self.open_live()
            with self._scratch.open("rb") as stream:
                shutil.copyfileobj(stream, sink)
            sink.flush()
            self.close_live(sink)
        finally:
            self.discard()

    def discard(self) -> None:
        if self._scratch is not None:
            self._scratch.unlink(missing_ok=True)

    def _named(self, open_: Callable[[], IO[bytes]]) -> IO[bytes]:
        try:
            return open_()
        except OSError as error:
            raise InputError(
                f"{self._output} cannot be written: {error.strerror or error}."
            ) from error


class _WatchedFile:
    """What libsndfile writes to; it takes a full disk for a file that ends, and says nothing."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            count = self.stream.write(data)
            self.stream.flush()
        except OSError as error:
            self._error = self._error or error
            return 0
        return count

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()

    def check(self) -> None:
        """Raise the first ``OSError`` that a write met."""
        if self._error is not None:
            raise self._error


class PlayerSink:
    """A player program fed with raw 16-bit PCM."""

    def __init__(self, command: str, sample_rate: int) -> None:
        words = shlex.split((command or find_player()).replace("{rate}", str(sample_rate)))
        try:
            self._process = subprocess.Popen(words, stdin=subprocess.PIPE)
        except OSError as error:
            raise InputError(f"the player {words[0]} cannot be started: {error}") from error
        self._name = words[0]

    def write(self, chunk: Floats) -> None:
        assert self._process.stdin is not None  # opened with a pipe
        try:
            self._process.stdin.write(to_pcm(chunk))
            self._process.stdin.flush()
        except OSError as error:
            raise InputError(
                f"the player {self._name} stopped listening (exit status {self._process.wait()})."
            ) from error

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        if status := self._process.wait():
            raise InputError(f"the player {self._name} ended with exit status {status}.")

    def abort(self) -> None:
        self._process.kill()
        self._process.wait()


class Several:
    """Sends every chunk to several sinks."""

    def __init__(self, sinks: list[Sink]) -> None:
        self._sinks = sinks

    def write(self, chunk: Floats) -> None:
        for sink in self._sinks:
            sink.write(chunk)

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()

    def abort(self) -> None:
        for sink in self._sinks:
            sink.abort()


def find_player() -> str:
    """The first installed of :data:`PLAYERS`; :class:`InputError` where there is none."""
    for command in PLAYERS:
        if shutil.which(command.split()[0]):
            return command
    names = ", ".join(command.split()[0] for command in PLAYERS)
    raise InputError(
        f"no player is installed (looked for {names}); name one as --play 'COMMAND {{rate}}' that "
        "takes raw 16-bit PCM, or write a file with -o."
    )
