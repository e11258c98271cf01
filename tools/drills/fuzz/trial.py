"""One input given to a reader, within bounds of time and memory."""

from __future__ import annotations

import resource
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple

from chattts_onnx.errors import ChatTTSError
from tools.drills.fuzz.ledger import Ledger
from tools.drills.fuzz.reader import Prepared, Reader

# Longer messages bury what they say.
LONGEST_MESSAGE = 4000
_TRIES_TO_SHRINK = 400


class Failure(NamedTuple):
    """A broken promise: ``signature`` is equal for inputs that fail in the same place."""

    signature: str
    detail: str


class TooSlowError(BaseException):
    """An input took more than its CPU time; no ``except Exception`` may catch it."""


class Trial:
    """Gives inputs to a reader and says which broke a promise.

    ``refused`` says whether the last one was refused with a named error.
    """

    refused = False

    def __init__(self, reader: Reader, prepared: Prepared, ledger: Ledger | None = None) -> None:
        self._reader, self._prepared, self._ledger = reader, prepared, ledger
        signal.signal(signal.SIGVTALRM, _too_slow)
        # A warning would reach the user as well.
        warnings.simplefilter("error", RuntimeWarning)
        for seed in prepared.seeds:
            # A seed that is refused would leave its mutations at the door.
            prepared.read(seed)
        self._base = _peak_kilobytes()

    def limit_memory(self) -> None:
        """Let allocations fail that exceed the reader's bound; for processes of their own."""
        pages = int(open("/proc/self/statm", encoding="utf-8").read().split()[0])  # noqa: PTH123, SIM115
        limit = pages * resource.getpagesize() + self._reader.memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def __call__(self, data: bytes) -> Failure | None:
        """Read one input, noting it in the ledger; what failed, or None."""
        if self._ledger is None:
            return self.run(data)
        self._ledger.begin(data)
        began = time.process_time_ns()
        failure = self.run(data)
        if self.refused:
            self._ledger.refuse()
        self._ledger.raise_to(
            microseconds=(time.process_time_ns() - began) // 1000,
            kilobytes=_peak_kilobytes() - self._base,
        )
        return failure

    def run(self, data: bytes) -> Failure | None:
        """Read one input; what failed, or None."""
        self.refused = False
        signal.setitimer(signal.ITIMER_VIRTUAL, self._reader.seconds)
        try:
            self._prepared.read(data)
        except ChatTTSError as error:
            return self._judge(error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # native libraries raise panics outside of Exception
            return Failure(_signature(error), "".join(traceback.format_exception(error)))
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return None

    def _judge(self, error: ChatTTSError) -> Failure | None:
        self.refused = True
        message = str(error)
        place = f"{type(error).__name__} {_place(error)}"
        if len(message) > LONGEST_MESSAGE:
            return Failure(f"long message: {place}", message[:LONGEST_MESSAGE])
        try:
            message.encode()
        except UnicodeEncodeError:
            return Failure(f"message is no Unicode: {place}", repr(message))
        return None


def shrink(data: bytes, signature: str, attempt: Callable[[bytes], Failure | None]) -> bytes:
    """A smaller input with the same failure: pieces are left out as long as it stays."""
    tries, size = 0, len(data) // 2
    while size and tries < _TRIES_TO_SHRINK:
        place = 0
        while place < len(data) and tries < _TRIES_TO_SHRINK:
            shorter = data[:place] + data[place + size :]
            failure = attempt(shorter)
            tries += 1
            if failure is not None and failure.signature == signature:
                data = shorter
            else:
                place += size
        size //= 2
    return data


def _signature(error: BaseException) -> str:
    return f"{type(error).__name__} {_place(error)}"


def _place(error: BaseException) -> str:
    """File and line of this project that the error came through last."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/chattts_onnx/" in f.filename or "/pipeline/" in f.filename]
    if not (own or frames):
        return "?"
    frame = (own or list(frames))[-1]
    return f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"


def _peak_kilobytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _too_slow(signum: int, frame: FrameType | None) -> None:
    raise TooSlowError
