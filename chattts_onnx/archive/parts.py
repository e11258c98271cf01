"""Several files read as one, so that a split archive need not be joined on disk."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Self


class JoinedParts:
    """The bytes of ``paths`` one after the other, read forward."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._waiting = list(paths)
        self._stream: io.FileIO | None = None

    def read(self, count: int) -> bytes:
        """Up to ``count`` bytes, fewer only at the very end."""
        blocks: list[bytes] = []
        while count > 0:
            if self._stream is None:
                if not self._waiting:
                    break
                self._stream = io.FileIO(self._waiting.pop(0))
            block = self._stream.read(count)
            if not block:
                self._stream.close()
                self._stream = None
                continue
            blocks.append(block)
            count -= len(block)
        return b"".join(blocks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()
