"""Recordings of phones and browsers (m4a, mp4, aac, webm, amr) by PyAV, in a process of its own.

PyAV's wheels hold ffmpeg's libraries, which damaged files can crash: there that is the end of a
child, here a named error.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# ffmpeg's demuxers of single files with sound; playlists would open others, or ask a network.
_DEMUXERS = "mov,matroska,aac,amr,mp3,ogg,flac,wav,w64,aiff,au,caf,asf,avi,mpegts,3gp,flv,ac3,eac3"
# Of a minute at most: see the limit on bytes.
_SECONDS = 60.0
_TOO_LONG = 3


def decode_media(source: Path, most: int) -> tuple[Floats, int]:
    """Samples [samples, channels] of ``source`` and their rate; at most ``most`` bytes of them.

    Raises ``ImportError`` where PyAV is not installed, ``OverflowError`` for more than ``most`` and
    ``ValueError`` for what can't be decoded.
    """
    if find_spec("av") is None:
        raise ImportError("PyAV is not installed")
    command = [sys.executable, "-m", __name__, str(source.resolve()), str(most)]
    package = Path(__file__).resolve().parents[2]
    try:
        child = subprocess.run(command, cwd=package, capture_output=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"decoding took over {_SECONDS:g} s") from error
    if child.returncode == _TOO_LONG:
        raise OverflowError
    if child.returncode < 0:
        raise ValueError(f"its decoder crashed (signal {-child.returncode})")
    if child.returncode:
        raise ValueError(child.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2])
    rate, channels = np.frombuffer(child.stdout[:16], np.int64)
    samples = np.frombuffer(child.stdout, np.float32, offset=16)
    return samples.reshape(-1, int(channels)), int(rate)


def _decode(source: str, most: int) -> int:
    """The child: rate and channels as int64, then the samples, to standard output."""
    import av

    options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": ""}
    planes: list[Floats] = []
    rate = count = 0
    with Path(source).open("rb") as stream, av.open(stream, "r", options=options) as container:
        if not container.streams.audio:
            raise ValueError("it holds no sound")
        resampler = av.AudioResampler(format="fltp")
        for frame in container.decode(container.streams.audio[0]):
            for part in resampler.resample(frame):
                planes.append(part.to_ndarray().T.astype(np.float32, copy=False))
                rate, count = part.sample_rate, count + planes[-1].size
                if 4 * count > most:
                    return _TOO_LONG
    if not planes:
        raise ValueError("it holds no samples")
    samples = np.concatenate(planes)
    sys.stdout.buffer.write(np.array([rate, samples.shape[1]], np.int64).tobytes())
    sys.stdout.buffer.write(samples.tobytes())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(_decode(sys.argv[1], int(sys.argv[2])))
    except Exception as error:  # ffmpeg's have many kinds
        sys.exit(f"{type(error).__name__}: {error}")
