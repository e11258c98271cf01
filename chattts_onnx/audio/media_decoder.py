"""``python -m chattts_onnx.audio.media_decoder FILE BYTES``: a recording's samples by PyAV.

Rate and channels as int64, then float32 samples [samples, channels], go to standard output; status
3 says that they are more than BYTES.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# ffmpeg's demuxers of single files with sound; playlists would open others, or ask a network.
_DEMUXERS = "mov,matroska,aac,amr,mp3,ogg,flac,wav,w64,aiff,au,caf,asf,avi,mpegts,3gp,flv,ac3,eac3"
_TOO_LONG = 3


def _decode(source: str, most: int) -> int:
    """Decode; returns the status."""
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
